"""The status of a ReplicaSet, from the Pods that are its own.

Source: replica_set_utils.go of kube-controller-manager and podutils.IsPodAvailable: a Pod is
available once it has been Ready for `spec.minReadySeconds`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from labkit.controllers.census import Traits
from labkit.controllers.rollout import replicas_of
from labkit.kube import conditions, pods, times
from labkit.kube.resources import REPLICATION_CONTROLLERS

REPLICA_FAILURE = "ReplicaFailure"


def replica_set_status(replica_set: Mapping, census: Counter[Traits], now: float) -> dict:
    """The status at `now` (Unix seconds), without conditions."""
    labels = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    wait, wanted = replica_set["spec"].get("minReadySeconds") or 0, labels.items()
    active = Counter({kind: count for kind, count in census.items() if kind.active})
    counts = {
        "fullyLabeledReplicas": _number(active, lambda kind: wanted <= kind.labels),
        "readyReplicas": _number(active, lambda kind: kind.ready),
        "availableReplicas": _number(active, lambda kind: kind.available_in(wait, now) == 0),
    }
    # ReplicationControllers have never learned to say this.
    is_set = replica_set.get("kind") != REPLICATION_CONTROLLERS.kind
    return {
        "replicas": active.total(),
        **{field: count for field, count in counts.items() if count},
        **({"terminatingReplicas": _number(census, _terminates)} if is_set else {}),
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }


def _number(census: Counter[Traits], condition: Callable[[Traits], bool]) -> int:
    return sum(count for kind, count in census.items() if condition(kind))


def _terminates(kind: Traits) -> bool:
    return kind.terminating


def available_in(pod: Mapping, min_ready_seconds: int, now: float) -> float | None:
    """Seconds until a ready Pod counts as available (0: it does), None for one that is not."""
    if not pods.is_ready(pod):
        return None
    since = pods.ready_since(pod)
    if not min_ready_seconds or not since:
        return 0.0
    return max(0.0, times.parse(since) + min_ready_seconds - now)


def next_availability(workload: Mapping, active: Iterable[Mapping], now: float) -> float | None:
    """Seconds until the next ready Pod becomes available, None if none is waiting."""
    wait = workload["spec"].get("minReadySeconds") or 0
    delays = (available_in(pod, wait, now) for pod in (active if wait else ()))
    return min((delay for delay in delays if delay), default=None)


def next_available(replica_set: Mapping, census: Iterable[Traits], now: float) -> float | None:
    """As `next_availability`, of Pods that are counted."""
    wait = replica_set["spec"].get("minReadySeconds") or 0
    delays = (kind.available_in(wait, now) for kind in census)
    return min((delay for delay in delays if delay), default=None)


def replica_failure(
    replica_set: Mapping, active: int, failure: Exception | None, now: str
) -> list[dict]:
    """The conditions with ReplicaFailure set while Pods cannot be created or deleted."""
    present = (replica_set.get("status") or {}).get("conditions") or []
    if failure is None:
        return [each for each in present if each["type"] != REPLICA_FAILURE]
    if conditions.get(replica_set, REPLICA_FAILURE):
        return present
    few = active < replicas_of(replica_set["spec"])
    reason = "FailedCreate" if few else "FailedDelete"
    return conditions.updated(present, REPLICA_FAILURE, "True", reason, str(failure), now)
