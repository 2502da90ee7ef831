"""Rules of PodDisruptionBudgets, PriorityClasses and RuntimeClasses.

Source: k8s.io/kubernetes pkg/apis/policy/validation, pkg/apis/scheduling/validation and
pkg/apis/node/validation.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, forbidden, invalid, required, unsupported
from labkit.apiserver.validate_values import (
    immutable,
    int_or_percent,
    label_selector,
    not_above_all,
)

HIGHEST_PRIORITY = 1_000_000_000  # that a user may define
SYSTEM_PRIORITIES = {
    "system-node-critical": 2_000_001_000,
    "system-cluster-critical": 2_000_000_000,
}
_EVICTION = ("AlwaysAllow", "IfHealthyBudget")
_PREEMPTION = ("PreemptLowerPriority", "Never")


def disruption_budget(obj: Mapping) -> list[FieldError]:
    """What is wrong with a PodDisruptionBudget."""
    spec, errors = obj.get("spec") or {}, []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        why = "minAvailable and maxUnavailable cannot be both set"
        errors.append(invalid("spec", spec, why))
    for name in ("minAvailable", "maxUnavailable"):
        errors += int_or_percent(spec.get(name), f"spec.{name}")
        errors += not_above_all(spec.get(name), f"spec.{name}")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _EVICTION:
        errors.append(unsupported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION))
    return errors + label_selector(spec.get("selector") or {}, "spec.selector")


def priority_class(obj: Mapping) -> list[FieldError]:
    """What is wrong with a PriorityClass."""
    name, value, errors = obj["metadata"].get("name", ""), obj.get("value", 0), []
    if name.startswith("system-"):
        if value != SYSTEM_PRIORITIES.get(name):
            errors.append(forbidden("metadata.name", _reserved(name)))
    elif value > HIGHEST_PRIORITY:
        why = f"maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}"
        errors.append(forbidden("value", why))
    policy = obj.get("preemptionPolicy")
    if policy not in _PREEMPTION:
        errors.append(unsupported("preemptionPolicy", policy, _PREEMPTION))
    return errors


def _reserved(name: str) -> str:
    why = f"value of {name} PriorityClass must be {SYSTEM_PRIORITIES.get(name)}"
    if name not in SYSTEM_PRIORITIES:
        why = f"{name} is not a known system priority class"
    rule = "priority class names with 'system-' prefix are reserved for system use only"
    return f"{rule}. error: {why}"


def priority_class_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A PriorityClass keeps its value: Pods have copied it."""
    errors = []
    if obj.get("value", 0) != old.get("value", 0):
        errors.append(forbidden("value", "may not be changed in an update."))
    before, after = old.get("preemptionPolicy"), obj.get("preemptionPolicy")
    return errors + immutable(after, before, "preemptionPolicy")


def runtime_class(obj: Mapping) -> list[FieldError]:
    """What is wrong with a RuntimeClass."""
    handler = obj.get("handler", "")
    if not handler:
        return [required("handler")]
    wrong = names.dns_label(handler)
    return [invalid("handler", handler, wrong)] if wrong else []


def runtime_class_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A RuntimeClass keeps its handler."""
    return immutable(obj.get("handler"), old.get("handler"), "handler")
