"""Whether a node takes a Pod that was given to it: a pure function.

A scheduler looks at the same numbers, so a Pod is refused when it came by another way (`nodeName`),
or when two schedulers did not know of each other.  A refused Pod has failed; what owns it makes
another one.

Source: kubelet's lifecycle handlers (predicate.go) and its eviction manager's Admit.  Left out:
node affinity, taints, extended resources, making room for critical Pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.kube import quantity, resourcelist
from labkit.kubelet import eviction
from labkit.kubelet.view import Evicted

_UNITS = {"cpu": quantity.milli_value, "memory": quantity.value}


def refusal(
    pod: Mapping, others: Iterable[Mapping], allocatable: Mapping[str, str], *, pressure: bool
) -> Evicted | None:
    """Why the node does not take `pod` beside `others`; `pressure` is that memory is short."""
    if pressure and not eviction.is_admitted(pod):
        return _refused(eviction.REASON, "The node had condition: [MemoryPressure]. ")
    if eviction.is_critical(pod):
        return None
    others = list(others)
    room = int(allocatable["pods"])
    if len(others) + 1 > room:
        return _out_of("pods", 1, len(others), room)
    wanted = resourcelist.pod_requests(pod["spec"])
    for name, amount in _UNITS.items():
        if not (asked := amount(wanted.get(name, "0"))):
            continue
        used = sum(amount(resourcelist.pod_requests(one["spec"]).get(name, "0")) for one in others)
        if used + asked > (room := amount(allocatable[name])):
            return _out_of(name, asked, used, room)
    return None


def _out_of(name: str, asked: int, used: int, capacity: int) -> Evicted:
    return _refused(
        f"OutOf{name}",
        f"Node didn't have enough resource: {name}, requested: {asked}, used: {used}, "
        f"capacity: {capacity}",
    )


def _refused(reason: str, why: str) -> Evicted:
    return Evicted(f"Pod was rejected: {why}", 0, False, reason)
