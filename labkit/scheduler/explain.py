"""Why a Pod went where it went: every filter and every score of every node.

The same functions that decide, asked about all nodes and told in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.scheduler import scores
from labkit.scheduler.cache import Cache
from labkit.scheduler.filters import FILTERS, Refusal
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.placement import PodClass
from labkit.scheduler.podview import PodView
from labkit.scheduler.reasons import FILTER_WORDS, SCORE_WORDS
from labkit.scheduler.spread import hard_refusal
from labkit.scheduler.table import NO_NEEDS, Needs, Row, own_scores


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """One node's part: `filters` has each filter's reasons (none where the node passed).

    `scores` are weighted and normalized among the nodes that passed, `total` their sum; both are
    empty for a node that some filter refuses.  `why` has what was compared, by ("filter" or
    "score", plugin).
    """

    node: str
    filters: Mapping[str, tuple[str, ...]]
    why: Mapping[tuple[str, str], str]
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
    guests, refused = cache.guests(pod), alike.domains.refused()
    infos = {name: _with(cache.infos[name], guests.get(name, ())) for name in cache.order}
    filters = {name: _filters(alike, info, refused) for name, info in infos.items()}
    places = [place for place, name in enumerate(alike.names) if not any(filters[name].values())]
    compared = alike.compared(places) if places else {}
    found = {name: {} for name in infos}
    for index, place in enumerate(places):
        found[alike.names[place]] = _scores(alike.table.rows[place]) | {
            plugin: values[index] for plugin, values in compared.items()
        }
    verdicts = [
        NodeVerdict(name, filters[name], _why(alike, info), found[name], sum(found[name].values()))
        for name, info in infos.items()
    ]
    return sorted(verdicts, key=lambda each: (not each.possible, -each.total, each.node))


def _with(info: NodeInfo, guests: tuple[PodView, ...] | list[PodView]) -> NodeInfo:
    """The node with the Pods that are expected there."""
    crowded = info.copy() if guests else info
    for guest in guests:
        crowded.add(guest)
    return crowded


def _filters(
    alike: PodClass, info: NodeInfo, refused: Mapping[str, set]
) -> dict[str, tuple[str, ...]]:
    """Each filter's reasons against one node."""
    volumes = alike.needs.volumes
    found: dict[str, Refusal | None] = {
        plugin: function(alike.pod, info) for plugin, function in FILTERS.items()
    }
    found["VolumeBinding"] = volumes.blocked or volumes.refusal(info)
    found["PodTopologySpread"] = hard_refusal(info.labels, refused)
    found["InterPodAffinity"] = alike.neighbours.refusal(info.labels)
    return {plugin: why.reasons if why else () for plugin, why in found.items()}


def _why(alike: PodClass, info: NodeInfo) -> dict[tuple[str, str], str]:
    filters = {("filter", plugin): words(alike, info) for plugin, words in FILTER_WORDS.items()}
    return filters | {
        ("score", plugin): words(alike, info) for plugin, words in SCORE_WORDS.items()
    }


def _scores(row: Row) -> dict[str, int]:
    """The weighted scores of a node by itself; 0, or the best, in what nothing asks for."""
    weights = scores.WEIGHTS
    own = {name: score * weights[name] for name, score in own_scores(row).items()}
    nothing = {"NodeAffinity": 0, "PodTopologySpread": 0, "InterPodAffinity": 0}
    return {**own, "TaintToleration": scores.BEST * weights["TaintToleration"], **nothing}
