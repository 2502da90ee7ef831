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
from collections.abc import Mapping, Sequence
from itertools import chain, compress, islice
from typing import NamedTuple

from labkit.scheduler.cache import Cache
from labkit.scheduler.filters import Refusal
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PodView
from labkit.scheduler.spread import Domains, Matcher, Spread, hard_refusal
from labkit.scheduler.table import NodePart, Row, Table, node_part, row, totals

_CLASSES = 256  # classes of Pods that are remembered
_FEW = 100  # minFeasibleNodesToFind: with so few nodes all are scored
_LEAST_PERCENT = 5


class Decision(NamedTuple):
    """`node` is None where no node can take the Pod; then `refusals` says why, by node."""

    node: str | None
    refusals: Mapping[str, Refusal] = {}
    feasible: int = 0
    total: int = 0


def nodes_to_find(nodes: int) -> int:
    """How many nodes that can take the Pod are enough to choose from (numFeasibleNodesToFind)."""
    if nodes <= _FEW:
        return nodes
    percent = max(_LEAST_PERCENT, 50 - nodes // 125)
    return max(_FEW, nodes * percent // 100)


class PodClass:
    """The table of all nodes for Pods that are alike, kept up to date from the cache's log."""

    def __init__(self, pod: PodView, spread: Spread, cache: Cache) -> None:
        self.pod, self.spread = pod, spread
        self._cache = cache
        self._hard = any(each.hard for each in spread.constraints)
        self._rebuild()

    def _rebuild(self) -> None:
        self.table, self.domains = Table(self.spread), Domains(self.spread)
        self._parts: dict[str, NodePart] = {}
        self._matcher = Matcher(self.spread, self.pod.namespace)
        self._epoch, self._mark = self._cache.epoch, self._cache.mark()
        for place, name in enumerate(self._cache.order):
            self._renew(place, self._cache.infos[name])

    def catch_up(self) -> None:
        """Compute the rows of changed nodes again."""
        changed = self._cache.since(self._mark)
        if changed is None or self._epoch != self._cache.epoch:
            self._rebuild()
            return
        self._mark = self._cache.mark()
        places = self._cache.places
        known = sorted((places[name], name) for name in changed if name in places)
        for place, name in known:
            self._renew(place, self._cache.infos[name])

    def _renew(self, place: int, info: NodeInfo) -> None:
        if place < len(self.table.rows):
            old = self.table.rows[place]
            self.domains.add(old.part.domains, old.counts, -1)
        fresh = row(self.pod, self._part(info), info, self._matcher)
        self.table.set(place, fresh)
        self.domains.add(fresh.part.domains, fresh.counts)

    def _part(self, info: NodeInfo) -> NodePart:
        part = self._parts.get(info.name)
        if part is None or part.version != info.version:
            images, nodes = self._cache.images, len(self._cache.order)
            part = node_part(self.pod, self.spread, info, images, nodes)
            self._parts[info.name] = part
        return part

    def feasible(self, start: int, enough: int) -> list[int]:
        """Places of the first `enough` nodes from `start` on, around, that can take the Pod."""
        count = len(self.table.rows)
        around = chain(range(start, count), range(start))
        is_open = self.table.open
        found = compress(around, chain(islice(is_open, start, None), islice(is_open, start)))
        if self._hard:
            least = self.domains.least()
            rows = self.table.rows
            found = (place for place in found if not self._too_skewed(rows[place], least))
        return list(islice(found, enough))

    def best(self, places: Sequence[int]) -> list[int]:
        """Those of `places` with the highest score."""
        if len(places) == 1:
            return list(places)
        found = totals(self.table, places, self.domains)
        most = max(found)
        return [place for place, total in zip(places, found, strict=True) if total == most]

    def _too_skewed(self, each: Row, least: Sequence[int]) -> Refusal | None:
        return hard_refusal(self.pod, each.part.labels, self.domains, least)

    def refusals(self) -> dict[str, Refusal]:
        """Why each node cannot take the Pod, for those that cannot."""
        least = self.domains.least()
        found = {}
        for name, each in zip(self._cache.order, self.table.rows, strict=True):
            if why := each.refusal or self._too_skewed(each, least):
                found[name] = why
        return found


class Placer:
    """Decides for one Pod after the other, on the state of `cache`."""

    def __init__(self, cache: Cache, source: random.Random) -> None:
        self._cache, self._random = cache, source
        self._classes: dict[tuple, PodClass] = {}
        self._start = 0  # the place of the node that is looked at first

    def decide(self, pod: PodView, spread: Spread) -> Decision:
        """The best node for the Pod, or why there is none; only whose turn is next changes."""
        order = self._cache.order
        alike = self._class(pod, spread)
        start = self._start % len(order) if order else 0
        places = alike.feasible(start, nodes_to_find(len(order)))
        if not places:
            return Decision(None, alike.refusals(), 0, len(order))
        self._start = places[-1] + 1
        chosen = self._random.choice(alike.best(places))
        return Decision(order[chosen], {}, len(places), len(order))

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
