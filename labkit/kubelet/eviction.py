"""When a node is short of memory, and which Pod goes first: pure functions.

A threshold such as `memory.available<100Mi` is met when the node's capacity less what its Pods use
falls below it.  The Pods are ranked: those that use more than they asked for come first, then those
of lower priority, then by how much they use beyond what they asked for.

Source: kubelet's eviction manager (pkg/kubelet/eviction/helpers.go, eviction_manager.go);
documentation "Node-pressure Eviction".  Left out: signals other than memory.available, soft
thresholds, minimum reclaim.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from labkit.kube import quantity, resourcelist, taints

if TYPE_CHECKING:
    from labkit.kubelet.stats import PodUsage  # which knows the node, which asks for `threshold`

REASON = "Evicted"
GRACE = 1  # seconds, for a hard threshold (immediateEvictionGracePeriodSeconds)
_SIGNAL = "memory.available"
_SYSTEM_CRITICAL = 2_000_000_000  # priority from which on a Pod is critical
_BEST_EFFORT = "BestEffort"


def threshold(text: str, capacity: int) -> int:
    """The bytes of `memory.available<100Mi` or `...<5%` of a node's capacity; 0 for no threshold.

    Raises ValueError for another signal or something that is no amount.
    """
    if not text:
        return 0
    signal, _, amount = text.partition("<")
    if signal != _SIGNAL:
        raise ValueError(f"{_SIGNAL} is the only signal that there is here, not {signal}")
    if amount.endswith("%"):
        return math.ceil(Fraction(amount[:-1]) * capacity / 100)
    return quantity.value(amount)


def is_critical(pod: Mapping) -> bool:
    """Whether a Pod is never evicted for its node's sake."""
    return (pod["spec"].get("priority") or 0) >= _SYSTEM_CRITICAL


def ranked(usages: Iterable[PodUsage]) -> list[PodUsage]:
    """The Pods in the order in which they are evicted, critical ones left out."""
    return sorted((one for one in usages if not is_critical(one.pod)), key=_rank)


def _rank(usage: PodUsage) -> tuple:
    beyond = usage.total.memory - _request(usage.pod["spec"])
    return beyond <= 0, usage.pod["spec"].get("priority") or 0, -beyond


def _request(spec: Mapping) -> int:
    return quantity.value(resourcelist.pod_requests(spec).get("memory", "0"))


def message(usage: PodUsage, limit: int, available: int) -> str:
    """Why a Pod goes: status.message and the Event."""
    words = [
        "The node was low on resource: memory. "
        f"Threshold quantity: {_text(limit)}, available: {_text(available)}. "
    ]
    spec = usage.pod["spec"]
    for container in (*spec["containers"], *(spec.get("initContainers") or ())):
        if container["name"] not in usage.containers:
            continue
        used = usage.containers[container["name"]][1].memory
        request = resourcelist.of_container(container, "requests").get("memory", "0")
        if used > quantity.value(request):
            words.append(
                f"Container {container['name']} was using {_text(used)}, request is {request}, "
                "has larger consumption of memory. "
            )
    return "".join(words)


def _text(size: int) -> str:
    return quantity.format_quantity(size, "BinarySI")


def over_limit(pod: Mapping, used: Mapping[str, int]) -> str:
    """Why a Pod goes that has put too much into an emptyDir; `used` are bytes by volume."""
    for volume in pod["spec"].get("volumes") or ():
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit and 0 < quantity.value(limit) < used.get(volume["name"], 0):
            name = volume["name"]
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
    return ""


def is_admitted(pod: Mapping) -> bool:
    """Whether a new Pod may come to a node that is short of memory."""
    if is_critical(pod) or (pod.get("status") or {}).get("qosClass") != _BEST_EFFORT:
        return True
    taint = {"key": "node.kubernetes.io/memory-pressure", "effect": taints.NO_SCHEDULE}
    return taints.tolerated(pod["spec"].get("tolerations"), taint)
