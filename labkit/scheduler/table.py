"""A table of all nodes for Pods alike: a row per node, and columns to add up.

A row is what filters and scores say of one node.  Scores that compare nodes (`relative`) need a
column of many rows at once; columns are kept as lists, so that picking and adding them is work for
built-in functions rather than for a loop in Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add
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
    """Rows by the place of their node in the cache's order; None where there is no node."""

    def __init__(self, spread: Spread) -> None:
        self._keys = [each.key for each in spread.constraints]
        self.rows: list[Row | None] = []
        self.open: list[bool] = []  # no filter refuses
        self.fixed: list[int] = []  # the weighted sum of the scores that need no other node
        self.taints: list[int] = []
        self.affinity: list[int] = []
        # For each spread constraint the node's value of its label.
        self.values: list[list[str | None]] = [[] for _ in self._keys]

    def set(self, place: int, fresh: Row) -> None:
        """Put a row at its place; places are filled without gaps."""
        if place == len(self.rows):
            for column in (self.rows, self.open, self.fixed, self.taints, self.affinity):
                column.append(None)
            for column in self.values:
                column.append(None)
        part = fresh.part
        self.rows[place] = fresh
        self.open[place] = fresh.refusal is None
        self.fixed[place] = _fixed(fresh)
        self.taints[place], self.affinity[place] = part.taints, part.affinity
        for key, column in zip(self._keys, self.values, strict=True):
            column[place] = part.labels.get(key)


def _fixed(row: Row) -> int:
    return sum(score * scores.WEIGHTS[name] for name, score in own_scores(row).items())


def own_scores(row: Row) -> dict[str, int]:
    """The scores of a node that do not depend on the others, not weighted."""
    return {
        "NodeResourcesFit": row.fit,
        "NodeResourcesBalancedAllocation": row.balance,
        "ImageLocality": row.part.image,
    }


def relative(
    table: Table, places: Sequence[int], domains: Domains, neighbours: Neighbours
) -> dict[str, list[int]]:
    """The scores that compare the nodes at `places`, weighted.

    One that is the same for all, because nothing asks for it, may be missing.
    """
    parts = {}
    for name, column in (("TaintToleration", table.taints), ("NodeAffinity", table.affinity)):
        raw = _pick(column, places)
        if any(raw):
            parts[name] = scores.normalized(raw, reverse=name == "TaintToleration")
    spread = soft_scores(domains, [_pick(column, places) for column in table.values])
    if spread is not None:
        parts["PodTopologySpread"] = spread
    if neighbours.amounts[SCORE]:
        rows = _pick(table.rows, places)
        parts["InterPodAffinity"] = neighbours.scores([each.part.labels for each in rows])
    return {
        name: [score * scores.WEIGHTS[name] for score in values] for name, values in parts.items()
    }


def totals(
    table: Table, places: Sequence[int], domains: Domains, neighbours: Neighbours
) -> list[int]:
    """The sum of all scores of the nodes at `places`, up to a number that is the same for all."""
    found = _pick(table.fixed, places)
    for values in relative(table, places, domains, neighbours).values():
        found = list(map(add, found, values))
    return found


def _pick(column: list, places: Sequence[int]) -> list:
    return list(map(column.__getitem__, places))
