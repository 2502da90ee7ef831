"""Rules of ResourceQuotas and LimitRanges.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateResourceQuota, ValidateLimitRange) and
pkg/apis/core/helper (which resources and scopes there are).
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, duplicate, forbidden, invalid, required
from labkit.apiserver.validate_values import IMMUTABLE, NOT_NEGATIVE
from labkit.kube.quantity import parse_quantity

_LIMITED = ("Pod", "Container", "PersistentVolumeClaim")
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = (
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
_STANDARD = {
    *_COMPUTE,
    *_COUNTED,
    *(f"{part}.{name}" for part in ("requests", "limits") for name in _COMPUTE),
    "requests.storage",
}
_SCOPES = (
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
)
_OPPOSITES = (("Terminating", "NotTerminating"), ("BestEffort", "NotBestEffort"))
_BOUNDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def resource_quota(obj: Mapping) -> list[FieldError]:
    """What is wrong with a ResourceQuota."""
    spec = obj.get("spec") or {}
    errors = []
    for name, text in (spec.get("hard") or {}).items():
        path = f"spec.hard[{name}]"
        errors += _quota_name(name, path) + _quota_amount(name, text, path)
    return errors + _scopes(spec)


def _quota_name(name: str, path: str) -> list[FieldError]:
    if wrong := names.qualified_name(name):
        return [invalid(path, name, wrong)]
    if "/" in name or name in _STANDARD or ".hugepages-" in name or name.startswith("hugepages-"):
        return []
    return [
        invalid(path, name, "must be a standard resource type or fully qualified"),
        invalid(path, name, "must be a standard resource for quota"),
    ]


def _quota_amount(name: str, text: str, path: str) -> list[FieldError]:
    amount, errors = parse_quantity(text), []
    if amount < 0:
        errors.append(invalid(path, text, NOT_NEGATIVE))
    if (name in _COUNTED or name.startswith("count/")) and amount.denominator != 1:
        errors.append(invalid(path, text, "must be an integer"))
    return errors


def _scopes(spec: Mapping) -> list[FieldError]:
    path, scopes = "spec.scopes", spec.get("scopes") or []
    errors = [
        invalid(path, scopes, "unsupported scope") for scope in scopes if scope not in _SCOPES
    ]
    for pair in _OPPOSITES:
        if set(pair) <= set(scopes):
            errors.append(invalid(path, scopes, "conflicting scopes"))
    limits_pods = {"pods", *_COMPUTE, *(n for n in _STANDARD if n.partition(".")[2] in _COMPUTE)}
    for scope in scopes:
        allowed = {"pods"} if scope == "BestEffort" else limits_pods
        if scope in _SCOPES and any(name not in allowed for name in spec.get("hard") or ()):
            why = "unsupported scope applied to resource"
            errors.append(invalid(path, scopes, why))
    return errors


def resource_quota_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A ResourceQuota keeps its scopes."""
    before, after = (sorted((one.get("spec") or {}).get("scopes") or ()) for one in (old, obj))
    return [] if before == after else [invalid("spec.scopes", after, IMMUTABLE)]


def limit_range(obj: Mapping) -> list[FieldError]:
    """What is wrong with a LimitRange."""
    errors, seen = [], set()
    for index, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type", "")
        errors += _limit_type(kind, f"{path}.type")
        if kind in seen:
            errors.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        errors += _limit_item(item, kind, path)
    return errors


def _limit_type(kind: str, path: str) -> list[FieldError]:
    errors = []
    if wrong := names.qualified_name(kind):
        errors.append(invalid(path, kind, wrong))
    if "/" not in kind and kind not in _LIMITED:
        errors.append(invalid(path, kind, "must be a standard limit type or fully qualified"))
    return errors


def _limit_item(item: Mapping, kind: str, path: str) -> list[FieldError]:
    errors = []
    if kind == "Pod":
        for name in ("default", "defaultRequest"):
            if item.get(name):
                why = "may not be specified when `type` is 'Pod'"
                errors.append(forbidden(f"{path}.{name}", why))
    if kind == "PersistentVolumeClaim" and not any(
        "storage" in (item.get(name) or ()) for name in ("min", "max")
    ):
        why = "either minimum or maximum storage value is required, but neither was provided"
        errors.append(required(f"{path}.limits", why))
    resources = sorted({key for name in _BOUNDS for key in item.get(name) or ()})
    for resource in resources:
        errors += _bounds({n: (item.get(n) or {}).get(resource) for n in _BOUNDS}, resource, path)
    return errors


# (smaller, greater, which of the two the error is about, the words for both)
_ORDER = (
    ("min", "max", "min", "min", "max"),
    ("min", "defaultRequest", "defaultRequest", "min", "default request"),
    ("defaultRequest", "max", "defaultRequest", "default request", "max"),
    ("defaultRequest", "default", "defaultRequest", "default request", "default limit"),
    ("min", "default", "default", "min", "default"),
    ("default", "max", "default", "default", "max"),
)


def _bounds(values: Mapping[str, str | None], resource: str, path: str) -> list[FieldError]:
    errors = []
    for low, high, about, low_words, high_words in _ORDER:
        small, great = values[low], values[high]
        if (
            small is not None
            and great is not None
            and parse_quantity(small) > parse_quantity(great)
        ):
            why = f"{low_words} value {small} is greater than {high_words} value {great}"
            errors.append(invalid(f"{path}.{about}[{resource}]", values[about], why))
    ratio, here = values["maxLimitRequestRatio"], f"{path}.maxLimitRequestRatio[{resource}]"
    if ratio is not None and parse_quantity(ratio) < 1:
        errors.append(invalid(here, ratio, f"ratio {ratio} is less than 1"))
    return errors
