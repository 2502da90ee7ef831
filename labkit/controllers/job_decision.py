"""What a Job needs next: functions of the Job, its Pods and the time.

Source: kube-controller-manager's job controller (syncJob, manageJob, success_policy.go) and the
documentation "Jobs".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labkit.controllers import job_indexes, job_pods
from labkit.controllers.job_survey import Backoff, Survey, indexes_of
from labkit.controllers.pod_ranking import pods_to_delete
from labkit.kube import conditions, objects, pods, times

BURST = 500  # Pods created or deleted by one reconciliation at most (MaxPodCreateDeletePerSync)
TARGETS = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}


@dataclass(frozen=True)
class Verdict:
    """How a Job ends: the condition's type, reason and message."""

    condition: str
    reason: str
    message: str


DONE = Verdict("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
TOO_OFTEN = Verdict("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
TOO_LONG = Verdict("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
FAILED_INDEXES = Verdict("Failed", "FailedIndexes", "Job has failed indexes")
TOO_MANY_INDEXES = Verdict(
    "Failed",
    "MaxFailedIndexesExceeded",
    "Job has exceeded the specified maximal number of failed indexes",
)


# How it ends.


def verdict(found: Survey) -> Verdict | None:
    """How the Job ends, but for its completions (`is_complete`); None while it goes on."""
    return (
        _told(found.job)
        or _by_failure_policy(found)
        or _by_limits(found)
        or _by_indexes(found)
        or _by_success_policy(found)
    )


def _told(job: Mapping) -> Verdict | None:
    """The verdict that waits for the last Pods to stop."""
    for condition, target in TARGETS.items():
        if conditions.is_true(job, target):
            known = conditions.get(job, target)
            return Verdict(condition, known.get("reason", ""), known.get("message", ""))
    return None


def _by_failure_policy(found: Survey) -> Verdict | None:
    if not found.spec.get("podFailurePolicy"):
        return None
    for pod in found.pods:
        failed = job_pods.has_failed(found.spec, pod)
        if failed and (message := job_pods.judge(found.spec, pod).message):
            return Verdict("Failed", "PodFailurePolicy", message)
    return None


def _by_limits(found: Survey) -> Verdict | None:
    limit = found.spec.get("backoffLimit", 6)
    if found.failed > limit or _restarted_too_often(found, limit):
        return TOO_OFTEN
    left = deadline_in(found.job, found.now)
    return TOO_LONG if left is not None and left <= 0 else None


def deadline_in(job: Mapping, now: float) -> float | None:
    """Seconds until `spec.activeDeadlineSeconds` have passed; None where that does not count."""
    seconds = job["spec"].get("activeDeadlineSeconds")
    started = (job.get("status") or {}).get("startTime")
    if seconds is None or not started or job["spec"].get("suspend"):
        return None
    return times.parse(started) + seconds - now


def _restarted_too_often(found: Survey, limit: int) -> bool:
    """Restarts in place count where containers are restarted in place."""
    if found.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(_restarts(p) for p in found.pods if pods.phase(p) in ("Running", "Pending"))
    return restarts > 0 if limit == 0 else restarts >= limit


def _restarts(pod: Mapping) -> int:
    status = pod.get("status") or {}
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    return sum(container.get("restartCount", 0) for container in containers)


def _by_indexes(found: Survey) -> Verdict | None:
    if not job_pods.limits_each_index(found.spec):
        return None
    failed, most = len(found.failed_indexes), found.spec.get("maxFailedIndexes")
    if most is not None and failed > most:
        return TOO_MANY_INDEXES
    if failed and failed + len(found.completed) >= found.spec["completions"]:
        return FAILED_INDEXES
    return None


def _by_success_policy(found: Survey) -> Verdict | None:
    for number, rule in enumerate((found.spec.get("successPolicy") or {}).get("rules") or ()):
        if _is_success(rule, found):
            return Verdict("Complete", "SuccessPolicy", f"Matched rules at index {number}")
    return None


def _is_success(rule: Mapping, found: Survey) -> bool:
    count = rule.get("succeededCount")
    if rule.get("succeededIndexes") is None:
        return count is not None and len(found.completed) >= count
    wanted = job_indexes.parse(rule["succeededIndexes"], found.spec["completions"])
    reached = len(wanted & found.completed)
    return bool(wanted) and (reached == len(wanted) or (count is not None and reached >= count))


def is_complete(found: Survey, active: int) -> bool:
    """Whether enough Pods have succeeded, and none works any more."""
    completions = found.spec.get("completions")
    enough = found.succeeded > 0 if completions is None else found.succeeded >= completions
    return enough and active == 0


# What it needs.


class Orders(NamedTuple):
    """Pods to delete, or how many to create (and with which indexes), or seconds to wait."""

    delete: list[Mapping] = []  # noqa: RUF012 - a value that is never changed
    create: int = 0
    indexes: Sequence[int] = ()
    wait: float = 0.0


def orders(found: Survey) -> Orders:
    """What to do for a Job that goes on; deletions go before creations."""
    spec = found.spec
    if spec.get("suspend"):
        return Orders(delete=list(found.active))
    wanted = wanted_active(found)
    if doomed := _surplus(found, len(found.active) - wanted):
        return Orders(delete=doomed[:BURST])
    terminating = found.terminating if job_pods.replaces_failed_only(spec) else 0
    missing = min(wanted - terminating - len(found.active), BURST)
    if missing <= 0:
        return Orders()
    if not job_pods.limits_each_index(spec) and (wait := found.backoff.left(found.now)):
        return Orders(wait=wait)
    return _creations(found, missing)


def wanted_active(found: Survey) -> int:
    """How many Pods should be at work now."""
    parallelism, completions = found.spec.get("parallelism", 1), found.spec.get("completions")
    if completions is None:
        return len(found.active) if found.succeeded else parallelism
    return max(0, min(parallelism, completions - found.succeeded))


def _surplus(found: Survey, count: int) -> list[Mapping]:
    """At least `count` Pods that are too much, all of those whose index is double or not valid."""
    doomed, left = [], found.active
    if found.indexed:
        doomed = _doubles(found)
        chosen = set(map(id, doomed))
        left = [pod for pod in left if id(pod) not in chosen]
    if len(doomed) < count:
        doomed += pods_to_delete(left, (), count - len(doomed), found.now)
    return doomed


def _doubles(found: Survey) -> list[Mapping]:
    by_index: dict[int | None, list[Mapping]] = {}
    for pod in found.active:
        by_index.setdefault(job_pods.index(found.spec, pod), []).append(pod)
    doomed = by_index.pop(None, [])
    for group in by_index.values():
        doomed += pods_to_delete(group, (), len(group) - 1, found.now) if group[1:] else []
    return doomed


def _creations(found: Survey, count: int) -> Orders:
    if not found.indexed:
        return Orders(create=count)
    indexes = _pending_indexes(found, count)
    if not job_pods.limits_each_index(found.spec):
        return Orders(create=len(indexes), indexes=indexes)
    waits = {index: _index_wait(found, index) for index in indexes}
    ready = [index for index in indexes if not waits[index]]
    wait = 0.0 if ready else min(waits.values(), default=0.0)
    return Orders(create=len(ready), indexes=ready, wait=wait)


def _pending_indexes(found: Survey, count: int) -> list[int]:
    """The lowest `count` indexes that have neither ended nor a Pod."""
    taken = found.completed | found.failed_indexes | indexes_of(found.spec, found.active)
    if job_pods.replaces_failed_only(found.spec):
        going = [p for p in found.pods if objects.is_deleting(p) and not pods.is_terminal(p)]
        taken |= indexes_of(found.spec, going)
    free = (index for index in range(found.spec["completions"]) if index not in taken)
    return [index for index, _ in zip(free, range(count), strict=False)]


def _index_wait(found: Survey, index: int) -> float:
    previous = found.delayed.get(index)
    if previous is None:
        return 0.0
    failures = job_pods.all_failures(previous) + 1
    return Backoff(failures, job_pods.finished_at(previous)).left(found.now)
