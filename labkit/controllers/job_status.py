"""The status of a Job, and how ended Pods come to be counted in it exactly once.

A Pod that has ended is written down as uncounted, with its UID; then its finalizer is removed; then
it moves from uncounted to the counters.  Whoever stops between two of these steps goes on from what
the status says.  Indexed Jobs need no UIDs for Pods that succeeded: their indexes tell.

Source: kube-controller-manager's job controller (trackJobStatusAndRemoveFinalizers,
cleanUncountedPodsWithoutFinalizers, enactJobFinished).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from labkit.controllers import job_indexes, job_pods
from labkit.controllers.job_decision import TARGETS, Verdict
from labkit.controllers.job_survey import Survey
from labkit.kube import conditions, objects, pods

MOST_UNCOUNTED = 500  # so that the status stays small (MaxUncountedPods)
_KINDS = ("succeeded", "failed")


def opened(job: Mapping, now: str) -> dict:
    """The status to go on from: a Job that is not suspended has started."""
    status = dict(job.get("status") or {})
    status["uncountedTerminatedPods"] = dict(status.get("uncountedTerminatedPods") or {})
    if not job["spec"].get("suspend"):
        status.setdefault("startTime", now)
    return status


def with_counts(status: Mapping, active: int, ready: int, terminating: int) -> dict:
    """The status with what the Pods do now; upstream leaves out `active` where it is 0."""
    result = {key: value for key, value in status.items() if key != "active"}
    if active:
        result["active"] = active
    return {**result, "ready": ready, "terminating": terminating}


def suspended(status: Mapping, is_suspended: bool, now: str) -> tuple[dict, str]:
    """The status with the condition Suspended, and the reason of an Event if that changed."""
    known = conditions.get({"status": status}, "Suspended")
    before = bool(known) and known["status"] == "True"
    if before == is_suspended:
        return dict(status), ""
    if is_suspended:
        return _with_condition(
            status, "Suspended", "JobSuspended", "Job suspended", now
        ), "Suspended"
    result = _with_condition(status, "Suspended", "JobResumed", "Job resumed", now, "False")
    return {**result, "startTime": now}, "Resumed"


def settled(status: Mapping, tracked: Collection[str]) -> dict:
    """The status with those counted whose finalizer is gone; `tracked` are UIDs that have one."""
    result, uncounted = dict(status), dict(status["uncountedTerminatedPods"])
    for kind in _KINDS:
        known = uncounted.pop(kind, None) or []
        if waiting := [uid for uid in known if uid in tracked]:
            uncounted[kind] = waiting
        if counted := len(known) - len(waiting):
            result[kind] = (result.get(kind) or 0) + counted
    return {**result, "uncountedTerminatedPods": uncounted}


def tracked(
    found: Survey, status: Mapping, verdict: Verdict | None
) -> tuple[dict, list[Mapping], bool]:
    """(the status with Pods that have ended noted, Pods to release, whether these are all)."""
    uncounted = {kind: list(status["uncountedTerminatedPods"].get(kind) or ()) for kind in _KINDS}
    release: list[Mapping] = []
    for pod in found.tracked:
        if sum(map(len, uncounted.values())) >= MOST_UNCOUNTED:
            break
        if not _may_be_released(found, pod, verdict):
            continue
        release.append(pod)
        kind = _kind(found, pod, verdict)
        if kind and pod["metadata"]["uid"] not in (*uncounted["failed"], *uncounted[kind]):
            uncounted[kind].append(pod["metadata"]["uid"])
    whole = sum(map(len, uncounted.values())) < MOST_UNCOUNTED
    noted = {kind: uids for kind, uids in uncounted.items() if uids}
    return _with_indexes(found, {**status, "uncountedTerminatedPods": noted}), release, whole


def _may_be_released(found: Survey, pod: Mapping, verdict: Verdict | None) -> bool:
    if verdict or objects.is_deleting(found.job) or pods.phase(pod) == "Succeeded":
        return True
    if not job_pods.has_failed(found.spec, pod):
        return False
    waiting = found.delayed.get(job_pods.index(found.spec, pod))
    return waiting is not pod


def _kind(found: Survey, pod: Mapping, verdict: Verdict | None) -> str:
    """As what a Pod is noted; a Job that fails takes down all that still run."""
    valid = not found.indexed or job_pods.index(found.spec, pod) is not None
    if pods.phase(pod) == "Succeeded":
        return "" if found.indexed else "succeeded"
    falls = verdict is not None and verdict.condition == "Failed"
    if not valid or not (job_pods.has_failed(found.spec, pod) or falls):
        return ""
    return "failed" if job_pods.judge(found.spec, pod).counts else ""


def _with_indexes(found: Survey, status: dict) -> dict:
    if not found.indexed:
        return status
    for name in ("completedIndexes", "succeeded"):
        status.pop(name, None)
    if found.completed:
        status["completedIndexes"] = job_indexes.spell(found.completed)
        status["succeeded"] = len(found.completed)
    if job_pods.limits_each_index(found.spec):
        status["failedIndexes"] = job_indexes.spell(found.failed_indexes)
    return status


def with_target(status: Mapping, verdict: Verdict, now: str) -> dict:
    """The status that tells how the Job will have ended once its last Pod has."""
    target = TARGETS[verdict.condition]
    if conditions.is_true({"status": status}, target):
        return dict(status)
    return _with_condition(status, target, verdict.reason, verdict.message, now)


def finished(status: Mapping, verdict: Verdict, now: str) -> dict | None:
    """The last status of a Job; None while Pods are uncounted or terminating."""
    if status["uncountedTerminatedPods"] or status.get("terminating"):
        return None
    result = _with_condition(status, verdict.condition, verdict.reason, verdict.message, now)
    return {**result, "completionTime": now} if verdict.condition == "Complete" else result


def _with_condition(
    status: Mapping, kind: str, reason: str, message: str, now: str, value: str = "True"
) -> dict:
    told = conditions.updated(status.get("conditions"), kind, value, reason, message, now)
    told = [{**each, "lastProbeTime": now} if each["type"] == kind else each for each in told]
    return {**status, "conditions": told}
