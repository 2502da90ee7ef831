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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, islice
from typing import NamedTuple

from labkit.scheduler.cache import Cache
from labkit.scheduler.filters import Refusal, named_nodes
from labkit.scheduler.neighbours import Neighbours, Voices
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PodView
from labkit.scheduler.scores import normalized_image
from labkit.scheduler.spread import Domains, Matcher, domains_of, hard_refusal
from labkit.scheduler.table import (
    NO_NEEDS,
    Needs,
    NodePart,
    Row,
    Table,
    node_part,
    relative,
    row,
    totals,
)

_CLASSES, _ROWS = 256, 100_000  # that are remembered: classes of Pods, and rows of them all
_FEW = 100  # minFeasibleNodesToFind: with so few nodes all are scored
_LEAST_PERCENT = 5


Guests = Mapping[str, Sequence[PodView]]  # by node: Pods that are expected there
_CONFLICT = Refusal("NodeAffinity", ("pod affinity terms conflict",))
_UNNAMED = Refusal("NodeAffinity", ("node(s) didn't satisfy plugin(s) [NodeAffinity]",))


class Decision(NamedTuple):
    """`node` is None where no node can take the Pod.

    Then `refusals` says why, by node, or `blocked` why none was even looked at.
    """

    node: str | None
    refusals: Mapping[str, Refusal] = {}
    feasible: int = 0
    total: int = 0
    blocked: Refusal | None = None

    @property
    def plugins(self) -> frozenset[str]:
        """Which filters refused nodes."""
        if self.blocked:
            return frozenset({self.blocked.plugin})
        return frozenset(each.plugin for each in self.refusals.values())


def nodes_to_find(nodes: int) -> int:
    """How many nodes that can take the Pod are enough to choose from (numFeasibleNodesToFind)."""
    if nodes <= _FEW:
        return nodes
    percent = max(_LEAST_PERCENT, 50 - nodes // 125)
    return max(_FEW, nodes * percent // 100)


class PodClass:
    """The table of all nodes for Pods that are alike, kept up to date from the cache's log.

    A Pod that names its nodes, as those of a DaemonSet do, has rows for these only.
    """

    def __init__(self, pod: PodView, needs: Needs, cache: Cache) -> None:
        self.pod, self.needs = pod, needs
        self._cache = cache
        self._only = named_nodes(pod.spec)
        self._images = tuple({normalized_image(name) for name in pod.images})
        # What was found out about Pods that fit nowhere, until a node changes: a thousand replicas
        # that wait are refused once.
        self.known: dict[tuple, object] = {}
        self._rebuild()

    @property
    def lasting(self) -> bool:
        """Whether it is worth remembering: it has a row for every node."""
        return self._only is None

    def _rebuild(self) -> None:
        self.known.clear()
        spread, pod = self.needs.spread, self.pod
        self.table, self.domains = Table(), Domains(spread, pod.labels)
        self.neighbours = Neighbours(pod, self._cache.namespaces)
        self._parts: dict[str, NodePart] = {}
        self._matcher = Matcher(spread, pod.namespace)
        self._voices = Voices(pod, self._cache.namespaces)
        self._mark, self._state = self._cache.mark(), self._derived_from()
        self.names: list[str] = []
        for name in self._cache.order:
            info = self._cache.infos[name]
            if self._only is None or name in self._only:
                self.names.append(name)
                self._renew(len(self.names) - 1, info)
            else:
                self._overhear(info)

    def _overhear(self, info: NodeInfo) -> None:
        """Count the Pods of a node that is none of the Pod's."""
        if self.needs.spread.constraints:
            domains = domains_of(self.needs.spread, self.pod, info)
            self.domains.add(domains, self._matcher.count(info))
        self.neighbours.add(self._voices.said(info))

    def _derived_from(self) -> tuple:
        """What all rows depend on: a change of it makes them void."""
        counts = tuple(map(self._cache.images.get, self._images))
        return self._cache.epoch, counts, len(self._cache.order) if any(counts) else 0

    def catch_up(self) -> None:
        """Compute the rows of changed nodes again."""
        changed = self._cache.since(self._mark)
        if changed is None or self._state != self._derived_from():
            self._rebuild()
            return
        if not changed:
            return
        self.known.clear()
        self._mark = self._cache.mark()
        places = self._cache.places
        for place, name in sorted((places[name], name) for name in changed if name in places):
            if place == len(self.names):
                self.names.append(name)
            self._renew(place, self._cache.infos[name])

    def _renew(self, place: int, info: NodeInfo) -> None:
        fresh = row(self.pod, self._part(info), info, self._matcher, self._voices)
        if place < len(self.table.rows):
            self._swap(self.table.rows[place], fresh)
        else:
            self.domains.add(fresh.part.domains, fresh.counts)
            self.neighbours.add(fresh.said)
        self.table.set(place, fresh)

    def _swap(self, old: Row, fresh: Row) -> None:
        """Count one row instead of another; most often nothing has changed in what counts."""
        if old.counts != fresh.counts or old.part is not fresh.part:
            self.domains.add(old.part.domains, old.counts, -1)
            self.domains.add(fresh.part.domains, fresh.counts)
        if old.said != fresh.said:
            self.neighbours.add(old.said, -1)
            self.neighbours.add(fresh.said)

    def _part(self, info: NodeInfo) -> NodePart:
        part = self._parts.get(info.name)
        if part is None or part.version != info.version:
            images, nodes = self._cache.images, len(self._cache.order)
            part = node_part(self.pod, self.needs, info, images, nodes)
            self._parts[info.name] = part
        return part

    # Filters.

    def feasible(self, start: int, enough: int, guests: Guests) -> list[int]:
        """Places of the first `enough` nodes from `start` on, around, that can take the Pod.

        `guests` are Pods that are expected on some nodes; it must fit beside them, too.
        """
        count = len(self.table.rows)
        around = chain(range(start, count), range(start))
        is_open = self.table.open
        found = compress(around, chain(islice(is_open, start, None), islice(is_open, start)))
        for key, values in self._refused_values():
            column = self.table.labels(key)
            found = _without(found, column, values)
        if self.neighbours.wants_friends:
            rows, refusal = self.table.rows, self.neighbours.refusal
            found = (place for place in found if not refusal(rows[place].part.labels))
        if guests:
            names = self.names
            found = (
                place
                for place in found
                if names[place] not in guests or not self._beside(place, guests[names[place]])
            )
        return list(islice(found, enough))

    def _refused_values(self) -> Iterator[tuple[str, Collection]]:
        """Labels with the values that a node must not have."""
        yield from self.domains.refused().items()
        yield from self.neighbours.refused().items()

    def can_take(self, name: str, guests: Guests) -> bool:
        """Whether one node can take the Pod."""
        if not name or name not in self.names:
            return False
        place = self.names.index(name)
        return bool(self.table.open[place]) and not (
            self._misplaced(self.table.rows[place], self.domains.refused())
            or (name in guests and self._beside(place, guests[name]))
        )

    def _misplaced(self, each: Row, refused: Mapping[str, set]) -> Refusal | None:
        labels = each.part.labels
        return hard_refusal(labels, refused) or self.neighbours.refusal(labels)

    def _beside(self, place: int, guests: Sequence[PodView]) -> Refusal | None:
        info = self._cache.infos[self.names[place]].copy()
        for guest in guests:
            info.add(guest)
        return self.refusal_if(place, info)

    def refusal_if(self, place: int, info: NodeInfo) -> Refusal | None:
        """What would refuse the node at `place` if it were `info`, all else as it is."""
        old = self.table.rows[place]
        fresh = row(self.pod, old.part, info, self._matcher, self._voices)
        if fresh.refusal:
            return fresh.refusal
        self._swap(old, fresh)
        found = self._misplaced(fresh, self.domains.refused())
        self._swap(fresh, old)
        return found

    def refusals(self, guests: Guests) -> dict[str, Refusal]:
        """Why each node cannot take the Pod, for those that cannot."""
        refused = self.domains.refused()
        found = {}
        for place, (name, each) in enumerate(zip(self.names, self.table.rows, strict=True)):
            why = each.refusal or self._misplaced(each, refused)
            if not why and name in guests:
                why = self._beside(place, guests[name])
            if why:
                found[name] = why
        if self._only is not None:
            found |= {name: _UNNAMED for name in self._cache.order if name not in self._only}
        return found

    # Scores.

    def best(self, places: Sequence[int]) -> list[int]:
        """Those of `places` with the highest score."""
        if len(places) == 1:
            return list(places)
        found = totals(self.table, places, self.domains, self.neighbours)
        most = max(found)
        return [place for place, total in zip(places, found, strict=True) if total == most]

    def compared(self, places: Sequence[int]) -> dict[str, list[int]]:
        """The weighted scores that compare the nodes at `places`."""
        return relative(self.table, places, self.domains, self.neighbours)


def _without(
    places: Iterable[int], column: Sequence, values: Collection[str | None]
) -> Iterator[int]:
    return (place for place in places if column[place] not in values)


class Placer:
    """Decides for one Pod after the other, on the state of `cache`."""

    def __init__(self, cache: Cache, source: random.Random) -> None:
        self.cache, self.source = cache, source
        self._classes: dict[tuple, PodClass] = {}
        self._start = 0  # the place of the node that is looked at first

    def decide(self, pod: PodView, needs: Needs = NO_NEEDS) -> Decision:
        """The best node for the Pod, or why there is none; only whose turn is next changes."""
        total = len(self.cache.order)
        if total > _FEW:
            self.cache.arrange()
        if why := self._blocked(pod, needs):
            return Decision(None, {}, 0, total, why)
        alike = self.alike(pod, needs)
        if known := alike.known.get(("decision", pod.priority, pod.nominated)):
            return known
        guests = self.cache.guests(pod)
        if alike.can_take(pod.nominated, guests):
            return Decision(pod.nominated, {}, 1, total)
        count = len(alike.names)
        start, enough = self._start % count if count else 0, nodes_to_find(count)
        places = alike.feasible(start, enough, guests)
        if not places:
            refused = Decision(None, alike.refusals(guests), 0, total)
            alike.known["decision", pod.priority, pod.nominated] = refused
            return refused
        if len(places) == enough and alike.lasting:
            self._start = places[-1] + 1
        chosen = self.source.choice(alike.best(places))
        return Decision(alike.names[chosen], {}, len(places), total)

    def _blocked(self, pod: PodView, needs: Needs) -> Refusal | None:
        """What refuses all nodes before any is looked at (PreFilter)."""
        if named_nodes(pod.spec) == frozenset():
            return _CONFLICT
        return needs.volumes.blocked

    def alike(self, pod: PodView, needs: Needs = NO_NEEDS) -> PodClass:
        """The table of Pods like this one, up to date."""
        identity = (pod.signature, needs)
        found = self._classes.pop(identity, None)
        if found:
            found.catch_up()
        else:
            found = PodClass(pod, needs, self.cache)
        if found.lasting:
            self._classes[identity] = found  # at the end: used last
        if len(self._classes) > max(1, min(_CLASSES, _ROWS // max(1, len(self.cache.order)))):
            del self._classes[next(iter(self._classes))]
        return found
