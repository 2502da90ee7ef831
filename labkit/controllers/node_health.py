"""What follows from a node's health: conditions, taints, and how fast Pods may be evicted.

Pure functions.  A node shows that it lives by renewing its Lease.  One that stops is first
`unreachable`: no new Pods (NoSchedule), later evictions (NoExecute), at a limited rate, and not at
all when so many nodes fail at once that the network or the control plane is the likelier culprit.

Source: kube-controller-manager's nodelifecycle controller; documentation "Nodes", sections "Node
heartbeats" and "Rate limits on eviction".  Left out: zones; the cluster is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from labkit.kube import conditions, taints

STATUS_UNKNOWN, NEVER_UPDATED = "NodeStatusUnknown", "NodeStatusNeverUpdated"
_STOPPED = "Kubelet stopped posting node status."
_NEVER = "Kubelet never posted node status."
_KINDS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_READY_TAINTS = {"False": taints.NOT_READY, "Unknown": taints.UNREACHABLE}
_PRESSURE_TAINTS = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OURS = {taints.UNSCHEDULABLE, *_READY_TAINTS.values(), *_PRESSURE_TAINTS.values()}

NORMAL, PARTIAL, FULL = "Normal", "PartialDisruption", "FullDisruption"


def ready_status(node: Mapping) -> str:
    """The Ready condition's status; Unknown where there is none."""
    return (conditions.get(node, "Ready") or {}).get("status") or "Unknown"


def unknown_conditions(node: Mapping, now: str) -> list[dict]:
    """The node's conditions once its kubelet has not been heard of for too long."""
    found = list((node.get("status") or {}).get("conditions") or ())
    for kind in _KINDS:
        known = conditions.get(node, kind) is not None
        reason, message = (STATUS_UNKNOWN, _STOPPED) if known else (NEVER_UPDATED, _NEVER)
        found = conditions.updated(found, kind, "Unknown", reason, message, now)
    return found


def no_schedule_taints(node: Mapping) -> list[dict]:
    """The NoSchedule taints that the node's conditions and `spec.unschedulable` ask for."""
    keys = []
    if conditions.get(node, "Ready"):
        keys.append(_READY_TAINTS.get(ready_status(node)))
    keys += [taint for kind, taint in _PRESSURE_TAINTS.items() if conditions.is_true(node, kind)]
    if (node.get("spec") or {}).get("unschedulable"):
        keys.append(taints.UNSCHEDULABLE)
    return [{"key": key, "effect": taints.NO_SCHEDULE} for key in keys if key]


def no_execute_key(node: Mapping) -> str | None:
    """The key of the NoExecute taint that the node's Ready condition asks for."""
    return _READY_TAINTS.get(ready_status(node)) if conditions.get(node, "Ready") else None


def with_taints(node: Mapping, evict: str | None, now: str) -> list[dict]:
    """All taints the node should have; `evict` is the key of its NoExecute taint, if any.

    Taints of others stay as they are, ours keep the time when they were added.
    """
    present = (node.get("spec") or {}).get("taints") or []
    wanted = no_schedule_taints(node)
    if evict:
        wanted.append({"key": evict, "effect": taints.NO_EXECUTE, "timeAdded": now})
    names = {_name(taint) for taint in wanted}
    kept = [taint for taint in present if not _is_ours(taint) or _name(taint) in names]
    known = {_name(taint) for taint in kept}
    return kept + [taint for taint in wanted if _name(taint) not in known]


def _name(taint: Mapping) -> tuple[str, str]:
    return taint["key"], taint["effect"]


def _is_ours(taint: Mapping) -> bool:
    ready = taint["key"] in _READY_TAINTS.values()
    return taint["key"] in _OURS and (taint["effect"] == taints.NO_SCHEDULE or ready)


def disruption(nodes: Iterable[Mapping], unhealthy_threshold: float) -> str:
    """NORMAL, PARTIAL or FULL: how much of the cluster is not ready (ComputeZoneState)."""
    states = [ready_status(node) == "True" for node in nodes]
    ready, not_ready = sum(states), len(states) - sum(states)
    if not_ready and not ready:
        return FULL
    if not_ready > 2 and not_ready / len(states) >= unhealthy_threshold:
        return PARTIAL
    return NORMAL


def eviction_rate(state: str, nodes: int, rate: float, secondary: float, large: int) -> float:
    """Nodes per second whose Pods may be evicted.

    In a partly disrupted cluster it is `secondary`, and 0 in one that is not `large` (nodes).
    """
    if state == FULL:
        return 0.0
    if state == PARTIAL:
        return secondary if nodes > large else 0.0
    return rate


def eviction_delay(
    node_taints: Sequence[Mapping], tolerations: Sequence[Mapping], ages: Sequence[float]
) -> float | None:
    """Seconds until a Pod has to leave a node with these NoExecute taints; None: it may stay.

    `ages` tells how long each taint has been there, in seconds.
    """
    delays = []
    for taint, age in zip(node_taints, ages, strict=True):
        good = [each for each in tolerations if taints.tolerates(each, taint)]
        if not good:
            return 0.0
        # Upstream takes the first toleration that matches, so that its order counts here too.
        seconds = good[0].get("tolerationSeconds")
        if seconds is not None:
            delays.append(max(0.0, seconds - age))
    return min(delays, default=None)
