"""PodTopologySpread: Pods of one application spread over hosts and zones.

A constraint counts the matching Pods of each domain (all nodes with one value of a label).  A hard
constraint (DoNotSchedule) refuses nodes whose domain would be more than `maxSkew` above the
emptiest; a soft one (ScheduleAnyway) only makes fuller domains score less.  A Pod without
constraints of its own gets soft ones by default, for the Pods of its Services and its ReplicaSet:
that is why replicas spread over nodes.

Source: kube-scheduler's PodTopologySpread plugin; documentation "Pod Topology Spread Constraints",
section "Internal default constraints".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labkit.kube import selectors, taints
from labkit.scheduler.filters import Refusal, matches_node
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PodView
from labkit.scheduler.scores import BEST

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_WORDS = "node(s) didn't match pod topology spread constraints"
_MISSING = (f"{_WORDS} (missing required label)",)


@dataclass(frozen=True, slots=True)
class Constraint:
    """One entry of `topologySpreadConstraints`, its selector parsed."""

    key: str
    max_skew: int
    selector: selectors.Selector
    hard: bool = False
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """All constraints of a Pod; `explicit` ones concern only nodes that have all their labels."""

    constraints: tuple[Constraint, ...] = ()
    explicit: bool = False


def default_selector(
    labels: Mapping[str, str], services: Iterable[Mapping], owner: Mapping | None
) -> selectors.Selector:
    """What selects the Pods like this one: its Services' selectors and its ReplicaSet's."""
    found: dict[str, str] = {}
    for service in services:
        selector = (service.get("spec") or {}).get("selector") or {}
        if selector and selector.items() <= labels.items():
            found |= selector
    needs = tuple(
        selectors.Requirement(key, "in", frozenset({value})) for key, value in sorted(found.items())
    )
    if owner is None:
        return needs
    return needs + (selectors.from_label_selector(owner["spec"].get("selector")) or ())


def spread_of(pod: PodView, default: selectors.Selector) -> Spread:
    """The Pod's own constraints, or the default ones if `default` selects anything."""
    own = pod.spec.get("topologySpreadConstraints")
    if own:
        return Spread(tuple(_constraint(each, pod) for each in own), explicit=True)
    if not default:
        return Spread()
    return Spread((Constraint(HOSTNAME, 3, default), Constraint(ZONE, 5, default)))


def _constraint(given: Mapping, pod: PodView) -> Constraint:
    selector = selectors.from_label_selector(given.get("labelSelector"))
    same = tuple(
        selectors.Requirement(key, "in", frozenset({pod.labels[key]}))
        for key in given.get("matchLabelKeys") or ()
        if key in pod.labels
    )
    return Constraint(
        key=given["topologyKey"],
        max_skew=given["maxSkew"],
        # A missing selector selects nothing: no Pod has both and neither of a label.
        selector=_NOTHING if selector is None else selector + same,
        hard=given.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule",
        min_domains=given.get("minDomains") or 1,
        honor_affinity=given.get("nodeAffinityPolicy", "Honor") == "Honor",
        honor_taints=given.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


_NOTHING: selectors.Selector = (selectors.Requirement("", "in"),)


def counted(spread: Spread, pod: PodView, node: NodeInfo) -> tuple[int | None, ...]:
    """For each constraint how many matching Pods the node has; None if the node does not count."""
    if not spread.constraints:
        return ()
    labels, affinity = node.labels, matches_node(pod, node)
    complete = all(each.key in labels for each in spread.constraints)
    return tuple(
        _matching(each, pod, node)
        if each.key in labels
        and (complete or not spread.explicit)
        and (affinity or not each.honor_affinity)
        and (not each.honor_taints or _tolerable(pod, node))
        else None
        for each in spread.constraints
    )


def _matching(constraint: Constraint, pod: PodView, node: NodeInfo) -> int:
    return sum(
        other.namespace == pod.namespace
        and not other.deleting
        and selectors.matches(constraint.selector, other.labels)
        for other in node.pods.values()
    )


def _tolerable(pod: PodView, node: NodeInfo) -> bool:
    effects = (taints.NO_SCHEDULE, taints.NO_EXECUTE)
    found = taints.first_untolerated(node.taints, pod.spec.get("tolerations"), effects)
    return found is None


class Domains:
    """The matching Pods of every domain of every constraint, kept up to date node by node."""

    def __init__(self, spread: Spread) -> None:
        self.spread = spread
        self.pods: list[dict[str, int]] = [{} for _ in spread.constraints]
        self._nodes: list[dict[str, int]] = [{} for _ in spread.constraints]

    def add(self, labels: Mapping[str, str], counts: Sequence[int | None], sign: int = 1) -> None:
        """Count a node in (or out again, with `sign` -1), with what `counted` said of it."""
        for index, count in enumerate(counts):
            if count is None:
                continue
            value = labels[self.spread.constraints[index].key]
            pods, nodes = self.pods[index], self._nodes[index]
            nodes[value] = nodes.get(value, 0) + sign
            pods[value] = pods.get(value, 0) + sign * count
            if not nodes[value]:
                del nodes[value], pods[value]

    def least(self) -> list[int]:
        """For each constraint the Pods of its emptiest domain (0 with too few domains)."""
        return [
            0 if len(pods) < each.min_domains else min(pods.values(), default=0)
            for each, pods in zip(self.spread.constraints, self.pods, strict=True)
        ]


def hard_refusal(
    pod: PodView, labels: Mapping[str, str], domains: Domains, least: Sequence[int]
) -> Refusal | None:
    """Why a node with these labels cannot take the Pod, after the hard constraints."""
    for index, each in enumerate(domains.spread.constraints):
        if not each.hard:
            continue
        if each.key not in labels:
            return Refusal("PodTopologySpread", _MISSING)
        own = selectors.matches(each.selector, pod.labels)
        present = domains.pods[index].get(labels[each.key], 0)
        if present + own - least[index] > each.max_skew:
            return Refusal("PodTopologySpread", (_WORDS,), resolvable=True)
    return None


def soft_scores(domains: Domains, nodes: Sequence[Mapping[str, str]]) -> list[int] | None:
    """Scores 0..100 of nodes with these labels, None where no soft constraint asks for any."""
    spread = domains.spread
    soft = [(index, each) for index, each in enumerate(spread.constraints) if not each.hard]
    if not soft:
        return None
    keys = [each.key for _, each in soft]
    ignored = [spread.explicit and any(key not in labels for key in keys) for labels in nodes]
    raw = [0.0] * len(nodes)
    for index, each in soft:
        counts = domains.pods[index]
        values = [labels.get(each.key) for labels in nodes]
        weight = math.log(len(_distinct(values, ignored)) + 2)
        handicap = each.max_skew - 1
        for place, value in enumerate(values):
            if value is not None:
                raw[place] += counts.get(value, 0) * weight + handicap
    return _normalized([math.floor(score + 0.5) for score in raw], ignored)


def _distinct(values: Sequence[str | None], ignored: Sequence[bool]) -> set[str | None]:
    return {value for value, skip in zip(values, ignored, strict=True) if not skip}


def _normalized(raw: list[int], ignored: list[bool]) -> list[int]:
    judged = [score for score, skip in zip(raw, ignored, strict=True) if not skip]
    most, least = max(judged, default=0), min(judged, default=0)
    if most == 0:
        return [0 if skip else BEST for skip in ignored]
    return [
        0 if skip else BEST * (most + least - score) // most
        for score, skip in zip(raw, ignored, strict=True)
    ]
