"""Scores: which of the possible nodes is best.

A score is a function of (Pod, node) that gives a raw number; `normalized` brings the raw numbers of
all possible nodes to 0..100, the weights of `WEIGHTS` add them up.  Defaults as upstream: spread
out (LeastAllocated), keep CPU and memory in balance, prefer nodes that have the images.

Source: kube-scheduler's default plugins and their weights; documentation "Scheduling Policies",
"Node affinity weight".  The scores PodTopologySpread and InterPodAffinity look at all nodes: see
`spread` and `neighbours`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.kube import taints
from labkit.scheduler.filters import matches_term
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import CPU, MEMORY, PodView

BEST = 100  # MaxNodeScore
WEIGHTS = {
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "NodeResourcesFit": 1,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
}
_MEGABYTE = 1024 * 1024
_SMALL_IMAGE, _LARGE_IMAGE = 23 * _MEGABYTE, 1000 * _MEGABYTE


def least_allocated(pod: PodView, node: NodeInfo) -> int:
    """The mean share of CPU and memory that would be left, in percent."""
    cpu, memory = node.capacity
    of_cpu = _left(node.nonzero_cpu + pod.nonzero[0], cpu)
    of_memory = _left(node.nonzero_memory + pod.nonzero[1], memory)
    return (of_cpu + of_memory) // 2 if cpu and memory else of_cpu + of_memory


def _left(used: int, capacity: int) -> int:
    return (capacity - used) * BEST // capacity if used < capacity else 0


def balanced_allocation(pod: PodView, node: NodeInfo) -> int:
    """50..100: more where the Pod brings the used shares of CPU and of memory nearer together.

    75 means that the Pod changes nothing.  A Pod that requests neither is not scored.
    """
    cpu, memory = pod.requests.get(CPU, 0), pod.requests.get(MEMORY, 0)
    if not cpu and not memory:
        return 0
    used_cpu, used_memory = node.requested.get(CPU, 0), node.requested.get(MEMORY, 0)
    after = _balance(used_cpu + cpu, used_memory + memory, node.capacity)
    before = _balance(used_cpu, used_memory, node.capacity)
    # Go's division cuts towards zero; this sum is never negative, so that // does the same.
    return BEST // 2 + (BEST // 2 + after - before) // 2


def _balance(cpu: int, memory: int, capacity: tuple[int, int]) -> int:
    """100 where the same share of CPU and of memory is used, less with their distance."""
    if not capacity[0] or not capacity[1]:
        return BEST
    deviation = abs(min(1.0, cpu / capacity[0]) - min(1.0, memory / capacity[1])) / 2
    return int((1 - deviation) * BEST)


def untolerated_preferences(pod: PodView, node: NodeInfo) -> int:
    """How many PreferNoSchedule taints the Pod does not tolerate (fewer is better)."""
    tolerations = pod.spec.get("tolerations")
    return sum(
        taint.get("effect") == taints.PREFER_NO_SCHEDULE
        and not taints.tolerated(tolerations, taint)
        for taint in node.taints
    )


def preferred_affinity(pod: PodView, node: NodeInfo) -> int:
    """The sum of the weights of the preferred node affinity terms that match."""
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    return sum(
        term["weight"]
        for term in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        if term.get("weight") and _prefers(term.get("preference") or {}, node)
    )


def _prefers(term: Mapping, node: NodeInfo) -> bool:
    # A preference without requirements is for every node, unlike a required term.
    return not any(term.values()) or matches_term(term, node)


def image_locality(pod: PodView, node: NodeInfo, on_nodes: Mapping[str, int], nodes: int) -> int:
    """How much of the Pod's images is on the node already, weighed by how widely they are spread.

    `on_nodes` tells on how many of `nodes` an image is: one that only a single node has should not
    draw all Pods there.
    """
    present = sum(
        node.images[name] * on_nodes.get(name, 0) // max(1, nodes)
        for name in map(normalized_image, pod.images)
        if name in node.images
    )
    most = _LARGE_IMAGE * max(1, len(pod.images))
    clamped = min(max(present, _SMALL_IMAGE), most)
    return BEST * (clamped - _SMALL_IMAGE) // (most - _SMALL_IMAGE)


def normalized_image(name: str) -> str:
    """An image's name with its tag, `latest` by default."""
    return name if ":" in name.rsplit("/", 1)[-1] or "@" in name else f"{name}:latest"


def normalized(raw: Sequence[int], reverse: bool = False) -> list[int]:
    """Raw numbers as 0..100 of the largest; `reverse` where less is better."""
    most = max(raw, default=0)
    if most == 0:
        return [BEST if reverse else 0] * len(raw)
    scaled = [number * BEST // most for number in raw]
    return [BEST - number for number in scaled] if reverse else scaled
