"""The scheduler's own picture of the cluster: nodes, the Pods on them, the Pods it assumes there.

A Pod counts on its node from the moment it is decided (`assume`), not when the watch shows its
binding: otherwise the next Pod of a burst would be promised the same place.  When a binding fails
the assumption is taken back (`forget`).

Every change of a node is a line in a log, so that whoever keeps something derived from nodes
(`placement`) has to look at the changed ones only.

Source: kube-scheduler's internal cache (assumed Pods, NodeInfo generations, nodeTree).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest

from labkit.kube import objects, pods
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PodView, view

_ZONE = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_LOG = 20_000  # lines; one who is further behind starts anew


class Cache:
    """Nodes and Pods, from the watches' handlers and from the scheduler's decisions."""

    def __init__(self) -> None:
        self.infos: dict[str, NodeInfo] = {}
        self.order: list[str] = []  # names of existing nodes, for taking turns
        self._arrived: dict[str, None] = {}  # the same as they came
        self._unarranged = False  # whether `order` may not take zones by turns any more
        self.places: dict[str, int] = {}  # the place of each name in `order`
        self.images: Counter[str] = Counter()  # on how many nodes an image is
        self.epoch = 0  # grows when all that is derived from nodes has become void
        self.namespaces: dict[str, Mapping[str, str]] = {}  # the labels of each
        self.priorities: Counter[int] = Counter()  # of all Pods that are placed
        # By node, by UID: Pods that wait until others have made room for them there.
        self.nominated: dict[str, dict[str, PodView]] = {}
        self._nominations: dict[str, str] = {}  # Pod UID → node name
        self._nodes_of: dict[str, str] = {}  # Pod UID → node name
        self._assumed: set[str] = set()
        self._log: list[str] = []
        self._dropped = 0

    # Changes, to be read by whoever derives something.

    def mark(self) -> int:
        """The end of the log, from which `since` continues."""
        return self._dropped + len(self._log)

    def since(self, mark: int) -> set[str] | None:
        """Names of the nodes changed since `mark`; None if that is too long ago."""
        return None if mark < self._dropped else set(self._log[mark - self._dropped :])

    def _changed(self, name: str) -> None:
        self._log.append(name)
        if len(self._log) > _LOG:
            del self._log[: _LOG // 2]
            self._dropped += _LOG // 2

    # Nodes.

    def set_node(self, old: Mapping | None, new: Mapping | None) -> bool:
        """Take over a change of a Node; whether it is one that matters."""
        if old and new and _relevant(old) == _relevant(new):
            return False  # a heartbeat
        name = (new or old)["metadata"]["name"]
        info = self.infos.setdefault(name, NodeInfo(name))
        before = set(info.images), _zone(info)
        info.set_node(new)
        self._count_images(before[0], set(info.images))
        self._unarranged = self._unarranged or before[1] != _zone(info) or old is None
        if old is None:
            self.places[name] = len(self.order)
            self.order.append(name)
            self._arrived[name] = None
        elif new is None:
            self._remove_node(info)
        self._changed(name)
        return True

    def _remove_node(self, info: NodeInfo) -> None:
        del self._arrived[info.name]
        self._unarranged = True
        self._set_order([name for name in self.order if name != info.name])
        if not info.pods:
            del self.infos[info.name]

    def _set_order(self, order: list[str]) -> None:
        self.order = order
        self.places = {name: place for place, name in enumerate(order)}
        self.epoch += 1

    def arrange(self) -> None:
        """Let nodes of all zones come by turns, so that the first hundreds are of every zone."""
        if not self._unarranged:
            return
        self._unarranged = False
        zones: dict[tuple, list[str]] = {}
        for name in self._arrived:
            zones.setdefault(_zone(self.infos[name]), []).append(name)
        turns = zip_longest(*zones.values())
        order = [name for turn in turns for name in turn if name is not None]
        if order != self.order:
            self._set_order(order)

    def _count_images(self, before: set[str], after: set[str]) -> None:
        if before != after:
            self.images.subtract(before)
            self.images.update(after)

    def set_namespace(self, old: Mapping | None, new: Mapping | None) -> bool:
        """Take over a change of a Namespace; whether its labels, which terms select, are others."""
        name = (new or old)["metadata"]["name"]
        labels = objects.labels(new) if new else None
        if self.namespaces.get(name) == labels:
            return False
        self.namespaces.pop(name, None)
        if labels is not None:
            self.namespaces[name] = labels
        self.epoch += 1
        return True

    # Pods.

    def set_pod(
        self, old: Mapping | None, new: Mapping | None
    ) -> tuple[PodView | None, PodView | None]:
        """Take over a change of a Pod: what was on a node before, and what is after.

        The same twice where nothing has changed that matters to others.
        """
        uid = _uid(new or old)
        before = self._placed(uid)
        if new is not None and pods.node_name(new) and not pods.is_terminal(new):
            assumed = uid in self._assumed
            self._place(old, new)
            return None if assumed else before, self._placed(uid)
        if uid in self._assumed and new is not None and not pods.is_terminal(new):
            return before, before  # assumed, and the watch has not shown the binding yet
        self._remove(uid)
        return before, None

    def _placed(self, uid: str) -> PodView | None:
        name = self._nodes_of.get(uid)
        return self.infos[name].pods[uid] if name else None

    def _place(self, old: Mapping | None, pod: Mapping) -> None:
        uid, name = _uid(pod), pods.node_name(pod)
        self._assumed.discard(uid)
        if self._nodes_of.get(uid) == name and (old is None or _same_demand(old, pod)):
            self._note_start(uid, name, pod)
        else:
            self._put(view(pod), name)

    def _note_start(self, uid: str, name: str, pod: Mapping) -> None:
        """Remember when the Pod began: what preemption looks at, and nobody else."""
        started = (pod.get("status") or {}).get("startTime") or ""
        known = self.infos[name].pods[uid]
        if known.started != started:
            self.infos[name].pods[uid] = replace(known, started=started)

    def assume(self, pod: PodView, name: str) -> None:
        """Count the Pod on the node, though its binding is not confirmed."""
        self._assumed.add(pod.uid)
        self._put(pod, name)

    def forget(self, pod: PodView) -> None:
        """Take an assumption back: the binding failed."""
        if pod.uid in self._assumed:
            self._remove(pod.uid)

    def is_assumed(self, uid: str) -> bool:
        """Whether the Pod is placed already, as far as the scheduler is concerned."""
        return uid in self._nodes_of

    def node_of(self, uid: str) -> str:
        """The node that the Pod is placed on, empty for none."""
        return self._nodes_of.get(uid, "")

    def _put(self, pod: PodView, name: str) -> None:
        self._remove_from(pod.uid, self._nodes_of.get(pod.uid))
        self.infos.setdefault(name, NodeInfo(name)).add(pod)
        self.priorities[pod.priority] += 1
        self._nodes_of[pod.uid] = name
        self._changed(name)

    def _remove(self, uid: str) -> None:
        self._assumed.discard(uid)
        self._remove_from(uid, self._nodes_of.pop(uid, None))

    def _remove_from(self, uid: str, name: str | None) -> None:
        if name is None:
            return
        info = self.infos[name]
        priority = info.pods[uid].priority
        self.priorities[priority] -= 1
        if not self.priorities[priority]:
            del self.priorities[priority]
        info.remove(uid)
        if info.node is None and not info.pods:
            del self.infos[name]
        self._changed(name)

    # Nominations.

    def nominate(self, pod: PodView, name: str) -> None:
        """The Pod is expected on the node; an empty name takes that back."""
        before = self._nominations.pop(pod.uid, None)
        for each in {before, name} & self.infos.keys():
            self._changed(each)
        if before:
            self.nominated[before].pop(pod.uid, None)
            if not self.nominated[before]:
                del self.nominated[before]
        if name:
            self._nominations[pod.uid] = name
            self.nominated.setdefault(name, {})[pod.uid] = pod

    def nomination(self, uid: str) -> str:
        """The node that the Pod is expected on, empty for none."""
        return self._nominations.get(uid, "")

    def guests(self, pod: PodView) -> dict[str, list[PodView]]:
        """By node: Pods expected there that `pod` has to leave room for."""
        found = {
            name: [
                each
                for each in pods.values()
                if each.priority >= pod.priority and each.uid != pod.uid
            ]
            for name, pods in self.nominated.items()
        }
        return {name: expected for name, expected in found.items() if expected}


def _zone(info: NodeInfo) -> tuple[str | None, ...]:
    return tuple(map(info.labels.get, _ZONE))


def _uid(pod: Mapping) -> str:
    return pod["metadata"].get("uid") or objects.key(pod)


def _relevant(node: Mapping) -> tuple:
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return (
        objects.labels(node),
        spec.get("taints"),
        spec.get("unschedulable"),
        status.get("allocatable") or status.get("capacity"),
        status.get("images"),
    )


def _same_demand(old: Mapping, new: Mapping) -> bool:
    """Whether two versions of a Pod take the same from their node and count the same."""
    spec = old["spec"]
    if not pods.node_name(old):  # it was bound meanwhile, to the node where it is assumed
        spec = {**spec, "nodeName": pods.node_name(new)}
    return (
        spec == new["spec"]
        and objects.labels(old) == objects.labels(new)
        and objects.is_deleting(old) == objects.is_deleting(new)
    )
