"""Why a Pod went where it went: every filter and every score of every node.

The same functions that decide, asked about all nodes and told in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from labkit.kube import selectors
from labkit.scheduler import scores
from labkit.scheduler.filters import FILTERS
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PodView, view
from labkit.scheduler.spread import Domains, Matcher, Spread, hard_refusal, spread_of
from labkit.scheduler.table import Row, Table, node_part, own_scores, relative, row


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

    `default` selects the Pods to spread from where the Pod has no constraints of its own.  A Pod
    that runs already is judged as if it did not: the question is why it is where it is.
    """
    seen = view({**pod, "spec": {k: v for k, v in pod["spec"].items() if k != "nodeName"}})
    nodes = [_without(node, seen.uid) for node in nodes]
    spread = spread_of(seen, default)
    table, domains = Table(spread), Domains(spread)
    for place, fresh in enumerate(_rows(seen, spread, nodes)):
        table.set(place, fresh)
        domains.add(fresh.part.domains, fresh.counts)
    filters = [_filters(seen, node, domains) for node in nodes]
    possible = [place for place, found in enumerate(filters) if not any(found.values())]
    compared = relative(table, possible, domains)
    verdicts = []
    for place, node in enumerate(nodes):
        found = {}
        if place in possible:
            found = _scores(table.rows[place])
            index = possible.index(place)
            found |= {name: values[index] for name, values in compared.items()}
        verdicts.append(NodeVerdict(node.name, filters[place], found, sum(found.values())))
    return sorted(verdicts, key=lambda each: (not each.possible, -each.total, each.node))


def _without(node: NodeInfo, uid: str) -> NodeInfo:
    """The node as it would be without one of its Pods."""
    if uid not in node.pods:
        return node
    rest = NodeInfo(node.name)
    rest.set_node(node.node)
    for pod in node.pods.values():
        if pod.uid != uid:
            rest.add(pod)
    return rest


def _rows(pod: PodView, spread: Spread, nodes: Sequence[NodeInfo]) -> Iterator[Row]:
    images = Counter(name for node in nodes for name in node.images)
    matcher = Matcher(spread, pod.namespace)
    for node in nodes:
        part = node_part(pod, spread, node, images, len(nodes))
        yield row(pod, part, node, matcher)


def _filters(pod: PodView, node: NodeInfo, domains: Domains) -> dict[str, tuple[str, ...]]:
    found = {name: function(pod, node) for name, function in FILTERS.items()}
    found["PodTopologySpread"] = hard_refusal(pod, node.labels, domains, domains.least())
    return {name: why.reasons if why else () for name, why in found.items()}


def _scores(row: Row) -> dict[str, int]:
    """The weighted scores of a node by itself; all nodes are equal in what nothing asks for."""
    weights = scores.WEIGHTS
    own = {name: score * weights[name] for name, score in own_scores(row).items()}
    return {**own, "TaintToleration": scores.BEST * weights["TaintToleration"], "NodeAffinity": 0}
