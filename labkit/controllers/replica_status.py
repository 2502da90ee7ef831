"""The status of a ReplicaSet, from the Pods that are its own.

Source: replica_set_utils.go of kube-controller-manager and podutils.IsPodAvailable: a Pod is
available once it has been Ready for `spec.minReadySeconds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from labkit.controllers.rollout import replicas_of
from labkit.kube import conditions, objects, pods, times
from labkit.kube.resources import REPLICATION_CONTROLLERS

REPLICA_FAILURE = "ReplicaFailure"


def replica_set_status(
    replica_set: Mapping, active: Sequence[Mapping], terminating: int, now: float
) -> dict:
    """The status at `now` (Unix seconds), without conditions."""
    wanted = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    wait = replica_set["spec"].get("minReadySeconds") or 0
    counts = {
        "fullyLabeledReplicas": sum(wanted.items() <= objects.labels(p).items() for p in active),
        "readyReplicas": sum(map(pods.is_ready, active)),
        "availableReplicas": sum(available_in(pod, wait, now) == 0 for pod in active),
    }
    # ReplicationControllers have never learned to say this.
    is_set = replica_set.get("kind") != REPLICATION_CONTROLLERS.kind
    return {
        "replicas": len(active),
        **{field: count for field, count in counts.items() if count},
        **({"terminatingReplicas": terminating} if is_set else {}),
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }


def available_in(pod: Mapping, min_ready_seconds: int, now: float) -> float | None:
    """Seconds until a ready Pod counts as available (0: it does), None for one that is not."""
    if not pods.is_ready(pod):
        return None
    since = pods.ready_since(pod)
    if not min_ready_seconds or not since:
        return 0.0
    return max(0.0, times.parse(since) + min_ready_seconds - now)


def next_availability(replica_set: Mapping, active: Iterable[Mapping], now: float) -> float | None:
    """Seconds until the next ready Pod becomes available, None if none is waiting."""
    wait = replica_set["spec"].get("minReadySeconds") or 0
    if not wait:
        return None
    delays = (available_in(pod, wait, now) for pod in active)
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
