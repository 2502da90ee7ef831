"""Priority: a Pod's priority as a number, from its PriorityClass or from the default one.

Source: k8s.io/kubernetes plugin/pkg/admission/priority, with its messages.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.admission.attributes import Attributes
from labkit.kube.resources import PRIORITY_CLASSES

_WITHOUT_CLASS = {"metadata": {"name": ""}, "value": 0, "preemptionPolicy": "PreemptLowerPriority"}


def admit(a: Attributes) -> None:
    """Write priority and preemption policy into a new Pod.  Raises ApiError 403."""
    spec = a.pod_spec
    if spec is None:
        return
    found = _class_of(a, spec)
    computed = found.get("value", 0)
    if spec.get("priority") not in (None, computed):
        raise a.forbidden(
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            f"priority admission controller computed {computed} from the given PriorityClass name"
        )
    policy = found.get("preemptionPolicy", "PreemptLowerPriority")
    if spec.get("preemptionPolicy") not in (None, policy):
        raise a.forbidden(
            f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be "
            f"provided in pod spec; priority admission controller computed {policy} from the given "
            "PriorityClass name"
        )
    spec["priority"], spec["preemptionPolicy"] = computed, policy


def _class_of(a: Attributes, spec: dict) -> Mapping:
    name = spec.get("priorityClassName")
    if not name:
        found = _default(a) or _WITHOUT_CLASS
        if found["metadata"]["name"]:
            spec["priorityClassName"] = found["metadata"]["name"]
        return found
    item = a.state.of(PRIORITY_CLASSES).items.get(name)
    if item is None:
        raise a.forbidden(f"no PriorityClass with name {name} was found")
    return item.obj


def _default(a: Attributes) -> Mapping | None:
    """The class of Pods that name none: of several the lowest."""
    items = a.state.of(PRIORITY_CLASSES).items.values()
    marked = [item.obj for item in items if item.obj.get("globalDefault")]
    return min(marked, key=lambda obj: obj.get("value", 0), default=None)


def validate(a: Attributes) -> None:
    """At most one PriorityClass is the default.  Raises ApiError 403."""
    if a.row.resource != PRIORITY_CLASSES or not a.obj.get("globalDefault"):
        return
    present = _default(a)
    if present is not None and present["metadata"]["name"] != a.obj["metadata"]["name"]:
        raise a.forbidden(
            f"PriorityClass {present['metadata']['name']} is already marked as default. Only one "
            "default can exist"
        )
