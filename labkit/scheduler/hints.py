"""Which change of the cluster could help which Pod that waits.

A Pod remembers which filters refused nodes for it.  A change is worth another try if one of these
filters could now answer otherwise: a Pod that lacks CPU does not care about a label.  In doubt it
is worth a try; the next attempt finds out.

Source: kube-scheduler's queueing hints (EventsToRegister and QueueingHintFn of each plugin).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from labkit.scheduler.filters import NODE_FILTERS
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.podview import PODS, PodView

_FIT, _PORTS, _VOLUMES = "NodeResourcesFit", "NodePorts", "VolumeBinding"
_SPREAD, _AFFINITY = "PodTopologySpread", "InterPodAffinity"


class Change(NamedTuple):
    """Something that happened: the plugins that it concerns, and whether it could help a Pod.

    `helps(pod, plugin)` is about a Pod that the plugin refused nodes for.
    """

    concerns: tuple[str, ...]
    helps: Callable[[PodView, str], bool]


def node_changed(old: NodeInfo | None, new: NodeInfo) -> Change:
    """A node has come or has become another; neither has Pods."""

    def helps(pod: PodView, plugin: str) -> bool:
        if function := NODE_FILTERS.get(plugin):
            return not function(pod, new) and (old is None or bool(function(pod, old)))
        if plugin == _FIT:
            return _fits(pod, new) and (old is None or _grew(pod, old, new))
        if old is None:
            return True
        relabelled = old.labels != new.labels
        return plugin != _PORTS and (relabelled or (plugin == _SPREAD and old.taints != new.taints))

    return Change((*NODE_FILTERS, _FIT, _PORTS, _VOLUMES, _SPREAD, _AFFINITY), helps)


def _fits(pod: PodView, node: NodeInfo) -> bool:
    return all(amount <= node.free(name) for name, amount in pod.requests.items())


def _grew(pod: PodView, old: NodeInfo, new: NodeInfo) -> bool:
    return any(new.free(name) > old.free(name) for name in (*pod.requests, PODS))


def pod_placed(placed: PodView, namespaces: Mapping[str, Mapping]) -> Change:
    """A Pod has got a node."""

    def helps(pod: PodView, plugin: str) -> bool:
        if plugin == _AFFINITY:
            return pod.terms.attracts(placed.namespace, placed.labels, namespaces)
        return placed.namespace == pod.namespace

    return Change((_SPREAD, _AFFINITY), helps)


def pod_left(gone: PodView, namespaces: Mapping[str, Mapping]) -> Change:
    """A Pod has left its node."""

    def helps(pod: PodView, plugin: str) -> bool:
        if plugin == _FIT:
            return True
        if plugin == _PORTS:
            return bool({port[1:] for port in pod.ports} & {port[1:] for port in gone.ports})
        if plugin == _SPREAD:
            return gone.namespace == pod.namespace
        one = pod.terms.repels(gone.namespace, gone.labels, namespaces)
        return one or gone.terms.repels(pod.namespace, pod.labels, namespaces)

    return Change((_FIT, _PORTS, _SPREAD, _AFFINITY), helps)


def pod_changed(changed: PodView) -> Change:
    """A Pod on a node has other labels, or requests less than before."""

    def helps(pod: PodView, plugin: str) -> bool:
        return plugin != _SPREAD or changed.namespace == pod.namespace

    return Change((_FIT, _SPREAD, _AFFINITY), helps)


NODE_GONE = Change((_SPREAD,), lambda pod, plugin: True)
"""Domains of topology spread have changed."""
STORAGE_CHANGED = Change((_VOLUMES,), lambda pod, plugin: True)
"""A claim, a volume or a StorageClass has come or changed."""
NAMESPACE_CHANGED = Change((_AFFINITY,), lambda pod, plugin: True)
"""A namespace has other labels."""
