"""Why a Pod went where it went: every filter and every score of every node.

The same functions that decide, asked about all nodes and told in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.scheduler import scores
from labkit.scheduler.cache import Cache
from labkit.scheduler.filters import FILTERS
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.placement import PodClass
from labkit.scheduler.podview import PodView
from labkit.scheduler.spread import hard_refusal
from labkit.scheduler.table import NO_NEEDS, Needs, Row, own_scores


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """One node's part: `filters` has each filter's reasons (none where the node passed).

    `scores` are weighted and normalized among the nodes that passed, `total` their sum; both are
    empty for a node that some filter refuses.
    """

    node: str
    filters: Mapping[str, tuple[str, ...]]
    scores: Mapping[str, int] = field(default_factory=dict)
    total: int = 0

    @property
    def possible(self) -> bool:
        """Whether no filter refuses the node."""
        return not any(self.filters.values())


def explain(pod: PodView, cache: Cache, needs: Needs = NO_NEEDS) -> list[NodeVerdict]:
    """The verdict on each node for a Pod that is on none of them, best first.

    Unlike the scheduler, which ends with the first filter that refuses a node, and in a big cluster
    with the first so many nodes that are possible, this asks every filter about every node.
    """
    alike = PodClass(pod, needs, cache)
    asked = _Asked(alike, cache)
    filters = {name: asked.filters(name) for name in cache.order}
    places = [place for place, name in enumerate(alike.names) if not any(filters[name].values())]
    compared = alike.compared(places) if places else {}
    verdicts = {name: NodeVerdict(name, found) for name, found in filters.items()}
    for index, place in enumerate(places):
        found = _scores(alike.table.rows[place])
        found |= {plugin: values[index] for plugin, values in compared.items()}
        name = alike.names[place]
        verdicts[name] = NodeVerdict(name, filters[name], found, sum(found.values()))
    return sorted(verdicts.values(), key=lambda each: (not each.possible, -each.total, each.node))


class _Asked:
    """All filters, one node after the other."""

    def __init__(self, alike: PodClass, cache: Cache) -> None:
        self._alike, self._cache = alike, cache
        self._refused = alike.domains.refused()
        self._guests = cache.guests(alike.pod)

    def filters(self, name: str) -> dict[str, tuple[str, ...]]:
        """Each filter's reasons against one node."""
        alike, info = self._alike, self._cache.infos[name]
        crowded = self._crowded(info)
        found = {plugin: function(alike.pod, crowded) for plugin, function in FILTERS.items()}
        found["VolumeBinding"] = alike.needs.volumes.blocked or alike.needs.volumes.refusal(info)
        found["PodTopologySpread"] = hard_refusal(info.labels, self._refused)
        found["InterPodAffinity"] = alike.neighbours.refusal(info.labels)
        return {plugin: why.reasons if why else () for plugin, why in found.items()}

    def _crowded(self, info: NodeInfo) -> NodeInfo:
        """The node with the Pods that are expected there."""
        if info.name not in self._guests:
            return info
        crowded = info.copy()
        for guest in self._guests[info.name]:
            crowded.add(guest)
        return crowded


def _scores(row: Row) -> dict[str, int]:
    """The weighted scores of a node by itself; 0, or the best, in what nothing asks for."""
    weights = scores.WEIGHTS
    own = {name: score * weights[name] for name, score in own_scores(row).items()}
    nothing = {"NodeAffinity": 0, "PodTopologySpread": 0, "InterPodAffinity": 0}
    return {**own, "TaintToleration": scores.BEST * weights["TaintToleration"], **nothing}
