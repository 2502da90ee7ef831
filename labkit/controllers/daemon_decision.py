"""What a DaemonSet needs next: functions of the DaemonSet, the Nodes and its Pods.

Each eligible Node has one Pod, bound to it by node affinity for its name and placed by the
scheduler like any other.  While a rolling update surges, a Node may have an old and a new one.

Source: daemon_controller.go (podsShouldBeOnNode, NodeShouldRunDaemonPod, updateDaemonSetStatus),
update.go (rollingUpdate) and util/daemonset_util.go of kube-controller-manager's daemon controller.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from labkit.controllers.history import POD_HASH
from labkit.controllers.replica_status import available_in
from labkit.controllers.replicaset import pod_from_template
from labkit.controllers.rollout import resolve
from labkit.kube import nodeselectors, objects, pods, taints

GENERATION = "deprecated.daemonset.template.generation"
_GENERATION_LABEL = "pod-template-generation"
_NAME = "metadata.name"
_TOLERATED = (
    (taints.NOT_READY, taints.NO_EXECUTE),
    (taints.UNREACHABLE, taints.NO_EXECUTE),
    ("node.kubernetes.io/disk-pressure", taints.NO_SCHEDULE),
    ("node.kubernetes.io/memory-pressure", taints.NO_SCHEDULE),
    ("node.kubernetes.io/pid-pressure", taints.NO_SCHEDULE),
    (taints.UNSCHEDULABLE, taints.NO_SCHEDULE),
)
_NETWORK = ("node.kubernetes.io/network-unavailable", taints.NO_SCHEDULE)

ByNode = Mapping[str, Sequence[Mapping]]


class Fit(NamedTuple):
    """Whether a Node should get a daemon's Pod, and whether one that it has may stay."""

    run: bool
    stay: bool


class Work(NamedTuple):
    """Nodes that need a Pod, Pods that must go, and (Pod, Node) that ended and must be replaced."""

    create: list[str]
    delete: list[Mapping]
    ended: list[tuple[Mapping, str]]


# The Pods.


def tolerations(spec: Mapping) -> list[Mapping]:
    """A template's tolerations, and those that every daemon has."""
    present = list(spec.get("tolerations") or ())
    for key, effect in (*_TOLERATED, *((_NETWORK,) if spec.get("hostNetwork") else ())):
        wanted = {"key": key, "operator": "Exists", "effect": effect}
        if wanted not in present:
            present.append(wanted)
    return present


def pod_for(daemon_set: Mapping, revision_hash: str, node: str) -> dict:
    """The Pod for one Node."""
    pod = copy.deepcopy(pod_from_template(daemon_set))
    meta, spec = pod["metadata"], pod["spec"]
    labels = meta.setdefault("labels", {})
    labels[POD_HASH] = revision_hash
    if count := (daemon_set["metadata"].get("annotations") or {}).get(GENERATION):
        labels[_GENERATION_LABEL] = count
    spec["tolerations"] = tolerations(spec)
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    fields = [{"key": _NAME, "operator": "In", "values": [node]}]
    terms = required.get("nodeSelectorTerms") or [{}]
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {
        "nodeSelectorTerms": [{**term, "matchFields": fields} for term in terms]
    }
    return pod


def target(pod: Mapping) -> str:
    """The Node that a daemon's Pod is on, or is made for; empty where it tells neither."""
    if name := pods.node_name(pod):
        return name
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == _NAME and field["operator"] == "In" and len(field["values"]) == 1:
                return field["values"][0]
    return ""


def by_node(found: Iterable[Mapping]) -> dict[str, list[Mapping]]:
    """A DaemonSet's Pods by Node; those that have ended and are being deleted are not counted."""
    result: dict[str, list[Mapping]] = {}
    for pod in found:
        if not (pods.is_terminal(pod) and objects.is_deleting(pod)) and (name := target(pod)):
            result.setdefault(name, []).append(pod)
    return result


# One Pod for each Node.


def fit(daemon_set: Mapping, node: Mapping) -> Fit:
    """What a Node's name, labels and taints mean for a DaemonSet."""
    spec, meta = daemon_set["spec"]["template"]["spec"], node["metadata"]
    if spec.get("nodeName") not in (None, "", meta["name"]):
        return Fit(False, False)
    if not nodeselectors.allows(spec, objects.labels(node), meta["name"]):
        return Fit(False, False)
    tainted, tolerated = node["spec"].get("taints") or (), tolerations(spec)
    repels = (taints.NO_SCHEDULE, taints.NO_EXECUTE)
    if taints.first_untolerated(tainted, tolerated, repels):
        evicts = taints.first_untolerated(tainted, tolerated, (taints.NO_EXECUTE,))
        return Fit(False, not evicts)
    return Fit(True, True)


def manage(
    daemon_set: Mapping, nodes: Sequence[Mapping], found: ByNode, revision_hash: str, now: float
) -> Work:
    """What is missing and what is too much, whatever the template has been."""
    work = Work([], [], [])
    for node in nodes:
        name = node["metadata"]["name"]
        present, fits = found.get(name, ()), fit(daemon_set, node)
        if fits.run and not present:
            work.create.append(name)
        elif fits.stay:
            _tend(work, daemon_set, name, present, fits, revision_hash, now)
        else:
            work.delete.extend(pod for pod in present if not objects.is_deleting(pod))
    existing = {node["metadata"]["name"] for node in nodes}
    for name in sorted(found.keys() - existing):  # their Nodes went before they were placed
        unplaced = [pod for pod in found[name] if not pods.node_name(pod)]
        work.delete.extend(pod for pod in unplaced if not objects.is_deleting(pod))
    return work


def _tend(
    work: Work,
    daemon_set: Mapping,
    name: str,
    present: Sequence[Mapping],
    fits: Fit,
    revision_hash: str,
    now: float,
) -> None:
    """A Node that has Pods keeps the right ones."""
    alive = [pod for pod in present if not objects.is_deleting(pod)]
    work.ended.extend((pod, name) for pod in alive if pods.is_terminal(pod))
    running = _oldest_first(pod for pod in alive if not pods.is_terminal(pod))
    if not surges(daemon_set):
        work.delete.extend(running[1:])
    elif not running and fits.run:
        work.create.append(name)  # where Pods may overlap there is no wait for the last one's end
    elif len(running) > 1:
        work.delete.extend(_overlapping(daemon_set, running, revision_hash, now))


def _overlapping(
    daemon_set: Mapping, running: Sequence[Mapping], revision_hash: str, now: float
) -> list[Mapping]:
    """What is too much on a Node that may have one old and one new Pod."""
    new = [pod for pod in running if is_updated(pod, revision_hash)]
    old = [pod for pod in running if not is_updated(pod, revision_hash)]
    excess = new[1:] + old[1:]
    if new and old and (not pods.is_ready(old[0]) or _is_available(daemon_set, new[0], now)):
        excess.append(old[0])
    return excess


def _oldest_first(found: Iterable[Mapping]) -> list[Mapping]:
    """Placed Pods before others, older before younger."""

    def order(pod: Mapping) -> tuple:
        meta = pod["metadata"]
        return not pods.node_name(pod), meta.get("creationTimestamp") or "", meta["name"]

    return sorted(found, key=order)


# From one template to the next.


def is_updated(pod: Mapping, revision_hash: str) -> bool:
    """Whether a Pod is of the newest template."""
    return objects.labels(pod).get(POD_HASH) == revision_hash


def _is_available(daemon_set: Mapping, pod: Mapping, now: float) -> bool:
    return available_in(pod, daemon_set["spec"].get("minReadySeconds") or 0, now) == 0


def surges(daemon_set: Mapping) -> bool:
    """Whether an update may put a second Pod on a Node."""
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    surge = (strategy.get("rollingUpdate") or {}).get("maxSurge")
    return strategy.get("type") == "RollingUpdate" and surge not in (None, 0, "0%")


def bounds(daemon_set: Mapping, desired: int) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) as numbers of Nodes; percentages are rounded up."""
    rolling = (daemon_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    surge = resolve(rolling.get("maxSurge") or 0, desired, math.ceil)
    unavailable = resolve(rolling.get("maxUnavailable", 1), desired, math.ceil)
    return surge, unavailable or (0 if surge else 1)


def rolling_update(
    daemon_set: Mapping, nodes: Sequence[Mapping], found: ByNode, revision_hash: str, now: float
) -> Work:
    """The next step: which old Pods go, which Nodes get a second Pod."""
    eligible = [node["metadata"]["name"] for node in nodes if fit(daemon_set, node).run]
    surge, unavailable = bounds(daemon_set, len(eligible))
    on_nodes = {**dict.fromkeys(eligible, ()), **found}
    pairs = {name: _pair(on_nodes[name], revision_hash) for name in on_nodes}
    if surge:
        return _surge(daemon_set, pairs, surge, now)
    return Work([], _replace(daemon_set, pairs, unavailable, now), [])


Pair = tuple[Mapping | None, Mapping | None]  # the new and the old Pod of a Node


def _pair(present: Sequence[Mapping], revision_hash: str) -> Pair | None:
    """None where the Node has two of one kind, which `manage` puts right first."""
    alive = [pod for pod in present if not objects.is_deleting(pod)]
    new = [pod for pod in alive if is_updated(pod, revision_hash)]
    old = [pod for pod in alive if not is_updated(pod, revision_hash)]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None, old[0] if old else None)


def _replace(
    daemon_set: Mapping, pairs: Mapping[str, Pair | None], most: int, now: float
) -> list[Mapping]:
    """Old Pods that are unavailable anyway, and available ones as far as the bound allows."""
    unavailable, broken, candidates = 0, [], []
    for new, old in (pair or (None, None) for pair in pairs.values()):
        if new is None and old is not None:
            if _is_available(daemon_set, old, now):
                candidates.append(old)
            else:
                broken.append(old)
                unavailable += 1
        elif new is None or old is not None or not _is_available(daemon_set, new, now):
            unavailable += 1
    return broken + candidates[: max(0, most - unavailable)]


def _surge(daemon_set: Mapping, pairs: Mapping[str, Pair | None], most: int, now: float) -> Work:
    """New Pods beside old ones, as many as the bound allows; old ones whose new one is there."""
    surging, at_once, candidates, done = 0, [], [], []
    for name, pair in pairs.items():
        new, old = pair or (None, None)
        if pair is None:
            surging += 1
        elif old is None:
            continue
        elif new is None:
            (candidates if _is_available(daemon_set, old, now) else at_once).append(name)
        elif _is_available(daemon_set, new, now):
            done.append(old)
        else:
            surging += 1
    return Work(at_once + candidates[: max(0, most - surging)], done, [])


# What is told.


def status(
    daemon_set: Mapping, nodes: Sequence[Mapping], found: ByNode, revision_hash: str, now: float
) -> dict:
    """The counts of a DaemonSet's status, those that are 0 left out where upstream does."""
    desired = current = misscheduled = ready = available = updated = 0
    for node in nodes:
        present = _oldest_first(found.get(node["metadata"]["name"], ()))
        if not fit(daemon_set, node).run:
            misscheduled += bool(present)
            continue
        desired += 1
        if present:
            pod = present[0]
            current += 1
            ready += pods.is_ready(pod)
            available += _is_available(daemon_set, pod, now)
            updated += is_updated(pod, revision_hash)
    counted = {
        "currentNumberScheduled": current,
        "numberMisscheduled": misscheduled,
        "desiredNumberScheduled": desired,
        "numberReady": ready,
    }
    optional = {
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
    }
    return {**counted, **{field: count for field, count in optional.items() if count}}
