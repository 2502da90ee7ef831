"""How many machines Pods that fit nowhere need, and of which group.

`plan` is a function of the snapshot, the groups and the Pods: it changes nothing but what it takes
back.  For each group the Pods are packed onto machines in thought, the largest first, each onto the
first machine that the scheduler's filters allow (first-fit decreasing).  Of the groups that can
help, the one is taken whose machines would stay emptiest least: the expander "least-waste".

Source: core/scaleup/orchestrator, estimator/binpacking_estimator, expander/waste,
core/podlistprocessor/filter_out_schedulable, processors/status (the Events' words).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from labkit.controllers.cluster_autoscaler.seams import ClusterSnapshot, NodeGroup
from labkit.controllers.cluster_autoscaler.settings import ClusterAutoscalerSettings
from labkit.kube import conditions, objects, pods, times
from labkit.kube.encoding import compact

MAX_REACHED = "max node group size reached"
TOTAL_REACHED = "max total nodes in cluster reached"
_HOSTNAME = "kubernetes.io/hostname"
_PATIENCE = 2.0  # seconds: a younger Pod may be the first of many (unschedulablePodTimeBuffer)


class Expansion(NamedTuple):
    """A group that grows."""

    group: NodeGroup
    before: int
    after: int

    def __str__(self) -> str:
        return f"{{{self.group.id} {self.before}->{self.after} (max: {self.group.max_size})}}"


class Plan(NamedTuple):
    """What to order, for whom; or for each Pod that cannot be helped, why."""

    expansion: Expansion | None = None
    helped: Sequence[Mapping] = ()
    helpless: Sequence[tuple[Mapping, str]] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A group with its template, and the Pods of DaemonSets that would run on each machine."""

    group: NodeGroup
    template: Mapping
    daemons: Sequence[Mapping] = ()

    def node(self, name: str) -> Mapping:
        """The Node of a machine that does not exist."""
        meta = self.template["metadata"]
        labels = {**objects.labels(self.template), _HOSTNAME: name}
        return {**self.template, "metadata": {**meta, "name": name, "labels": labels}}

    def join(self, snapshot: ClusterSnapshot, name: str) -> None:
        """Let such a machine be there, in thought."""
        there = [
            {**pod, "metadata": {**pod["metadata"], "uid": f"{name}/{pod['metadata']['uid']}"}}
            for pod in self.daemons
        ]
        snapshot.add_node(self.node(name), there)


class Option(NamedTuple):
    """What a group could do: so many machines, for these Pods."""

    offer: Offer
    count: int
    pods: Sequence[Mapping]


# Which Pods.


def unschedulable(
    waiting: Iterable[Mapping], settings: ClusterAutoscalerSettings, now: float
) -> list[Mapping]:
    """Of the Pods without a node those for which machines may be ordered, most important first."""
    found = [pod for pod in waiting if _counts(pod, settings, now)]
    return sorted(found, key=lambda pod: (-priority(pod), _created(pod), objects.key(pod)))


def _counts(pod: Mapping, settings: ClusterAutoscalerSettings, now: float) -> bool:
    scheduled = conditions.get(pod, "PodScheduled") or {}
    owner = objects.controller_of(pod) or {}
    return (
        scheduled.get("status") == "False"
        and scheduled.get("reason") == "Unschedulable"
        and pods.is_active(pod)
        and owner.get("kind") != "DaemonSet"
        and not (pod.get("status") or {}).get("nominatedNodeName")  # others make room for it
        and priority(pod) >= settings.expendable_pods_priority_cutoff
        and _created(pod) + settings.new_pod_scale_up_delay <= now
    )


def priority(pod: Mapping) -> int:
    """A Pod's priority."""
    return pod["spec"].get("priority") or 0


def all_are_new(found: Iterable[Mapping], now: float) -> bool:
    """Whether more of their kind may be about to come, so that waiting a moment is worth it."""
    return all(_created(pod) + _PATIENCE > now for pod in found)


def _created(pod: Mapping) -> float:
    return times.parse(pod["metadata"]["creationTimestamp"])


def without_place(snapshot: ClusterSnapshot, found: Iterable[Mapping]) -> list[Mapping]:
    """The Pods that fit on no node there is; the others are placed, in thought."""
    left = []
    for pod in found:
        if name := snapshot.find(pod):
            snapshot.place(pod, name)
        else:
            left.append(pod)
    return left


# What to order.


def plan(
    snapshot: ClusterSnapshot,
    offers: Sequence[Offer],
    found: Sequence[Mapping],
    settings: ClusterAutoscalerSettings,
    nodes: int,
    source: random.Random,
) -> Plan:
    """The machines that help the Pods; `nodes` is how many the cluster has, those to come included.

    `source` breaks ties between groups that waste the same.
    """
    if settings.max_nodes_total and nodes >= settings.max_nodes_total:
        return Plan(helpless=[(pod, TOTAL_REACHED) for pod in found])
    alike, reasons = _alike(found), {}
    options = []
    for offer in offers:
        refused = _refused(snapshot, offer, alike)
        reasons[offer.group.id] = refused
        option = _estimate(
            snapshot, offer, [each for key, each in alike.items() if key not in refused], settings
        )
        if option.count:
            options.append(option)
    if not options:
        return Plan(
            helpless=[(pod, _words(reasons, key)) for key, each in alike.items() for pod in each]
        )
    return _order(_least_waste(snapshot, options, source), settings, nodes)


def _order(option: Option, settings: ClusterAutoscalerSettings, nodes: int) -> Plan:
    group = option.offer.group
    before, count = group.target_size(), option.count
    if settings.max_nodes_total:
        count = min(count, settings.max_nodes_total - nodes)
    return Plan(Expansion(group, before, min(before + count, group.max_size)), option.pods)


def _alike(found: Iterable[Mapping]) -> dict[bytes, list[Mapping]]:
    """Pods in groups of those that the scheduler could not tell apart."""
    groups: dict[bytes, list[Mapping]] = {}
    for pod in found:
        owner = objects.controller_of(pod)
        identity = [owner["uid"] if owner else objects.key(pod), pod["spec"], objects.labels(pod)]
        groups.setdefault(compact(identity, orjson.OPT_SORT_KEYS), []).append(pod)
    return groups


def _refused(
    snapshot: ClusterSnapshot, offer: Offer, alike: Mapping[bytes, Sequence[Mapping]]
) -> dict[bytes, tuple[str, ...]]:
    """Which Pods a machine of the group cannot take even while it is empty, and why."""
    if offer.group.target_size() >= offer.group.max_size:
        return dict.fromkeys(alike, (MAX_REACHED,))
    name, mark = f"template-node-for-{offer.group.id}", snapshot.mark()
    offer.join(snapshot, name)
    found = {key: snapshot.refusal(each[0], name) for key, each in alike.items()}
    snapshot.revert(mark)
    return {key: why for key, why in found.items() if why}


def _words(reasons: Mapping[str, Mapping[bytes, Iterable[str]]], key: bytes) -> str:
    counts = Counter(why for group in reasons.values() for why in group.get(key, ()))
    return ", ".join(sorted(f"{count} {why}" for why, count in counts.items()))


def _estimate(
    snapshot: ClusterSnapshot,
    offer: Offer,
    groups: Iterable[Sequence[Mapping]],
    settings: ClusterAutoscalerSettings,
) -> Option:
    """Pack Pods onto new machines of a group."""
    room = offer.group.max_size - offer.group.target_size()
    packing = _Packing(snapshot, offer, min(room, settings.max_nodes_per_scaleup))
    mark = snapshot.mark()
    for each in sorted(groups, key=lambda each: -sum(snapshot.share(each[:1], offer.template))):
        packing.add(each)
    snapshot.revert(mark)
    return Option(offer, len(packing.used), packing.placed)


class _Packing:
    """Machines of one group that are filled with Pods."""

    def __init__(self, snapshot: ClusterSnapshot, offer: Offer, limit: int) -> None:
        self._snapshot, self._offer, self._limit = snapshot, offer, limit
        self._names: dict[str, None] = {}  # in order
        self._last = ""
        self.used: set[str] = set()
        self.placed: list[Mapping] = []

    def add(self, alike: Sequence[Mapping]) -> None:
        """Place as many of these Pods as there may be machines for."""
        for pod in alike:
            name = self._snapshot.find(pod, self._names) or self._beside(pod) or self._another(pod)
            if not name:
                return
            self._snapshot.place(pod, name)
            if name in self._names:
                self.used.add(name)
            self.placed.append(pod)

    def _beside(self, pod: Mapping) -> str:
        """A node that is there: where Pods spread over hosts, new hosts make room on old ones."""
        spread = pod["spec"].get("topologySpreadConstraints") or ()
        if self._names and any(each["topologyKey"] == _HOSTNAME for each in spread):
            return self._snapshot.find(pod) or ""
        return ""

    def _another(self, pod: Mapping) -> str:
        """A new machine, if one may be had and would help."""
        if self._names and self._last not in self.used:
            return ""  # one is empty, and cannot take the Pod
        if len(self._names) >= self._limit:
            return ""
        name = f"e-{self._offer.group.id}-{len(self._names)}"
        self._offer.join(self._snapshot, name)
        self._names[name] = None
        self._last = name
        return "" if self._snapshot.refusal(pod, name) else name


def _least_waste(
    snapshot: ClusterSnapshot, options: Sequence[Option], source: random.Random
) -> Option:
    wasted = [_waste(snapshot, option) for option in options]
    best = [option for option, waste in zip(options, wasted, strict=True) if waste == min(wasted)]
    return source.choice(best)


def _waste(snapshot: ClusterSnapshot, option: Option) -> float:
    """The shares of CPU and memory that nobody would have requested, added up."""
    shares = snapshot.share(option.pods, option.offer.template)
    return sum(1 - share / option.count for share in shares)
