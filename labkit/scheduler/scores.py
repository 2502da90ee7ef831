"""Scores: which of the possible nodes is best.

A score is a function of (Pod, node) that gives a raw number; `normalized` brings the raw numbers of
all possible nodes to 0..100, the weights of `WEIGHTS` add them up.  Defaults as upstream: spread
out (LeastAllocated), keep CPU and memory in balance, prefer nodes that have the images.

Source: kube-scheduler's default plugins and their weights; documentation "Scheduling Policies",
"Node affinity weight".  The score PodTopologySpread needs all nodes: see `spread`.
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
    "NodeResourcesFit": 1,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
}
_MEGABYTE = 1024 * 1024
_SMALL_IMAGE, _LARGE_IMAGE = 23 * _MEGABYTE, 1000 * _MEGABYTE


def least_allocated(pod: PodView, node: NodeInfo) -> int:
    """The mean share of CPU and memory that would be left, in percent."""
    cpu, memory = node.capacity
    shares = []
    for capacity, used in (
        (cpu, node.nonzero_cpu + pod.nonzero[0]),
        (memory, node.nonzero_memory + pod.nonzero[1]),
    ):
        if capacity:
            shares.append((capacity - used) * BEST // capacity if used <= capacity else 0)
    return sum(shares) // len(shares) if shares else 0


def balanced_allocation(pod: PodView, node: NodeInfo) -> int:
    """100 where the same share of CPU and of memory would be requested, less with their distance.

    A Pod that requests neither changes no balance and is not scored.
    """
    if not pod.requests.get(CPU) and not pod.requests.get(MEMORY):
        return 0
    cpu, memory = node.capacity
    if not cpu or not memory:
        return BEST
    of_cpu = (node.requested.get(CPU, 0) + pod.requests.get(CPU, 0)) / cpu
    of_memory = (node.requested.get(MEMORY, 0) + pod.requests.get(MEMORY, 0)) / memory
    deviation = abs(min(1.0, of_cpu) - min(1.0, of_memory)) / 2
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
