"""Which Pods of a node have to go elsewhere before it can go, and which keep it.

The rules are asked in upstream's order; the first that has something to say decides.

Source: cluster-autoscaler simulator/drainability/rules; FAQ, "What types of pods can prevent CA
from removing a node?".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from labkit.controllers.cluster_autoscaler.settings import ClusterAutoscalerSettings
from labkit.kube import objects, pods, selectors, times

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
LOCAL_VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
_MIRROR = "kubernetes.io/config.mirror"
_REPLICATED = ("ReplicationController", "Job", "ReplicaSet", "StatefulSet")
_LONG = 30.0  # seconds after its grace period that a Pod should have ended

STAYS, MOVES = "stays", "moves"  # until the node goes; to another node


class Drain(NamedTuple):
    """The Pods that move, or the one that must not, and why."""

    pods: Sequence[Mapping]
    blocking: Mapping | None = None
    reason: str = ""


def drain(
    found: Iterable[Mapping],
    budgets: Sequence[Mapping],
    settings: ClusterAutoscalerSettings,
    now: float,
) -> Drain:
    """What becomes of the Pods of a node if it goes; `budgets` are PodDisruptionBudgets."""
    moving = []
    for pod in found:
        verdict = judge(pod, budgets, settings, now)
        if verdict == MOVES:
            moving.append(pod)
        elif verdict != STAYS:
            return Drain((), pod, verdict)
    return Drain(moving)


def judge(
    pod: Mapping, budgets: Sequence[Mapping], settings: ClusterAutoscalerSettings, now: float
) -> str:
    """STAYS, MOVES, or why the Pod keeps its node (upstream's BlockingPodReason)."""
    if _annotation(pod, _MIRROR) is not None or is_stuck(pod, now) or is_daemon(pod):
        return STAYS
    if _annotation(pod, SAFE_TO_EVICT) == "true" or pods.is_terminal(pod):
        return MOVES
    covering = [each for each in budgets if _covers(each, pod)]
    if (objects.controller_of(pod) or {}).get("kind") not in _REPLICATED:
        return "NotReplicated"
    system = pod["metadata"]["namespace"] == "kube-system"
    if settings.skip_nodes_with_system_pods and system and not covering:
        return "UnmovableKubeSystemPod"
    if _annotation(pod, SAFE_TO_EVICT) == "false":
        return "NotSafeToEvictAnnotation"
    if settings.skip_nodes_with_local_storage and _has_local_storage(pod):
        return "LocalStorageRequested"
    if any((each.get("status") or {}).get("disruptionsAllowed", 0) < 1 for each in covering):
        return "NotEnoughPdb"
    return MOVES


def is_daemon(pod: Mapping) -> bool:
    """Whether a DaemonSet made the Pod."""
    return (objects.controller_of(pod) or {}).get("kind") == "DaemonSet"


def is_stuck(pod: Mapping, now: float) -> bool:
    """Whether the Pod should have ended long ago: nobody there to end it (IsPodLongTerminating)."""
    stamp = pod["metadata"].get("deletionTimestamp")
    grace = pod["spec"].get("terminationGracePeriodSeconds") or 0
    return bool(stamp) and times.parse(stamp) + grace + _LONG < now


def _annotation(pod: Mapping, name: str) -> str | None:
    return (pod["metadata"].get("annotations") or {}).get(name)


def _covers(budget: Mapping, pod: Mapping) -> bool:
    selector = selectors.from_label_selector(budget["spec"].get("selector"))
    same = budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and bool(selector) and selectors.matches(selector, objects.labels(pod))


def _has_local_storage(pod: Mapping) -> bool:
    safe = {name.strip() for name in (_annotation(pod, LOCAL_VOLUMES) or "").split(",")}
    return any(
        "hostPath" in volume
        or ("emptyDir" in volume and (volume["emptyDir"] or {}).get("medium") != "Memory")
        for volume in pod["spec"].get("volumes") or ()
        if volume["name"] not in safe
    )
