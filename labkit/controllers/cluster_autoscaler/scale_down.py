"""Which nodes nobody needs.

A node is unneeded if little of it is requested and its Pods would fit elsewhere.  The planner
remembers since when; `removable` are those for which that has been long enough.  Nodes are tried
one after the other, and what would move stays moved for those that follow, so that all that are
unneeded at once could go at once.

Source: core/scaledown/planner, eligibility, unneeded and unremovable; simulator/cluster and
simulator/utilization.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labkit.controllers.cluster_autoscaler.drainability import drain, is_daemon, is_stuck
from labkit.controllers.cluster_autoscaler.seams import ClusterSnapshot, NodeGroup
from labkit.controllers.cluster_autoscaler.settings import ClusterAutoscalerSettings
from labkit.kube import conditions, objects, taints

TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
DELETION_CANDIDATE = "DeletionCandidateOfClusterAutoscaler"
SCALE_DOWN_DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"

_GHOST = {"key": TO_BE_DELETED, "value": "", "effect": taints.NO_SCHEDULE}


class Removal(NamedTuple):
    """A node that may go, with the Pods that have to move first."""

    node: Mapping
    pods: Sequence[Mapping]

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node["metadata"]["name"]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the planner is told: Nodes by name, those under deletion, and PodDisruptionBudgets."""

    nodes: Mapping[str, Mapping]
    deleting: frozenset[str]
    budgets: Sequence[Mapping]


class Planner:
    """`unneeded` are nodes and since when (seconds), `reasons` why others are not."""

    def __init__(self, settings: ClusterAutoscalerSettings) -> None:
        self._settings = settings
        self.unneeded: dict[str, float] = {}
        self.reasons: dict[str, str] = {}
        self._removals: dict[str, Removal] = {}
        self._retry: dict[str, float] = {}  # nodes that could not go, until when that is believed

    def clear(self) -> None:
        """Forget since when nodes are unneeded."""
        self.unneeded, self._removals = {}, {}

    def update(
        self, snapshot: ClusterSnapshot, candidates: Iterable[str], cluster: Cluster, now: float
    ) -> None:
        """Look at all candidates; the snapshot is as before afterwards."""
        self._retry = {
            name: until
            for name, until in self._retry.items()
            if until > now and name in cluster.nodes
        }
        self.reasons = {}
        mark = snapshot.mark()
        if _replace_drained(snapshot, cluster, self._settings, now):
            found = list(self._categorize(snapshot, candidates, cluster, now))
            self._removals = {each.name: each for each in found}
            self.unneeded = {each.name: self.unneeded.get(each.name, now) for each in found}
        else:
            self.clear()  # Pods of nodes that go already have no place: no more nodes may go
        snapshot.revert(mark)

    def _categorize(
        self, snapshot: ClusterSnapshot, candidates: Iterable[str], cluster: Cluster, now: float
    ) -> Iterable[Removal]:
        places = {name for name in cluster.nodes if name not in cluster.deleting}
        for name in self._ordered(snapshot, candidates, now):
            node = cluster.nodes[name]
            why = self._ineligible(snapshot, node, now)
            if not why:
                tried = _remove(snapshot, node, places, cluster.budgets, self._settings, now)
                if isinstance(tried, Removal):
                    places.discard(name)
                    yield tried
                    continue
                why = tried
                self._retry[name] = now + self._settings.unremovable_node_recheck_timeout
            self.reasons[name] = why

    def _ordered(
        self, snapshot: ClusterSnapshot, candidates: Iterable[str], now: float
    ) -> list[str]:
        """Empty nodes first, then those that were unneeded before."""

        def rank(name: str) -> tuple:
            moving = drain(snapshot.pods(name), (), self._settings, now)
            return bool(moving.pods or moving.blocking), name not in self.unneeded, name

        return sorted(candidates, key=rank)

    def _ineligible(self, snapshot: ClusterSnapshot, node: Mapping, now: float) -> str:
        """Why a node is not even tried (simulator.UnremovableReason); empty if it is."""
        meta = node["metadata"]
        if meta["name"] in self._retry:
            return "RecentlyUnremovable"
        if (meta.get("annotations") or {}).get(SCALE_DOWN_DISABLED) == "true":
            return "ScaleDownDisabledAnnotation"
        share = utilization(snapshot, node, self._settings, now)
        if share >= self._settings.scale_down_utilization_threshold:
            return "NotUnderutilized"
        return ""

    def removable(
        self, groups: Mapping[str, NodeGroup], cluster: Cluster, now: float
    ) -> list[Removal]:
        """The nodes that may go now: long enough unneeded, and above their group's minimum.

        As many at once as the settings allow, empty ones first; `groups` has the group of each.
        """
        going = [groups[name].id for name in cluster.deleting if name in groups]
        left = {group.id: group.target_size() - going.count(group.id) for group in groups.values()}
        found = []
        for removal in sorted(self._removals.values(), key=lambda each: bool(each.pods)):
            group, node = groups[removal.name], removal.node
            if now - self.unneeded[removal.name] <= self._patience(node):
                continue
            if left[group.id] > group.min_size:
                left[group.id] -= 1
                found.append(removal)
        return found

    def _patience(self, node: Mapping) -> float:
        if conditions.is_true(node, "Ready"):
            return self._settings.scale_down_unneeded_time
        return self._settings.scale_down_unready_time


def within_budgets(
    found: Iterable[Removal], in_progress: Mapping[str, bool], settings: ClusterAutoscalerSettings
) -> list[Removal]:
    """As many removals as may begin; `in_progress` are nodes that go, and whether emptied first."""
    room = settings.max_scale_down_parallelism - len(in_progress)
    drains = settings.max_drain_parallelism - sum(in_progress.values())
    chosen: list[Removal] = []
    for removal in found:
        if len(chosen) < room and (not removal.pods or drains > 0):
            drains -= bool(removal.pods)
            chosen.append(removal)
    return chosen


def utilization(
    snapshot: ClusterSnapshot, node: Mapping, settings: ClusterAutoscalerSettings, now: float
) -> float:
    """The larger of the shares of a node's CPU and memory that are requested."""
    there = [pod for pod in snapshot.pods(node["metadata"]["name"]) if not is_stuck(pod, now)]
    if not settings.ignore_daemonsets_utilization:
        return max(snapshot.share(there, node))
    daemons = snapshot.share([pod for pod in there if is_daemon(pod)], node)
    others = snapshot.share([pod for pod in there if not is_daemon(pod)], node)
    return max(
        other / (1 - daemon) if daemon < 1 else 0.0
        for other, daemon in zip(others, daemons, strict=True)
    )


def _remove(
    snapshot: ClusterSnapshot,
    node: Mapping,
    places: set[str],
    budgets: Sequence[Mapping],
    settings: ClusterAutoscalerSettings,
    now: float,
) -> Removal | str:
    """Let a node go, in thought; if it cannot, all is as before, and the answer is why."""
    name = node["metadata"]["name"]
    moving = drain(snapshot.pods(name), budgets, settings, now)
    if moving.blocking:
        return f"BlockedByPod {objects.key(moving.blocking)}: {moving.reason}"
    mark = snapshot.mark()
    # It stays as one that takes no Pods: for topology spread it is there until it is gone.
    tainted = {**node["spec"], "taints": [*(node["spec"].get("taints") or ()), _GHOST]}
    snapshot.set_node({**node, "spec": tainted})
    if not _move(snapshot, moving.pods, places - {name}):
        snapshot.revert(mark)
        return "NoPlaceToMovePods"
    return Removal(node, moving.pods)


def _move(snapshot: ClusterSnapshot, moving: Iterable[Mapping], places: set[str]) -> bool:
    """Place Pods elsewhere, one by one; whether all have found a place."""
    moving = list(moving)
    for pod in moving:
        snapshot.remove_pod(pod)
    for pod in moving:
        name = snapshot.find(pod, places)
        if name is None:
            return False
        snapshot.place(pod, name)
    return True


def _replace_drained(
    snapshot: ClusterSnapshot, cluster: Cluster, settings: ClusterAutoscalerSettings, now: float
) -> bool:
    """Give the Pods of nodes that are being emptied their next place, in thought."""
    places = {name for name in cluster.nodes if name not in cluster.deleting}
    for name in sorted(cluster.deleting & cluster.nodes.keys()):
        moving = drain(snapshot.pods(name), (), settings, now)
        if not _move(snapshot, moving.pods, places):
            return False
    return True
