"""InterPodAffinity: which Pods want each other near, and which do not.

What one node's Pods say to a class of Pods is a handful of numbers, each for a pair of a label's
key and the node's value of it (`said`): how many Pods the class' affinity means, how many its
anti-affinity means, how many Pods there have an anti-affinity that means the class, and the weight
of all preferences, its own and theirs.  `Neighbours` adds them up over all nodes, and is kept up to
date node by node.

Rules as upstream: a Pod must satisfy *all* of the class' affinity terms to count for any; the first
Pod of a group that has affinity to itself may go anywhere; a required affinity of a Pod that runs
counts as a preference of weight 1 for those it means (hardPodAffinityWeight).

Source: kube-scheduler's InterPodAffinity plugin.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import add

from labkit.scheduler.affinity import Terms
from labkit.scheduler.filters import Refusal
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import LabelSet, PodView
from labkit.scheduler.scores import BEST

AFFINITY, ANTI, EXISTING, SCORE = range(4)
_HARD_WEIGHT = 1  # hardPodAffinityWeight
_NAME = "InterPodAffinity"
_FAR_FROM_FRIENDS = Refusal(_NAME, ("node(s) didn't match pod affinity rules",))
_NEAR_FOES = Refusal(_NAME, ("node(s) didn't match pod anti-affinity rules",), resolvable=True)
_UNWELCOME = Refusal(
    _NAME, ("node(s) didn't satisfy existing pods anti-affinity rules",), resolvable=True
)

Said = tuple[tuple[int, str, str, int], ...]  # (kind, label key, label value, amount)
_Effects = tuple[tuple[int, str, int], ...]  # (kind, label key, amount for one Pod)


class Voices:
    """What the Pods of a node say to one class of Pods; remembered for Pods that are alike."""

    def __init__(self, pod: PodView, namespaces: Mapping[str, Mapping]) -> None:
        self._pod, self._terms, self._namespaces = pod, pod.terms, namespaces
        self._of_labels: dict[tuple[str, LabelSet], _Effects] = {}
        self._of_terms: dict[Terms, _Effects] = {}

    def said(self, node: NodeInfo) -> Said:
        """All of one node."""
        if not node.affine and not self._terms:
            return ()
        total: dict[tuple[int, str], int] = {}
        if self._terms:
            for counted in (node.groups, node.leaving):
                for group, count in counted.items():
                    _add(total, self._heard(group), count)
        for terms, count in node.affine.items():
            _add(total, self._told(terms), count)
        return tuple(
            (kind, key, node.labels[key], amount)
            for (kind, key), amount in total.items()
            if amount and key in node.labels
        )

    def _heard(self, group: tuple[str, LabelSet]) -> _Effects:
        """What the class' own terms make of a Pod with these labels."""
        found = self._of_labels.get(group)
        if found is None:
            found = self._of_labels[group] = tuple(self._means(group[0], dict(group[1])))
        return found

    def _means(self, namespace: str, labels: Mapping) -> Iterable[tuple[int, str, int]]:
        terms, known = self._terms, self._namespaces
        if terms.attracts(namespace, labels, known):
            for term in terms.affinity:
                yield AFFINITY, term.key, 1
        for term in terms.anti:
            if term.matches(namespace, labels, known):
                yield ANTI, term.key, 1
        for weight, term in terms.preferred:
            if term.matches(namespace, labels, known):
                yield SCORE, term.key, weight

    def _told(self, terms: Terms) -> _Effects:
        """What a Pod with these terms makes of the class."""
        found = self._of_terms.get(terms)
        if found is None:
            found = self._of_terms[terms] = tuple(self._meant_by(terms))
        return found

    def _meant_by(self, terms: Terms) -> Iterable[tuple[int, str, int]]:
        pod = self._pod.namespace, self._pod.labels, self._namespaces
        for term in terms.anti:
            if term.matches(*pod):
                yield EXISTING, term.key, 1
        for term in terms.affinity:
            if term.matches(*pod):
                yield SCORE, term.key, _HARD_WEIGHT
        for weight, term in terms.preferred:
            if term.matches(*pod):
                yield SCORE, term.key, weight


def _add(total: dict[tuple[int, str], int], effects: _Effects, count: int) -> None:
    for kind, key, amount in effects:
        total[kind, key] = total.get((kind, key), 0) + amount * count


class Neighbours:
    """What all nodes' Pods say to a class of Pods, added up by domain."""

    def __init__(self, pod: PodView, namespaces: Mapping[str, Mapping]) -> None:
        self._terms = pod.terms
        self._likes_itself = pod.terms.attracts(pod.namespace, pod.labels, namespaces)
        # For each kind: label key → label value → amount; without zeros.
        self.amounts: tuple[dict[str, dict[str, int]], ...] = ({}, {}, {}, {})

    def add(self, said: Said, sign: int = 1) -> None:
        """Count one node's numbers in (or out again, with `sign` -1)."""
        for kind, key, value, amount in said:
            values = self.amounts[kind].setdefault(key, {})
            values[value] = values.get(value, 0) + sign * amount
            if not values[value]:
                del values[value]
                if not values:
                    del self.amounts[kind][key]

    def refused(self) -> dict[str, Collection[str]]:
        """By label: the values that no node may have.  What the Pod wants near is not in it."""
        found: dict[str, Collection[str]] = dict(self.amounts[ANTI])
        for key, values in self.amounts[EXISTING].items():
            found[key] = {*found.get(key, ()), *values}
        return found

    @property
    def wants_friends(self) -> bool:
        """Whether only `refusal` can tell about a node: the Pod has required affinity."""
        return bool(self._terms.affinity)

    def refusal(self, labels: Mapping[str, str]) -> Refusal | None:
        """Why a node with these labels cannot take the Pod."""
        if self._terms.affinity and not self._near_friends(labels):
            return _FAR_FROM_FRIENDS
        if _meets(self.amounts[ANTI], labels):
            return _NEAR_FOES
        if _meets(self.amounts[EXISTING], labels):
            return _UNWELCOME
        return None

    def _near_friends(self, labels: Mapping[str, str]) -> bool:
        friends = self.amounts[AFFINITY]
        keys = [term.key for term in self._terms.affinity]
        if not all(key in labels for key in keys):
            return False
        if all(labels[key] in friends.get(key, ()) for key in keys):
            return True
        return not friends and self._likes_itself

    def scores(self, columns: Mapping[str, Sequence[str | None]]) -> list[int]:
        """Scores 0..100 of nodes, from a column with their values of each label of a wish."""
        raw: list[int] = []
        for key, values in self.amounts[SCORE].items():
            found = [values.get(value, 0) for value in columns[key]]
            raw = list(map(add, raw, found)) if raw else found
        least, most = min(raw), max(raw)
        if least == most:
            return [0] * len(raw)
        return [int(BEST * ((number - least) / (most - least))) for number in raw]


def _meets(amounts: Mapping[str, Mapping[str, int]], labels: Mapping[str, str]) -> bool:
    return any(labels.get(key) in values for key, values in amounts.items())
