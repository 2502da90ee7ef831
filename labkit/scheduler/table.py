"""A table of all nodes for Pods alike: a row per node, and columns to add up.

A row is what filters and scores say of one node.  Scores that compare nodes (`relative`) need a
column of many rows at once; columns are kept as lists, so that picking and adding them is work for
built-in functions rather than for a loop in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import add, itemgetter
from typing import NamedTuple

from labkit.scheduler import scores
from labkit.scheduler.filters import LOAD_FILTERS, NODE_FILTERS, Refusal, refusal
from labkit.scheduler.neighbours import SCORE, Neighbours, Said, Voices
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PodView
from labkit.scheduler.spread import Domains, Matcher, Spread, domains_of, soft_scores
from labkit.scheduler.volumes import NO_VOLUMES, Volumes


class Needs(NamedTuple):
    """What a Pod needs besides what it says itself: read from other objects of the API."""

    spread: Spread = Spread()
    volumes: Volumes = NO_VOLUMES


NO_NEEDS = Needs()


class NodePart(NamedTuple):
    """What a Node itself means to a class of Pods, whatever runs there."""

    version: int
    labels: Mapping[str, str]
    refusal: Refusal | None
    volumes: Refusal | None  # asked after what is on the node, as upstream
    image: int
    taints: int  # raw
    affinity: int  # raw
    domains: tuple[str | None, ...]  # for each spread constraint


class Row(NamedTuple):
    """What one node means to one class of Pods."""

    part: NodePart
    refusal: Refusal | None
    fit: int
    balance: int
    counts: tuple[int, ...]  # matching Pods for each spread constraint
    said: Said  # what the Pods there say about affinity


def node_part(
    pod: PodView, needs: Needs, node: NodeInfo, images: Mapping[str, int], nodes: int
) -> NodePart:
    """Filter and score a Node by what it is."""
    return NodePart(
        node.version,
        node.labels,
        refusal(pod, node, NODE_FILTERS),
        needs.volumes.refusal(node),
        scores.image_locality(pod, node, images, nodes) if node.images else 0,
        scores.untolerated_preferences(pod, node) if node.taints else 0,
        scores.preferred_affinity(pod, node),
        domains_of(needs.spread, pod, node),
    )


def row(pod: PodView, part: NodePart, node: NodeInfo, matcher: Matcher, voices: Voices) -> Row:
    """Filter and score a node by what is on it, too."""
    counts, said = matcher.count(node), voices.said(node)
    refused = part.refusal or refusal(pod, node, LOAD_FILTERS) or part.volumes
    if refused:
        return Row(part, refused, 0, 0, counts, said)
    fit, balance = scores.least_allocated(pod, node), scores.balanced_allocation(pod, node)
    return Row(part, None, fit, balance, counts, said)


class Table:
    """Rows by the place of their node in the cache's order, and columns of what is often asked."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.open: list[bool] = []  # no filter refuses
        self.fixed: list[int] = []  # the weighted sum of the scores that need no other node
        self.taints: list[int] = []
        self.affinity: list[int] = []
        self._labels: dict[str, list[str | None]] = {}

    def set(self, place: int, fresh: Row) -> None:
        """Put a row at its place; places are filled without gaps."""
        if place == len(self.rows):
            for column in (self.open, self.fixed, self.taints, self.affinity):
                column.append(0)
            for column in self._labels.values():
                column.append(None)
            self.rows.append(fresh)
            self._set_part(place, fresh.part)
        elif fresh.part is not self.rows[place].part:
            self._set_part(place, fresh.part)
        self.rows[place] = fresh
        self.open[place] = fresh.refusal is None
        self.fixed[place] = fresh.fit * _FIT + fresh.balance * _BALANCE + fresh.part.image * _IMAGE

    def _set_part(self, place: int, part: NodePart) -> None:
        self.taints[place], self.affinity[place] = part.taints, part.affinity
        for key, column in self._labels.items():
            column[place] = part.labels.get(key)

    def labels(self, key: str) -> list[str | None]:
        """The column of a label: its value on each node, None where a node lacks it."""
        if key not in self._labels:
            self._labels[key] = [each.part.labels.get(key) for each in self.rows]
        return self._labels[key]


def own_scores(row: Row) -> dict[str, int]:
    """The scores of a node that do not depend on the others, not weighted."""
    return {
        "NodeResourcesFit": row.fit,
        "NodeResourcesBalancedAllocation": row.balance,
        "ImageLocality": row.part.image,
    }


_FIT = scores.WEIGHTS["NodeResourcesFit"]
_BALANCE = scores.WEIGHTS["NodeResourcesBalancedAllocation"]
_IMAGE = scores.WEIGHTS["ImageLocality"]


def relative(
    table: Table, places: Sequence[int], domains: Domains, neighbours: Neighbours
) -> dict[str, list[int]]:
    """The scores that compare the nodes at `places`, weighted.

    One that is the same for all, because nothing asks for it, may be missing.
    """
    pick, parts = picker(places), {}
    for name, column in (("TaintToleration", table.taints), ("NodeAffinity", table.affinity)):
        if any(raw := pick(column)):
            parts[name] = scores.normalized(raw, reverse=name == "TaintToleration")
    soft = [each.key for each in domains.spread.constraints if not each.hard]
    spread = soft_scores(domains, [pick(table.labels(key)) for key in soft])
    if spread is not None:
        parts["PodTopologySpread"] = spread
    if wishes := neighbours.amounts[SCORE]:
        columns = {key: pick(table.labels(key)) for key in wishes}
        parts["InterPodAffinity"] = neighbours.scores(columns)
    return {
        name: [score * scores.WEIGHTS[name] for score in values] for name, values in parts.items()
    }


def totals(
    table: Table, places: Sequence[int], domains: Domains, neighbours: Neighbours
) -> Sequence[int]:
    """The sum of all scores of the nodes at `places`, up to a number that is the same for all."""
    found = picker(places)(table.fixed)
    for values in relative(table, places, domains, neighbours).values():
        found = list(map(add, found, values))
    return found


def picker(places: Sequence[int]) -> Callable[[Sequence], Sequence]:
    """A function that picks the entries at `places` from a column."""
    if len(places) == 1:
        return lambda column: (column[places[0]],)
    return itemgetter(*places)
