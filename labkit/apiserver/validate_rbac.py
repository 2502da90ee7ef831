"""Rules of Roles and bindings.

Source: k8s.io/kubernetes pkg/apis/rbac/validation and pkg/apis/rbac/v1 (defaults).
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import names, validate_values
from labkit.apiserver.fields import FieldError, invalid, required, unsupported

GROUP = "rbac.authorization.k8s.io"
_KINDS = ("ServiceAccount", "User", "Group")


def default_binding(obj: dict) -> None:
    """The API groups of a binding's role and subjects."""
    reference = obj.get("roleRef")
    if isinstance(reference, dict):
        reference["apiGroup"] = reference.get("apiGroup") or GROUP
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup"):
            subject.pop("apiGroup", None)
            if subject.get("kind") in ("User", "Group"):
                subject["apiGroup"] = GROUP


def role(obj: Mapping) -> list[FieldError]:
    """What is wrong with a Role."""
    rules = enumerate(obj.get("rules") or ())
    return [error for index, rule in rules for error in _rule(rule, f"rules[{index}]", True)]


def cluster_role(obj: Mapping) -> list[FieldError]:
    """What is wrong with a ClusterRole."""
    rules = enumerate(obj.get("rules") or ())
    errors = [error for index, rule in rules for error in _rule(rule, f"rules[{index}]", False)]
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return errors
    path = "aggregationRule.clusterRoleSelectors"
    selectors = aggregation.get("clusterRoleSelectors") or ()
    if not selectors:
        why = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        errors.append(required(path, why))
    for index, selector in enumerate(selectors):
        errors += validate_values.label_selector(selector, f"{path}[{index}]")
    return errors


def _rule(rule: Mapping, path: str, namespaced: bool) -> list[FieldError]:
    errors = []
    if not rule.get("verbs"):
        errors.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    if rule.get("nonResourceURLs"):
        return errors + _urls(rule, f"{path}.nonResourceURLs", namespaced)
    if not rule.get("apiGroups"):
        why = "resource rules must supply at least one api group"
        errors.append(required(f"{path}.apiGroups", why))
    if not rule.get("resources"):
        why = "resource rules must supply at least one resource"
        errors.append(required(f"{path}.resources", why))
    return errors


def _urls(rule: Mapping, path: str, namespaced: bool) -> list[FieldError]:
    errors, urls = [], rule["nonResourceURLs"]
    if namespaced:
        errors.append(invalid(path, urls, "namespaced rules cannot apply to non-resource URLs"))
    if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
        why = "rules cannot apply to both regular resources and non-resource URLs"
        errors.append(invalid(path, urls, why))
    return errors


def role_binding(obj: Mapping) -> list[FieldError]:
    """What is wrong with a RoleBinding."""
    return _binding(obj, ("ClusterRole", "Role"), namespaced=True)


def cluster_role_binding(obj: Mapping) -> list[FieldError]:
    """What is wrong with a ClusterRoleBinding."""
    return _binding(obj, ("ClusterRole",), namespaced=False)


def _binding(obj: Mapping, kinds: tuple[str, ...], *, namespaced: bool) -> list[FieldError]:
    reference, errors = obj.get("roleRef") or {}, []
    if reference.get("apiGroup") != GROUP:
        errors.append(unsupported("roleRef.apiGroup", reference.get("apiGroup", ""), (GROUP,)))
    if reference.get("kind") not in kinds:
        errors.append(unsupported("roleRef.kind", reference.get("kind", ""), kinds))
    if not reference.get("name"):
        errors.append(required("roleRef.name"))
    elif wrong := names.path_segment(reference["name"]):
        errors.append(invalid("roleRef.name", reference["name"], wrong))
    for index, subject in enumerate(obj.get("subjects") or ()):
        errors += _subject(subject, f"subjects[{index}]", namespaced)
    return errors


def _subject(subject: Mapping, path: str, namespaced: bool) -> list[FieldError]:
    name, kind, errors = subject.get("name", ""), subject.get("kind", ""), []
    if not name:
        errors.append(required(f"{path}.name"))
    if kind not in _KINDS:
        return [*errors, unsupported(f"{path}.kind", kind, _KINDS)]
    group = subject.get("apiGroup", "")
    if kind == "ServiceAccount":
        if name and (wrong := names.dns_subdomain(name)):
            errors.append(invalid(f"{path}.name", name, wrong))
        if group:
            errors.append(unsupported(f"{path}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            errors.append(required(f"{path}.namespace"))
        return errors
    if not name:
        errors.append(invalid(f"{path}.name", name, f"{kind.lower()} name cannot be empty"))
    if group != GROUP:
        errors.append(unsupported(f"{path}.apiGroup", group, (GROUP,)))
    return errors


def binding_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A binding binds the same role for as long as it exists."""
    if obj.get("roleRef") == old.get("roleRef"):
        return []
    return [invalid("roleRef", obj.get("roleRef"), "cannot change roleRef")]
