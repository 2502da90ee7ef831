"""Nobody grants what he does not have.

Who writes a Role must hold all of its rules himself, and who binds a role all of that role's,
unless he may `escalate` (or `bind`) that very role, or is in `system:masters`.

Source: k8s.io/kubernetes pkg/registry/rbac (escalation_check.go, */policybased/storage.go);
Kubernetes documentation, "Privilege escalation prevention and bootstrapping".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.apiserver import rbac, statuses
from labkit.apiserver.attributes import Attributes
from labkit.apiserver.authorizer import Authorizer
from labkit.apiserver.request import User
from labkit.apiserver.validate_rbac import GROUP
from labkit.client.errors import ApiError
from labkit.kube.resources import CLUSTER_ROLES, ROLES, Resource

_EVERYTHING = (
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
)


def refuse(
    authorizer: Authorizer, user: User, resource: Resource, obj: Mapping, old: Mapping | None
) -> None:
    """Raises ApiError 403 if storing `obj` in place of `old` would give `user` more than he has."""
    if resource.group != GROUP or rbac.MASTERS in user.groups:
        return
    if old is not None and _differ_in_owners_alone(obj, old):
        return
    check = _role if resource in (ROLES, CLUSTER_ROLES) else _binding
    check(authorizer, user, resource, obj, old)


def _differ_in_owners_alone(obj: Mapping, old: Mapping) -> bool:
    """The garbage collector must be able to take references and finalizers off anything."""
    return _without_owners(obj) == _without_owners(old)


def _without_owners(obj: Mapping) -> dict:
    left_out = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")
    metadata = {key: value for key, value in obj["metadata"].items() if key not in left_out}
    return {**obj, "metadata": metadata}


def _role(
    authorizer: Authorizer, user: User, resource: Resource, obj: Mapping, old: Mapping | None
) -> None:
    if _may(authorizer, user, "escalate", resource, obj["metadata"]):
        return
    namespace = obj["metadata"].get("namespace", "")
    _confirm(authorizer, user, namespace, obj.get("rules") or [], resource, obj)
    if "aggregationRule" in obj or "aggregationRule" in (old or {}):
        owned, _ = authorizer.rules(user, namespace)
        if rbac.missing(owned, _EVERYTHING):
            why = "must have cluster-admin privileges to use an aggregationRule"
            raise statuses.forbidden(resource, obj["metadata"]["name"], why)


def _binding(
    authorizer: Authorizer, user: User, resource: Resource, obj: Mapping, old: Mapping | None
) -> None:
    reference, namespace = obj["roleRef"], obj["metadata"].get("namespace", "")
    role = ROLES if reference["kind"] == ROLES.kind else CLUSTER_ROLES
    if _may(authorizer, user, "bind", role, {"namespace": namespace, "name": reference["name"]}):
        return
    rules = authorizer.role_rules(reference, namespace)
    _confirm(authorizer, user, namespace, rules, resource, obj)


def _may(
    authorizer: Authorizer, user: User, verb: str, resource: Resource, metadata: Mapping
) -> bool:
    wanted = Attributes(
        verb,
        group=resource.group,
        version=resource.version,
        namespace=metadata.get("namespace", ""),
        resource=resource.plural,
        name=metadata["name"],
    )
    return authorizer.authorize(user, wanted).allowed


def _confirm(
    authorizer: Authorizer,
    user: User,
    namespace: str,
    rules: Sequence[Mapping],
    resource: Resource,
    obj: Mapping,
) -> None:
    owned, errors = authorizer.rules(user, namespace)
    if missing := rbac.missing(owned, rules):
        raise _refusal(user, missing, errors, resource, obj["metadata"]["name"])


def _refusal(
    user: User, missing: Sequence[Mapping], errors: Sequence[str], resource: Resource, name: str
) -> ApiError:
    lines = "\n".join(rbac.described(missing))
    why = (
        f'user "{user.name}" (groups={rbac.quoted(user.groups)}) is attempting to grant RBAC '
        f"permissions not currently held:\n{lines}"
    )
    if errors:
        why += f"; resolution errors: [{', '.join(errors)}]"
    return statuses.forbidden(resource, name, why)
