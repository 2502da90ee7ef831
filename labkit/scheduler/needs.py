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


def needs_of(
    pod: Mapping, seen: PodView, services: Iterable[Mapping], owner: FindOwner, storage: Storage
) -> Needs:
    """The needs of a Pod; `services` are those of its namespace."""
    if seen.spec.get("topologySpreadConstraints"):
        spread = spread_of(seen, ())
    else:
        reference = objects.controller_of(pod)
        found = None
        if reference and reference["kind"] in OWNERS:
            found = owner(reference["kind"], seen.namespace, reference["name"])
            if found and reference["kind"] == REPLICATION_CONTROLLERS.kind:
                found = {"spec": {"selector": {"matchLabels": found["spec"].get("selector")}}}
        spread = spread_of(seen, default_selector(seen.labels, services, found))
    return Needs(spread, volumes_of(pod, storage))
