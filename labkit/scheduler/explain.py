"""Why a Pod went where it went: every filter and every score of every node.

The same functions that decide, asked about all nodes and told in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from labkit.kube import selectors
from labkit.scheduler.filters import FILTERS
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.placement import row, weighted
from labkit.scheduler.podview import view
from labkit.scheduler.spread import Domains, Spread, hard_refusal, spread_of


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


def explain(
    pod: Mapping, nodes: Sequence[NodeInfo], default: selectors.Selector = ()
) -> list[NodeVerdict]:
    """The verdict on each of `nodes` for a Pod of the API, best first.

    `default` selects the Pods to spread from where the Pod has no constraints of its own.
    """
    # Asked about a Pod that runs already, we want to know why, and not that it is there.
    seen = view({**pod, "spec": {k: v for k, v in pod["spec"].items() if k != "nodeName"}})
    spread = spread_of(seen, default)
    images = _images(nodes)
    rows = {node.name: row(seen, spread, node, images, len(nodes)) for node in nodes}
    domains = _domains(spread, rows.values())
    least = domains.least()
    filters = {}
    for node in nodes:
        found = {name: function(seen, node) for name, function in FILTERS.items()}
        found["PodTopologySpread"] = hard_refusal(seen, node.labels, domains, least)
        filters[node.name] = {name: why.reasons if why else () for name, why in found.items()}
    possible = [name for name in rows if not any(filters[name].values())]
    parts = weighted([rows[name] for name in possible], domains)
    verdicts = []
    for node in nodes:
        scores = {}
        if node.name in possible:
            place = possible.index(node.name)
            scores = {name: values[place] for name, values in parts.items()}
        verdicts.append(NodeVerdict(node.name, filters[node.name], scores, sum(scores.values())))
    return sorted(verdicts, key=lambda each: (not each.possible, -each.total, each.node))


def _images(nodes: Iterable[NodeInfo]) -> Counter[str]:
    return Counter(name for node in nodes for name in node.images)


def _domains(spread: Spread, rows: Iterable) -> Domains:
    domains = Domains(spread)
    for each in rows:
        domains.add(each.labels, each.counts)
    return domains
