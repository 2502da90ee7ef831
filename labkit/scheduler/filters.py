"""Filters: which nodes can take a Pod at all.

A filter is a function of (Pod, node) that answers why not, in kube-scheduler's own words, and None
where nothing is against it.  `FILTERS` is their order; the first that refuses a node ends the
matter for that node, as upstream, so that a message counts each node once (but for resources, of
which all that lack are named).

Source: kube-scheduler's default plugins; documentation "Scheduling Framework", "Assigning Pods to
Nodes".  Volumes, PodTopologySpread and InterPodAffinity come after these: see `volumes`, `spread`
and `neighbours`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from labkit.kube import nodeselectors, taints
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PODS, PodView


class Refusal(NamedTuple):
    """Why a node cannot take a Pod; `resolvable` if it could once other Pods are gone."""

    plugin: str
    reasons: tuple[str, ...]
    resolvable: bool = False


Filter = Callable[[PodView, NodeInfo], Refusal | None]


def node_unschedulable(pod: PodView, node: NodeInfo) -> Refusal | None:
    """A cordoned node takes only Pods that tolerate node.kubernetes.io/unschedulable."""
    taint = {"key": taints.UNSCHEDULABLE, "effect": taints.NO_SCHEDULE}
    if node.unschedulable and not taints.tolerated(pod.spec.get("tolerations"), taint):
        return Refusal("NodeUnschedulable", ("node(s) were unschedulable",))
    return None


def node_name(pod: PodView, node: NodeInfo) -> Refusal | None:
    """A Pod that names its node goes nowhere else."""
    wanted = pod.spec.get("nodeName")
    if wanted and wanted != node.name:
        return Refusal("NodeName", ("node(s) didn't match the requested node name",))
    return None


def taint_toleration(pod: PodView, node: NodeInfo) -> Refusal | None:
    """Taints NoSchedule and NoExecute keep out Pods that do not tolerate them."""
    if not node.taints:
        return None
    effects = (taints.NO_SCHEDULE, taints.NO_EXECUTE)
    taint = taints.first_untolerated(node.taints, pod.spec.get("tolerations"), effects)
    if taint is None:
        return None
    words = f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"
    return Refusal("TaintToleration", (words,))


def node_affinity(pod: PodView, node: NodeInfo) -> Refusal | None:
    """`nodeSelector` and required node affinity must both match."""
    if matches_node(pod, node):
        return None
    return Refusal("NodeAffinity", ("node(s) didn't match Pod's node affinity/selector",))


def node_ports(pod: PodView, node: NodeInfo) -> Refusal | None:
    """Each hostPort must be free on the node."""
    if pod.ports and any(_conflicts(port, node.ports) for port in pod.ports):
        words = "node(s) didn't have free ports for the requested pod ports"
        return Refusal("NodePorts", (words,), resolvable=True)
    return None


def node_resources_fit(pod: PodView, node: NodeInfo) -> Refusal | None:
    """The sum of all Pods' requests must fit into what the node can allocate."""
    room = node.allocatable
    if len(node.pods) < room.get(PODS, 0) and all(
        amount <= room.get(name, 0) - node.requested.get(name, 0) or not amount
        for name, amount in pod.requests.items()
    ):
        return None
    lacking = [name for name, amount in pod.requests.items() if amount > max(0, node.free(name))]
    reasons = ["Too many pods"] if node.free(PODS) < 1 else []
    reasons += [f"Insufficient {name}" for name in lacking]
    resolvable = all(pod.requests[name] <= room.get(name, 0) for name in lacking)
    return Refusal("NodeResourcesFit", tuple(reasons), resolvable)


# Those that look at the Node alone, and those that look at what is on it already.
NODE_FILTERS: dict[str, Filter] = {
    "NodeUnschedulable": node_unschedulable,
    "NodeName": node_name,
    "TaintToleration": taint_toleration,
    "NodeAffinity": node_affinity,
}
LOAD_FILTERS: dict[str, Filter] = {
    "NodePorts": node_ports,
    "NodeResourcesFit": node_resources_fit,
}
FILTERS = {**NODE_FILTERS, **LOAD_FILTERS}


def refusal(
    pod: PodView, node: NodeInfo, filters: Mapping[str, Filter] = FILTERS
) -> Refusal | None:
    """The first filter's refusal, or None if the node can take the Pod."""
    for function in filters.values():
        if found := function(pod, node):
            return found
    return None


def matches_node(pod: PodView, node: NodeInfo) -> bool:
    """Whether `nodeSelector` and required node affinity allow the node."""
    return nodeselectors.allows(pod.spec, node.labels, node.name)


def named_nodes(spec: Mapping) -> frozenset[str] | None:
    """The nodes that required affinity names (matchFields, as a DaemonSet's Pods have it).

    None if it names none; the empty set if what it names contradicts itself.
    """
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    named: set[str] = set()
    for term in required.get("nodeSelectorTerms") or ():
        fields = [
            set(each.get("values") or ())
            for each in term.get("matchFields") or ()
            if each["key"] == "metadata.name" and each["operator"] == "In"
        ]
        if not fields:
            return None  # this term alone allows any node
        named |= set.intersection(*fields)
    return frozenset(named) if required.get("nodeSelectorTerms") else None


def matches_term(term: Mapping, node: NodeInfo) -> bool:
    """Whether one NodeSelectorTerm holds for the node."""
    return nodeselectors.matches_term(term, node.labels, node.name)


def _conflicts(port: tuple[str, str, int], taken: Iterable[tuple[str, str, int]]) -> bool:
    """0.0.0.0 stands for every address, so that it conflicts with any of the same port."""
    address, protocol, number = port
    return any(
        (protocol, number) == (other_protocol, other_number)
        and (address == other or "0.0.0.0" in (address, other))
        for other, other_protocol, other_number in taken
    )
