"""Where a Pod goes: filters and scores over all nodes, remembered for Pods alike.

The Pods of one ReplicaSet look the same to every filter and score.  For each such class a row per
node is kept, and only rows of nodes that changed are computed again; after each decision that is
one.  The rest is adding up: normalize the raw scores of the nodes that can take the Pod, weigh
them, take the best, draw lots among equals.  Upstream does the same under the name "opportunistic
batching" (KEP-5598); here it is what makes ten thousand Pods on a thousand nodes a matter of
seconds in Python.

In a big cluster not all nodes are scored, but the first so many that can take the Pod, going around
(percentageOfNodesToScore).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from labkit.scheduler import scores
from labkit.scheduler.cache import Cache
from labkit.scheduler.filters import Refusal, refusal
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PodView
from labkit.scheduler.spread import Domains, Spread, counted, hard_refusal, soft_scores

_CLASSES = 256  # classes of Pods that are remembered
_FEW = 100  # minFeasibleNodesToFind: with so few nodes all are scored
_LEAST_PERCENT = 5


class Row(NamedTuple):
    """What one node means to one class of Pods."""

    labels: Mapping[str, str]
    refusal: Refusal | None
    fit: int
    balance: int
    image: int
    taints: int  # raw
    affinity: int  # raw
    counts: tuple[int | None, ...]  # matching Pods for each spread constraint


class Decision(NamedTuple):
    """`node` is None where no node can take the Pod; then `refusals` says why, by node."""

    node: str | None
    refusals: Mapping[str, Refusal] = {}
    feasible: int = 0
    total: int = 0


def row(pod: PodView, spread: Spread, node: NodeInfo, images: Mapping[str, int], nodes: int) -> Row:
    """Filter and score one node."""
    refused = refusal(pod, node)
    counts = counted(spread, pod, node)
    if refused:
        return Row(node.labels, refused, 0, 0, 0, 0, 0, counts)
    return Row(
        node.labels,
        None,
        scores.least_allocated(pod, node),
        scores.balanced_allocation(pod, node),
        scores.image_locality(pod, node, images, nodes) if node.images else 0,
        scores.untolerated_preferences(pod, node),
        scores.preferred_affinity(pod, node),
        counts,
    )


def nodes_to_find(nodes: int) -> int:
    """How many nodes that can take the Pod are enough to choose from (numFeasibleNodesToFind)."""
    if nodes <= _FEW:
        return nodes
    percent = max(_LEAST_PERCENT, 50 - nodes // 125)
    return max(_FEW, nodes * percent // 100)


def weighted(rows: Sequence[Row], domains: Domains) -> dict[str, list[int]]:
    """For each score its weighted, normalized values, in the order of `rows`."""
    parts = {
        "NodeResourcesFit": [each.fit for each in rows],
        "NodeResourcesBalancedAllocation": [each.balance for each in rows],
        "ImageLocality": [each.image for each in rows],
        "TaintToleration": scores.normalized([each.taints for each in rows], reverse=True),
        "NodeAffinity": scores.normalized([each.affinity for each in rows]),
    }
    spread = soft_scores(domains, [each.labels for each in rows])
    if spread is not None:
        parts["PodTopologySpread"] = spread
    return {
        name: [score * scores.WEIGHTS[name] for score in values] for name, values in parts.items()
    }


class PodClass:
    """The rows of all nodes for Pods that are alike, kept up to date from the cache's log."""

    def __init__(self, pod: PodView, spread: Spread, cache: Cache) -> None:
        self.pod, self.spread = pod, spread
        self._cache = cache
        self._rebuild()

    def _rebuild(self) -> None:
        self.rows: dict[str, Row] = {}
        self.domains = Domains(self.spread)
        self._epoch, self._mark = self._cache.epoch, self._cache.mark()
        for name in self._cache.order:
            self._renew(name)

    def catch_up(self) -> None:
        """Compute the rows of changed nodes again."""
        changed = self._cache.since(self._mark)
        if changed is None or self._epoch != self._cache.epoch:
            self._rebuild()
            return
        self._mark = self._cache.mark()
        for name in changed:
            self._renew(name)

    def _renew(self, name: str) -> None:
        if old := self.rows.pop(name, None):
            self.domains.add(old.labels, old.counts, -1)
        info = self._cache.infos.get(name)
        if info is None or info.node is None:
            return
        fresh = row(self.pod, self.spread, info, self._cache.images, len(self._cache.order))
        self.rows[name] = fresh
        self.domains.add(fresh.labels, fresh.counts)

    def feasible(self, order: Iterable[str], enough: int) -> tuple[list[str], int]:
        """The first `enough` nodes that can take the Pod, and how many were looked at."""
        hard = any(each.hard for each in self.spread.constraints)
        least = self.domains.least() if hard else []
        found, looked = [], 0
        for name in order:
            looked += 1
            each = self.rows[name]
            if each.refusal or (hard and self._too_skewed(each, least)):
                continue
            found.append(name)
            if len(found) >= enough:
                break
        return found, looked

    def _too_skewed(self, each: Row, least: Sequence[int]) -> Refusal | None:
        return hard_refusal(self.pod, each.labels, self.domains, least)

    def refusals(self) -> dict[str, Refusal]:
        """Why each node cannot take the Pod, for those that cannot."""
        least = self.domains.least()
        found = {
            name: each.refusal or self._too_skewed(each, least) for name, each in self.rows.items()
        }
        return {name: why for name, why in found.items() if why}


class Placer:
    """Decides for one Pod after the other, on the state of `cache`."""

    def __init__(self, cache: Cache, source: random.Random) -> None:
        self._cache, self._random = cache, source
        self._classes: dict[tuple, PodClass] = {}
        self._turn = 0

    def decide(self, pod: PodView, spread: Spread) -> Decision:
        """The best node for the Pod, or why there is none; only whose turn is next changes."""
        order = self._cache.order
        alike = self._class(pod, spread)
        start = self._turn % len(order) if order else 0
        around = [*order[start:], *order[:start]] if start else order
        names, looked = alike.feasible(around, nodes_to_find(len(order)))
        self._turn = start + looked
        if not names:
            return Decision(None, alike.refusals(), 0, len(order))
        return Decision(self._best(alike, names), {}, len(names), len(order))

    def _class(self, pod: PodView, spread: Spread) -> PodClass:
        identity = (pod.signature, spread)
        found = self._classes.pop(identity, None)
        if found:
            found.catch_up()
        else:
            found = PodClass(pod, spread, self._cache)
        self._classes[identity] = found  # at the end: used last
        if len(self._classes) > _CLASSES:
            del self._classes[next(iter(self._classes))]
        return found

    def _best(self, alike: PodClass, names: list[str]) -> str:
        if len(names) == 1:
            return names[0]
        parts = weighted([alike.rows[name] for name in names], alike.domains)
        totals = [sum(column) for column in zip(*parts.values(), strict=True)]
        most = max(totals)
        equal = [name for name, total in zip(names, totals, strict=True) if total == most]
        return self._random.choice(equal)
