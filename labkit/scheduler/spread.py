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
from labkit.scheduler.podview import LabelSet, PodView
from labkit.scheduler.scores import BEST

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_WORDS = "node(s) didn't match pod topology spread constraints"
_LACKING = Refusal("PodTopologySpread", (f"{_WORDS} (missing required label)",))
_SKEWED = Refusal("PodTopologySpread", (_WORDS,), resolvable=True)


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


def domains_of(spread: Spread, pod: PodView, node: NodeInfo) -> tuple[str | None, ...]:
    """For each constraint the domain in which the node's Pods count; None if they do not count."""
    if not spread.constraints:
        return ()
    labels, affinity = node.labels, matches_node(pod, node)
    # An explicit constraint ignores nodes that lack a label of its kind: hard and soft ones apart.
    lacking = {each.hard for each in spread.constraints if spread.explicit} & {
        each.hard for each in spread.constraints if each.key not in labels
    }
    return tuple(
        labels[each.key]
        if each.key in labels
        and each.hard not in lacking
        and (affinity or not each.honor_affinity)
        and (not each.honor_taints or _tolerable(pod, node))
        else None
        for each in spread.constraints
    )


def _tolerable(pod: PodView, node: NodeInfo) -> bool:
    effects = (taints.NO_SCHEDULE, taints.NO_EXECUTE)
    found = taints.first_untolerated(node.taints, pod.spec.get("tolerations"), effects)
    return found is None


class Matcher:
    """Counts the Pods of a node that each constraint selects, and remembers which labels match."""

    def __init__(self, spread: Spread, namespace: str) -> None:
        self._selectors = [each.selector for each in spread.constraints]
        self._namespace = namespace
        # For each group of Pods alike the constraints that select it.
        self._known: dict[tuple[str, LabelSet], tuple[int, ...]] = {}

    def count(self, node: NodeInfo) -> tuple[int, ...]:
        """The matching Pods on the node, for each constraint."""
        if not self._selectors:
            return ()
        total, known = [0] * len(self._selectors), self._known
        for group, count in node.groups.items():
            found = known.get(group)
            if found is None:
                found = known[group] = self._selecting(*group)
            for index in found:
                total[index] += count
        return tuple(total)

    def _selecting(self, namespace: str, label_set: LabelSet) -> tuple[int, ...]:
        if namespace != self._namespace:
            return ()
        labels = dict(label_set)
        return tuple(
            index
            for index, selector in enumerate(self._selectors)
            # A selector without requirements counts nobody, as upstream.
            if selector and selectors.matches(selector, labels)
        )


class Domains:
    """The matching Pods of every domain of every constraint, kept up to date node by node."""

    def __init__(self, spread: Spread, labels: Mapping[str, str]) -> None:
        self.spread = spread
        # Whether a Pod with `labels` would itself be counted.
        self.own = [selectors.matches(each.selector, labels) for each in spread.constraints]
        self.pods: list[dict[str, int]] = [{} for _ in spread.constraints]
        self._nodes: list[dict[str, int]] = [{} for _ in spread.constraints]

    def add(self, domains: Sequence[str | None], counts: Sequence[int], sign: int = 1) -> None:
        """Count a node in (or out again, with `sign` -1): where it counts, and how many."""
        for index, domain in enumerate(domains):
            if domain is None:
                continue
            pods, nodes = self.pods[index], self._nodes[index]
            nodes[domain] = nodes.get(domain, 0) + sign
            pods[domain] = pods.get(domain, 0) + sign * counts[index]
            if not nodes[domain]:
                del nodes[domain], pods[domain]

    def least(self) -> list[int]:
        """For each hard constraint the Pods of its emptiest domain (0 with too few domains)."""
        return [
            0 if len(pods) < each.min_domains else min(pods.values(), default=0)
            for each, pods in zip(self.spread.constraints, self.pods, strict=True)
            if each.hard
        ]

    def refused(self) -> dict[str, set[str | None]]:
        """By label: the values that no node may have, after the hard constraints."""
        found: dict[str, set[str | None]] = {}
        hard = [index for index, each in enumerate(self.spread.constraints) if each.hard]
        for index, least in zip(hard, self.least(), strict=True):
            each, own = self.spread.constraints[index], self.own[index]
            most = each.max_skew + least - own
            full = {value for value, count in self.pods[index].items() if count > most}
            found.setdefault(each.key, {None}).update(full)
        return found


def hard_refusal(labels: Mapping[str, str], refused: Mapping[str, set]) -> Refusal | None:
    """Why a node with these labels cannot take the Pod; `refused` is that of its `Domains`."""
    for key, values in refused.items():
        if key not in labels:
            return _LACKING
        if labels[key] in values:
            return _SKEWED
    return None


def soft_scores(domains: Domains, columns: Sequence[Sequence[str | None]]) -> list[int] | None:
    """Scores 0..100 of nodes, None where no soft constraint asks for any.

    There is a column for each soft constraint: each node's value of its label.  Many nodes have the
    same counts, so that a score is computed once for each combination of counts.
    """
    spread = domains.spread
    judged = columns
    if spread.explicit and any(None in values for values in columns):
        complete = [row for row in zip(*columns, strict=True) if None not in row]
        judged = list(zip(*complete, strict=True)) or [()] * len(columns)
    counts, weights, soft = [], [], 0
    for index, each in enumerate(spread.constraints):
        if each.hard:
            continue
        values, sized, soft = columns[soft], judged[soft], soft + 1
        # Each host is a domain of its own, without looking.
        size = len(sized) if each.key == HOSTNAME else len(set(sized))
        if size == 1 and not spread.explicit and values[0] is None:
            continue  # no node has such a label, as zones in a small cluster
        counts.append(_counts(domains.pods[index], values))
        weights.append((math.log(size + 2), each.max_skew - 1))
    if not counts:
        return None
    rows = list(zip(*counts, strict=True))
    scores = _normalized({row: _raw(row, weights, spread.explicit) for row in set(rows)})
    return [scores[row] for row in rows]


def _counts(pods: Mapping[str, int], values: Sequence[str | None]) -> list[int | None]:
    found = list(map(pods.get, values))
    if None not in found:
        return found
    # A domain whose nodes do not count has no Pods; a node without the label has no domain.
    return [None if value is None else pods.get(value, 0) for value in values]


def _raw(
    counts: tuple[int | None, ...], weights: list[tuple[float, int]], explicit: bool
) -> int | None:
    """The fuller a node's domains, the more; None for a node that explicit constraints ignore."""
    if explicit and None in counts:
        return None
    score = sum(
        count * weight + handicap
        for count, (weight, handicap) in zip(counts, weights, strict=True)
        if count is not None
    )
    return math.floor(score + 0.5)


def _normalized(raw: Mapping[tuple, int | None]) -> dict[tuple, int]:
    judged = [score for score in raw.values() if score is not None]
    most, least = max(judged, default=0), min(judged, default=0)
    scores = {}
    for row, score in raw.items():
        if score is None:
            scores[row] = 0
        else:
            scores[row] = BEST * (most + least - score) // most if most else BEST
    return scores
