"""Rules of statuses that count: nothing is below zero, and a part is not more than the whole.

Source: the functions Validate…Status of k8s.io/kubernetes pkg/apis/{core,apps,batch,policy,
autoscaling}/validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labkit.apiserver.fields import FieldError, invalid
from labkit.apiserver.validate_values import non_negative

Rule = Callable[[Mapping, Mapping], list[FieldError]]
_ALL = "status.replicas"


def counts(names: str, *parts: tuple[str, str]) -> Rule:
    """The rule of a status with these counts; `parts` are (part, whole)."""
    counted = tuple(names.split())

    def check(obj: Mapping, old: Mapping) -> list[FieldError]:
        status = obj.get("status") or {}
        errors = [e for name in counted for e in non_negative(status.get(name), f"status.{name}")]
        for part, whole in parts:
            some, most = status.get(part, 0), status.get(whole.removeprefix("status."), 0)
            if some > most:
                why = f"cannot be greater than {whole}"
                errors.append(invalid(f"status.{part}", some, why))
        return errors

    return check


_OF_REPLICAS = (("readyReplicas", _ALL), ("availableReplicas", _ALL))
_AVAILABLE = ("availableReplicas", "readyReplicas")

replica_set = counts(
    "replicas fullyLabeledReplicas readyReplicas availableReplicas observedGeneration",
    ("fullyLabeledReplicas", _ALL),
    *_OF_REPLICAS,
    _AVAILABLE,
)
replication_controller = replica_set
deployment = counts(
    "observedGeneration replicas updatedReplicas readyReplicas availableReplicas "
    "unavailableReplicas collisionCount",
    ("updatedReplicas", _ALL),
    *_OF_REPLICAS,
    _AVAILABLE,
)
stateful_set = counts(
    "replicas readyReplicas currentReplicas updatedReplicas availableReplicas observedGeneration "
    "collisionCount",
    ("currentReplicas", _ALL),
    ("updatedReplicas", _ALL),
    *_OF_REPLICAS,
    _AVAILABLE,
)
daemon_set = counts(
    "currentNumberScheduled numberMisscheduled desiredNumberScheduled numberReady "
    "observedGeneration updatedNumberScheduled numberAvailable numberUnavailable collisionCount"
)
disruption_budget = counts("disruptionsAllowed currentHealthy desiredHealthy expectedPods")
autoscaler = counts("currentReplicas desiredReplicas")
_job_counts = counts("active succeeded failed ready terminating")


def job(obj: Mapping, old: Mapping) -> list[FieldError]:
    """What a Job has done is not undone: counters do not fall, and an end stays an end."""
    errors = _job_counts(obj, old)
    status, before = obj.get("status") or {}, old.get("status") or {}
    for name in ("failed", "succeeded"):
        if status.get(name, 0) < before.get(name, 0):
            why = f"cannot decrease the {name} counter"
            errors.append(invalid(f"status.{name}", status.get(name, 0), why))
    for kind in ("Failed", "Complete", "FailureTarget", "SuccessCriteriaMet"):
        if _holds(before, kind) and not _holds(status, kind):
            what = f"{kind}=True condition"
            what = what if kind == "SuccessCriteriaMet" else f"terminal {what}"
            body = f"Invalid value: cannot disable the {what}"
            errors.append(FieldError("FieldValueInvalid", "status.conditions", body))
    return errors


def _holds(status: Mapping, kind: str) -> bool:
    conditions = status.get("conditions") or ()
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)
