"""What a Pod needs that other objects say: the spread of its application, and its volumes.

A Pod without topology spread constraints of its own spreads with the Pods of its Services and of
its ReplicaSet, ReplicationController or StatefulSet.

Source: kube-scheduler plugins/helper.DefaultSelector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from labkit.kube import objects
from labkit.kube.resources import REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from labkit.scheduler.podview import PodView
from labkit.scheduler.spread import default_selector, spread_of
from labkit.scheduler.table import Needs
from labkit.scheduler.volumes import Storage, volumes_of

OWNERS = {each.kind: each for each in (REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS)}
"""The kinds whose Pods spread by default."""

FindOwner = Callable[[str, str, str], Mapping | None]  # (kind, namespace, name) → object


def owner_of(pod: Mapping, find: FindOwner) -> Mapping | None:
    """What owns the Pod, if its Pods spread by default."""
    reference = objects.controller_of(pod)
    if reference is None or reference["kind"] not in OWNERS:
        return None
    namespace = pod["metadata"].get("namespace") or "default"
    found = find(reference["kind"], namespace, reference["name"])
    if found and reference["kind"] == REPLICATION_CONTROLLERS.kind:
        return {"spec": {"selector": {"matchLabels": found["spec"].get("selector")}}}
    return found


def needs_of(
    pod: Mapping,
    seen: PodView,
    services: Iterable[Mapping],
    owner: Mapping | None,
    storage: Storage,
) -> Needs:
    """The needs of a Pod; `services` are those of its namespace."""
    spread = spread_of(seen, default_selector(seen.labels, services, owner))
    return Needs(spread, volumes_of(pod, storage))
