"""The reasons behind filters and scores, in a few words: what was compared with what.

kube-scheduler says only why not.  Here each filter and each score of a node says what it looked at,
so that a learner can redo the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labkit.scheduler import scores
from labkit.scheduler.neighbours import AFFINITY, ANTI, EXISTING, SCORE
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.placement import PodClass
from labkit.scheduler.podview import CPU, MEMORY, PODS, STORAGE

Words = Callable[[PodClass, NodeInfo], str]
_BYTES = (MEMORY, STORAGE)


def amount(name: str, value: int) -> str:
    """`500m`, `1.5`, `128Mi`, `7.6Gi`, as people write resources."""
    if name == CPU:
        return f"{value}m" if value % 100 else f"{value / 1000:g}"
    if name not in _BYTES:
        return str(value)
    for unit, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if value >= size:
            number = value / size
            return f"{number:.0f}{unit}" if number >= 1000 else f"{number:.3g}{unit}"
    return str(value)


# Filters.


def _unschedulable(alike: PodClass, node: NodeInfo) -> str:
    return "cordoned" if node.unschedulable else "not cordoned"


def _name(alike: PodClass, node: NodeInfo) -> str:
    named = alike.pod.spec.get("nodeName")
    return f"asks for {named}" if named else "asks for no node by name"


def _taints(alike: PodClass, node: NodeInfo) -> str:
    return _listed(map(_taint, node.taints)) or "no taints"


def _taint(taint: Mapping) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _node_affinity(alike: PodClass, node: NodeInfo) -> str:
    spec = alike.pod.spec
    wanted = [
        f"wants {key}={value}, node has {node.labels.get(key, 'none')}"
        for key, value in (spec.get("nodeSelector") or {}).items()
    ]
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if required:
        wanted += [" or ".join(map(_term, required.get("nodeSelectorTerms") or ()))]
    return _listed(wanted) or "wants no labels"


def _term(term: Mapping) -> str:
    needs = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
    return " and ".join(
        f"{each['key']} {each['operator']} {_listed(each.get('values') or ())}".strip()
        for each in needs
    )


def _ports(alike: PodClass, node: NodeInfo) -> str:
    asked = _listed(f"{port}/{protocol}" for _, protocol, port in alike.pod.ports)
    taken = _listed(f"{port}/{protocol}" for _, protocol, port in node.ports)
    return f"asks for {asked}; taken: {taken or 'none'}" if asked else "no host ports"


def _fit(alike: PodClass, node: NodeInfo) -> str:
    parts = [
        f"{name} {amount(name, wanted)} of {amount(name, node.free(name))} free"
        for name, wanted in alike.pod.requests.items()
        if wanted
    ]
    total = node.allocatable.get(PODS, 0)
    return _listed([*parts, f"{len(node.pods)} of {total} Pods there"])


def _volumes(alike: PodClass, node: NodeInfo) -> str:
    volumes = alike.needs.volumes
    if volumes.waiting:
        return f"claims that wait for their first Pod: {_listed(w.claim for w in volumes.waiting)}"
    return "its volumes are bound" if volumes.bound or volumes.lost else "no claims"


def _hard_spread(alike: PodClass, node: NodeInfo) -> str:
    hard = [(index, each) for index, each in enumerate(alike.needs.spread.constraints) if each.hard]
    least = alike.domains.least()
    return (
        _listed(
            f"{alike.domains.pods[index].get(node.labels.get(each.key), 0)} like it in "
            f"{each.key}={node.labels.get(each.key, 'none')}, {fewest} in the emptiest, "
            f"maxSkew {each.max_skew}"
            for (index, each), fewest in zip(hard, least, strict=True)
        )
        or "no hard constraints"
    )


def _pod_affinity(alike: PodClass, node: NodeInfo) -> str:
    found = []
    for kind, words in (
        (AFFINITY, "it must be near"), (ANTI, "it must avoid"), (EXISTING, "that must avoid it"),
    ):  # fmt: skip
        for key, values in alike.neighbours.amounts[kind].items():
            value = node.labels.get(key)
            if count := values.get(value, 0):
                found.append(f"{count} Pods {words} in {key}={value}")
    return _listed(found) or "nobody here to be near or to avoid"


FILTER_WORDS: Mapping[str, Words] = {
    "NodeUnschedulable": _unschedulable,
    "NodeName": _name,
    "TaintToleration": _taints,
    "NodeAffinity": _node_affinity,
    "NodePorts": _ports,
    "NodeResourcesFit": _fit,
    "VolumeBinding": _volumes,
    "PodTopologySpread": _hard_spread,
    "InterPodAffinity": _pod_affinity,
}


# Scores.


def _least_allocated(alike: PodClass, node: NodeInfo) -> str:
    pod, (cpu, memory) = alike.pod, node.capacity
    return (
        f"with it {_share(node.nonzero_cpu + pod.nonzero[0], cpu)} of CPU and "
        f"{_share(node.nonzero_memory + pod.nonzero[1], memory)} of memory requested"
    )


def _balanced(alike: PodClass, node: NodeInfo) -> str:
    wanted, (cpu, memory) = alike.pod.requests, node.capacity
    if not wanted.get(CPU) and not wanted.get(MEMORY):
        return "requests neither CPU nor memory"
    used = node.requested.get(CPU, 0), node.requested.get(MEMORY, 0)
    after = used[0] + wanted.get(CPU, 0), used[1] + wanted.get(MEMORY, 0)
    return (
        f"CPU and memory requested: {_share(used[0], cpu)} and {_share(used[1], memory)} before, "
        f"{_share(after[0], cpu)} and {_share(after[1], memory)} after"
    )


def _image(alike: PodClass, node: NodeInfo) -> str:
    names = map(scores.normalized_image, alike.pod.images)
    there = [
        f"{name} ({amount(MEMORY, node.images[name])})" for name in names if name in node.images
    ]
    return f"there already: {_listed(there)}" if there else "no image is there already"


def _soft_taints(alike: PodClass, node: NodeInfo) -> str:
    count = scores.untolerated_preferences(alike.pod, node)
    return f"{count} PreferNoSchedule taints not tolerated"


def _preferred_nodes(alike: PodClass, node: NodeInfo) -> str:
    return f"preferences of weight {scores.preferred_affinity(alike.pod, node)} match"


def _soft_spread(alike: PodClass, node: NodeInfo) -> str:
    return (
        _listed(
            f"{alike.domains.pods[index].get(node.labels[each.key], 0)} like it in "
            f"{each.key}={node.labels[each.key]}"
            for index, each in enumerate(alike.needs.spread.constraints)
            if not each.hard and each.key in node.labels
        )
        or "nothing to spread"
    )


def _wishes(alike: PodClass, node: NodeInfo) -> str:
    wishes = alike.neighbours.amounts[SCORE]
    total = sum(values.get(node.labels.get(key), 0) for key, values in wishes.items())
    return f"wishes to be near or far add up to {total}" if wishes else "nobody wishes anything"


SCORE_WORDS: Mapping[str, Words] = {
    "TaintToleration": _soft_taints,
    "NodeAffinity": _preferred_nodes,
    "PodTopologySpread": _soft_spread,
    "InterPodAffinity": _wishes,
    "NodeResourcesFit": _least_allocated,
    "NodeResourcesBalancedAllocation": _balanced,
    "ImageLocality": _image,
}


def _share(used: int, capacity: int) -> str:
    return f"{100 * used / capacity:.0f} %" if capacity else "nothing"


def _listed(parts) -> str:
    return ", ".join(map(str, parts))
