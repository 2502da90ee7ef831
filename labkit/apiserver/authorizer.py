"""Whether a user may do something: the node authorizer for kubelets, then RBAC for all.

What a user may do in a namespace is put together from the bindings once and kept until any Role or
binding changes, so that the question itself costs a few dictionary look-ups.  Members of
`system:masters` may do everything, whatever the Roles say.

Source: k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac/validation
(DefaultRuleResolver); kube-apiserver's `--authorization-mode=Node,RBAC`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from labkit.apiserver import rbac, statuses
from labkit.apiserver.attributes import Attributes
from labkit.apiserver.node_authorizer import NodeAuthorizer, node_of
from labkit.apiserver.request import User
from labkit.apiserver.state import State
from labkit.client.errors import ApiError, status_error
from labkit.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Resource,
)

_KINDS = (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES)
_MOST_KEPT = 1024  # of users times namespaces


class Decision(NamedTuple):
    """An answer; `reason` is what upstream's audit log and reviews say."""

    allowed: bool
    reason: str = ""


_ALLOWED = Decision(True)


class _Known(NamedTuple):
    grants: rbac.Grants
    rules: list[Mapping]
    errors: list[str]


class Authorizer:
    """Answers for one server.  For one event loop."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._nodes = NodeAuthorizer(state)
        self._revision = -1
        self._known: dict[tuple[str, tuple[str, ...], str], _Known] = {}

    def authorize(self, user: User, wanted: Attributes) -> Decision:
        """Whether `user` may do what is `wanted`."""
        if rbac.MASTERS in user.groups:
            return _ALLOWED
        why_not = ""
        if node := node_of(user):
            why_not = self._nodes.refusal(node, wanted)
            if why_not is None:
                return _ALLOWED
        known = self._of(user, wanted.namespace)
        reason = known.grants.allows(wanted)
        if reason is not None:
            return Decision(True, reason)
        if known.errors:
            why_not += "RBAC: " + _aggregate(known.errors)
        return Decision(False, why_not)

    def demand(self, user: User, wanted: Attributes) -> Decision:
        """Why `user` may do what is `wanted`.  Raises ApiError 403 where he may not."""
        decision = self.authorize(user, wanted)
        if not decision.allowed:
            raise refusal(user, wanted, decision.reason)
        return decision

    def rules(self, user: User, namespace: str) -> tuple[list[Mapping], list[str]]:
        """All rules that bind `user` in `namespace` and everywhere, and what was not found."""
        known = self._of(user, namespace)
        return known.rules, known.errors

    def role_rules(self, reference: Mapping, namespace: str) -> list[Mapping]:
        """The rules of the role that a binding refers to.  Raises ApiError 404."""
        resource, key = CLUSTER_ROLES, reference["name"]
        if reference["kind"] == "Role":
            resource, key = ROLES, f"{namespace}/{key}"
        item = self._state.of(resource).items.get(key)
        if item is None:
            raise statuses.not_found(resource, reference["name"])
        return item.obj.get("rules") or []

    def _of(self, user: User, namespace: str) -> _Known:
        revision = sum(self._state.of(resource).revision for resource in _KINDS)
        if revision != self._revision or len(self._known) > _MOST_KEPT:
            self._known.clear()
            self._revision = revision
        key = (user.name, user.groups, namespace)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._resolve(user, namespace)
        return known

    def _resolve(self, user: User, namespace: str) -> _Known:
        found: list[tuple[Mapping, str]] = []
        errors: list[str] = []
        for binding, subject in self._bindings(user, namespace):
            reason = _reason(binding, subject)
            try:
                rules = self.role_rules(binding["roleRef"], namespace)
            except ApiError:
                errors.append(_not_found(binding["roleRef"]))
                continue
            found += [(rule, reason) for rule in rules]
        return _Known(rbac.Grants(found), [rule for rule, _ in found], errors)

    def _bindings(self, user: User, namespace: str) -> Iterator[tuple[Mapping, Mapping]]:
        for binding in self._objects(CLUSTER_ROLE_BINDINGS):
            if subject := rbac.applies(binding.get("subjects") or (), user, ""):
                yield binding, subject
        if not namespace:
            return
        for binding in self._objects(ROLE_BINDINGS):
            if binding["metadata"]["namespace"] == namespace:
                subjects = binding.get("subjects") or ()
                if subject := rbac.applies(subjects, user, namespace):
                    yield binding, subject

    def _objects(self, resource: Resource) -> Iterator[Mapping]:
        return (item.obj for item in self._state.of(resource).items.values())


def _not_found(reference: Mapping) -> str:
    """As upstream's cache words it: by the kind, not by the resource."""
    return f'{reference["kind"].lower()}.{ROLES.group} "{reference["name"]}" not found'


def _reason(binding: Mapping, subject: Mapping) -> str:
    """Why what a binding gives is allowed, in upstream's words."""
    kind, meta, role = binding["kind"], binding["metadata"], binding["roleRef"]
    namespace = meta.get("namespace", "")
    who = subject["name"]
    if subject["kind"] == "ServiceAccount":
        who = f"{who}/{subject.get('namespace') or namespace}"
    name = f"{meta['name']}/{namespace}" if namespace else meta["name"]
    return (
        f'RBAC: allowed by {kind} "{name}" of {role["kind"]} "{role["name"]}" '
        f'to {subject["kind"]} "{who}"'
    )


def _aggregate(errors: Iterable[str]) -> str:
    """Several errors as Go's aggregate prints them: each once."""
    unique = list(dict.fromkeys(errors))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"


def creation(resource: Resource, namespace: str) -> Attributes:
    """What an update asks besides, when it has to create what it shall update."""
    group, version = resource.group, resource.version
    return Attributes("create", "", group, version, namespace, resource.plural)


def refusal(user: User, wanted: Attributes, reason: str = "") -> ApiError:
    """403: `user` may not do what is `wanted`."""
    if not wanted.resource:
        message = f'User "{user.name}" cannot {wanted.verb} path "{wanted.path}"'
        message += f": {reason}" if reason else ""
        return status_error(403, "Forbidden", f"forbidden: {message}", {})
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    message = (
        f'User "{user.name}" cannot {wanted.verb} resource "{wanted.full_resource}" '
        f'in API group "{wanted.group}" {where}'
    )
    message += f": {reason}" if reason else ""
    resource = Resource(wanted.group, wanted.version, wanted.resource, "")
    return statuses.forbidden(resource, wanted.name, message)
