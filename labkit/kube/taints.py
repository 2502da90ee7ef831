"""Taints of Nodes and the tolerations of Pods.

Source: documentation "Taints and Tolerations"; ToleratesTaint of k8s.io/api core/v1.  Left out: the
numeric operators Lt and Gt, which are alpha.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "PreferNoSchedule", "NoExecute"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"


def tolerates(toleration: Mapping, taint: Mapping) -> bool:
    """Whether one toleration is good for one taint.

    An empty effect means all effects; an empty key with operator Exists means all keys.
    """
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            same = (toleration.get("value") or "") == (taint.get("value") or "")
            return bool(toleration.get("key")) and same
    return False


def tolerated(tolerations: Iterable[Mapping] | None, taint: Mapping) -> bool:
    """Whether any toleration is good for the taint."""
    return any(tolerates(toleration, taint) for toleration in tolerations or ())


def first_untolerated(
    taints: Sequence[Mapping], tolerations: Sequence[Mapping] | None, effects: Iterable[str]
) -> Mapping | None:
    """The first taint with one of `effects` that nothing tolerates, or None."""
    for taint in taints:
        if taint.get("effect") in effects and not tolerated(tolerations, taint):
            return taint
    return None
