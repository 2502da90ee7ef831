"""The status of a Deployment: its counts, and the conditions Available and Progressing.

Progressing tells how the rollout goes: True while it advances and once it is complete
(NewReplicaSetAvailable), False when it has not advanced for `spec.progressDeadlineSeconds`, Unknown
while it is paused.  `kubectl rollout status` reads exactly this.  `lastUpdateTime` is the time of
the last advance, from which the deadline counts.

Source: progress.go and deployment_util.go of kube-controller-manager; documentation "Deployments",
section "Deployment status".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.controllers.rollout import plan
from labkit.kube import conditions, times

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"
NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
NO_DEADLINE = 2**31 - 1  # math.MaxInt32: as good as no deadline


def has_deadline(deployment: Mapping) -> bool:
    """Whether the Deployment's progress is watched."""
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    return deadline is not None and deadline != NO_DEADLINE


def counts(deployment: Mapping, new: Mapping | None, everything: Sequence[Mapping], now: str):
    """The status without Progressing and ReplicaFailure, which need more than the present."""
    goal = plan(deployment["spec"])
    wanted = sum(each["spec"].get("replicas") or 0 for each in everything)
    available = _sum(everything, "availableReplicas")
    old = deployment.get("status") or {}
    status = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": _sum(everything, "replicas"),
        "updatedReplicas": _sum([new] if new else [], "replicas"),
        "readyReplicas": _sum(everything, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
        "collisionCount": old.get("collisionCount") or 0,
    }
    status = {field: count for field, count in status.items() if count}
    status["terminatingReplicas"] = _sum(everything, "terminatingReplicas")
    enough = available >= goal.least_available
    status["conditions"] = with_condition(
        old.get("conditions"), AVAILABLE, *_AVAILABILITY[enough], now
    )
    return status


_AVAILABILITY = {
    True: ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
    False: (
        "False",
        "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.",
    ),
}


def with_condition(
    present: list[dict] | None, kind: str, status: str, reason: str, message: str, now: str
) -> list[dict]:
    """One condition set; unchanged (with its old message and times) where status and reason are."""
    for old in present or ():
        if old["type"] == kind and (old["status"], old.get("reason")) == (status, reason):
            return list(present)
    result = conditions.updated(present, kind, status, reason, message, now)
    return [{**each, "lastUpdateTime": now} if each["type"] == kind else each for each in result]


def without(present: list[dict], kind: str) -> list[dict]:
    """The conditions but for one type."""
    return [each for each in present if each["type"] != kind]


def rollout_status(
    deployment: Mapping, new: Mapping | None, everything: Sequence[Mapping], now: str
) -> dict:
    """The whole status at `now` (RFC 3339) of a Deployment that is not paused."""
    status = counts(deployment, new, everything, now)
    found = status["conditions"]
    if has_deadline(deployment):
        found = _progress(deployment, status, new, now)
    else:
        found = without(found, PROGRESSING)
    status["conditions"] = _replica_failure(found, new, everything)
    return status


def _progress(deployment: Mapping, status: Mapping, new: Mapping | None, now: str) -> list[dict]:
    present = status["conditions"]
    current = conditions.get({"status": status}, PROGRESSING)
    if (
        current
        and current.get("reason") == NEW_REPLICA_SET_AVAILABLE
        and status.get("replicas") == status.get("updatedReplicas")
    ):
        return present  # complete already; Pods that die later do not undo a rollout
    subject = f'ReplicaSet "{new["metadata"]["name"]}"' if new else _title(deployment)
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        return with_condition(present, PROGRESSING, "True", NEW_REPLICA_SET_AVAILABLE, message, now)
    if _advances(deployment, status):
        # Set anew even if it is the same, for its lastUpdateTime restarts the deadline.
        since = current["lastTransitionTime"] if current and current["status"] == "True" else now
        message = f"{subject} is progressing."
        others = without(present, PROGRESSING)
        result = with_condition(others, PROGRESSING, "True", "ReplicaSetUpdated", message, now)
        result[-1]["lastTransitionTime"] = since
        return result
    if _timed_out(deployment, current, now):
        message = f"{subject} has timed out progressing."
        return with_condition(present, PROGRESSING, "False", DEADLINE_EXCEEDED, message, now)
    return present


def _title(deployment: Mapping) -> str:
    return f'Deployment "{deployment["metadata"]["name"]}"'


def is_complete(deployment: Mapping, status: Mapping) -> bool:
    """Whether all Pods are of the newest template and available, and no old ones are left."""
    wanted = plan(deployment["spec"]).replicas
    same = all(
        (status.get(field) or 0) == wanted
        for field in ("updatedReplicas", "replicas", "availableReplicas")
    )
    return same and (status.get("observedGeneration") or 0) >= (
        deployment["metadata"].get("generation") or 0
    )


def _advances(deployment: Mapping, status: Mapping) -> bool:
    old = deployment.get("status") or {}

    def more(field: str) -> bool:
        return (status.get(field) or 0) > (old.get(field) or 0)

    def outdated(state: Mapping) -> int:
        return (state.get("replicas") or 0) - (state.get("updatedReplicas") or 0)

    grown = more("updatedReplicas") or more("readyReplicas") or more("availableReplicas")
    return grown or outdated(status) < outdated(old)


def _timed_out(deployment: Mapping, current: Mapping | None, now: str) -> bool:
    if current is None or current.get("reason") == NEW_REPLICA_SET_AVAILABLE:
        return False
    if current.get("reason") == DEADLINE_EXCEEDED:
        return True
    return _seconds_left(deployment, current, now) < 0


def _seconds_left(deployment: Mapping, current: Mapping, now: str) -> float:
    deadline = deployment["spec"]["progressDeadlineSeconds"]
    return times.parse(current["lastUpdateTime"]) + deadline - times.parse(now)


def next_check(deployment: Mapping, status: Mapping, now: str) -> float | None:
    """Seconds until a rollout that stands still has to be called timed out, or None."""
    current = conditions.get({"status": status}, PROGRESSING)
    if current is None or not has_deadline(deployment) or is_complete(deployment, status):
        return None
    if current.get("reason") in (DEADLINE_EXCEEDED, PAUSED, NEW_REPLICA_SET_AVAILABLE):
        return None
    # Times in the API are whole seconds: one more, so that the deadline has passed for certain.
    return max(0.0, _seconds_left(deployment, current, now)) + 1.0


def _replica_failure(
    present: list[dict], new: Mapping | None, everything: Sequence[Mapping]
) -> list[dict]:
    """The conditions with ReplicaFailure as a ReplicaSet has it, the newest one's first."""
    ordered = ([new] if new else []) + [each for each in everything if each is not new]
    found = next((c for c in (conditions.get(rs, REPLICA_FAILURE) for rs in ordered) if c), None)
    others = without(present, REPLICA_FAILURE)
    if found is None:
        return others
    old = next((each for each in present if each["type"] == REPLICA_FAILURE), None)
    if old and (old["status"], old.get("reason")) == (found["status"], found.get("reason")):
        return present
    return [*others, {**found, "lastUpdateTime": found["lastTransitionTime"]}]


def pause_condition(deployment: Mapping, now: str) -> list[dict] | None:
    """The conditions after the Deployment was paused or resumed, None if neither happened."""
    present = (deployment.get("status") or {}).get("conditions") or []
    current = conditions.get(deployment, PROGRESSING)
    reason = current.get("reason") if current else None
    if not has_deadline(deployment) or reason == DEADLINE_EXCEEDED:
        return None
    paused = bool(deployment["spec"].get("paused"))
    if paused and reason != PAUSED:
        return with_condition(present, PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now)
    if not paused and reason == PAUSED:
        return with_condition(
            present, PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", now
        )
    return None


def _sum(replica_sets: Sequence[Mapping], field: str) -> int:
    return sum((each.get("status") or {}).get(field) or 0 for each in replica_sets)
