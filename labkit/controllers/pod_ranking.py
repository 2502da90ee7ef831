"""Which Pods of a ReplicaSet die first when it shrinks.

Source: ActivePodsWithRanks of kube-controller-manager.  In this order: not scheduled before
scheduled; Pending before Unknown before Running; not ready before ready; the lower
`controller.kubernetes.io/pod-deletion-cost`; Pods on nodes with more Pods of the same owner (so
that scaling down keeps the spread); ready for a shorter time; more restarts; younger.

Ages are compared by the power of two of their nanoseconds (KEP-2185), and the UID decides among
Pods of about the same age: otherwise the youngest would always die, and after a rolling update of
the nodes the youngest all live on one node.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cmp_to_key

from labkit.kube import pods, times

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def pods_to_delete(
    active: Sequence[Mapping], related: Iterable[Mapping], count: int, now: float
) -> list[Mapping]:
    """The first `count` of the `active` Pods to delete at `now` (Unix seconds).

    `related` are the active Pods of all ReplicaSets with the same owner, among them `active`.
    """
    if count >= len(active):
        return list(active)
    on_node = Counter(pods.node_name(pod) for pod in related)
    return sorted(active, key=cmp_to_key(lambda a, b: _compare(a, b, on_node, now)))[:count]


def deletion_cost(pod: Mapping) -> int:
    """The Pod's deletion cost; 0 where the annotation is missing or not a 32-bit number."""
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    try:
        cost = int(text)
    except ValueError:
        return 0
    return cost if -(2**31) <= cost < 2**31 else 0


def _compare(a: Mapping, b: Mapping, on_node: Mapping[str, int], now: float) -> int:
    """Negative where `a` dies before `b`."""
    ours, theirs = _static(a, on_node), _static(b, on_node)
    if ours != theirs:
        return -1 if ours < theirs else 1
    since_a, since_b = pods.ready_since(a), pods.ready_since(b)
    if pods.is_ready(a) and since_a != since_b:
        return _younger_first(since_a, since_b, a, b, now)
    if difference := _restarts(b) - _restarts(a):
        return difference
    created_a = a["metadata"].get("creationTimestamp")
    created_b = b["metadata"].get("creationTimestamp")
    if created_a != created_b:
        return _younger_first(created_a, created_b, a, b, now)
    return 0


def _static(pod: Mapping, on_node: Mapping[str, int]) -> tuple:
    node = pods.node_name(pod)
    return (
        bool(node),
        _PHASES.get(pods.phase(pod), 0),
        pods.is_ready(pod),
        deletion_cost(pod),
        -on_node.get(node, 0),
    )


def _younger_first(
    time_a: str | None, time_b: str | None, a: Mapping, b: Mapping, now: float
) -> int:
    if not time_a or not time_b:  # unknown counts as the youngest
        return -1 if not time_a else 1
    if difference := _magnitude(time_a, now) - _magnitude(time_b, now):
        return difference
    return -1 if (a["metadata"].get("uid") or "") < (b["metadata"].get("uid") or "") else 1


def _magnitude(since: str, now: float) -> int:
    nanoseconds = (now - times.parse(since)) * 1e9
    return int(math.log2(nanoseconds)) if nanoseconds >= 1 else -1


def _restarts(pod: Mapping) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((status.get("restartCount") or 0 for status in statuses), default=0)
