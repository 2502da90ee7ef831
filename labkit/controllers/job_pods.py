"""A Job's Pods: who has failed and when, what index they have, and how a new one looks.

Every Pod of a Job has a finalizer until it has been counted, so that none is deleted uncounted.

Source: kube-controller-manager's job controller (isPodFailed, getFinishedTime,
pod_failure_policy.go, indexed_job_utils.go); documentation "Jobs".
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.controllers.replicaset import pod_from_template
from labkit.kube import conditions, objects, pods, times

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"  # an annotation, and a label
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
COUNT, IGNORE, FAIL_INDEX, FAIL_JOB = "Count", "Ignore", "FailIndex", "FailJob"


class Judgement(NamedTuple):
    """What the Pod failure policy says of a failed Pod; `message` where the Job fails by it."""

    action: str
    counts: bool
    message: str = ""


def is_indexed(spec: Mapping) -> bool:
    """Whether each Pod of the Job has a completion index."""
    return spec.get("completionMode") == "Indexed"


def limits_each_index(spec: Mapping) -> bool:
    """Whether failures are counted index by index."""
    return spec.get("backoffLimitPerIndex") is not None


def replaces_failed_only(spec: Mapping) -> bool:
    """Whether a Pod that terminates is replaced only once it has stopped."""
    return spec.get("podReplacementPolicy") == "Failed"


def has_failed(spec: Mapping, pod: Mapping) -> bool:
    """A Pod that is deleted counts as failed at once, unless only failed ones are replaced."""
    phase = pods.phase(pod)
    if phase == "Failed" or replaces_failed_only(spec):
        return phase == "Failed"
    return objects.is_deleting(pod) and phase != "Succeeded"


def is_tracked(pod: Mapping) -> bool:
    """Whether the Pod waits to be counted."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def index(spec: Mapping, pod: Mapping) -> int | None:
    """The Pod's completion index, None where it has none that the Job asks for."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    if not text.isdecimal() or int(text) >= spec.get("completions", 0):
        return None
    return int(text)


def failures(pod: Mapping) -> int:
    """How many Pods of its index failed before this one, and were counted."""
    return _number(pod, FAILURES)


def all_failures(pod: Mapping) -> int:
    """How many Pods of its index failed before this one, counted or not."""
    return _number(pod, FAILURES) + _number(pod, IGNORED_FAILURES)


def _number(pod: Mapping, annotation: str) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(annotation, "")
    return int(text) if text.isdecimal() else 0


def finished_at(pod: Mapping) -> float:
    """When a Pod stopped (Unix seconds), as far as can be told."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [
        ((each.get("state") or {}).get("terminated") or {}).get("finishedAt") for each in statuses
    ]
    if ends and all(ends):
        return max(map(times.parse, ends))
    ready = conditions.get(pod, "Ready")
    if ready and ready["status"] == "False" and ready.get("lastTransitionTime"):
        return times.parse(ready["lastTransitionTime"])
    meta = pod["metadata"]
    if objects.is_deleting(pod):
        grace = meta.get("deletionGracePeriodSeconds") or 0
        return times.parse(meta["deletionTimestamp"]) - grace
    return times.parse(meta["creationTimestamp"])


# The Pod failure policy.


def judge(spec: Mapping, pod: Mapping) -> Judgement:
    """What the first rule that fits a failed Pod says; without one it counts."""
    meta = pod["metadata"]
    for number, rule in enumerate((spec.get("podFailurePolicy") or {}).get("rules") or ()):
        action = rule["action"]
        if why := _why(rule, pod):
            subject = f"{meta['namespace']}/{meta['name']}"
            message = why.format(pod=subject, action=action, rule=number)
            counts = action != IGNORE
            return Judgement(action, counts, message if action == FAIL_JOB else "")
    return Judgement(COUNT, True)


def _why(rule: Mapping, pod: Mapping) -> str:
    """A text for `judge` where the rule fits, else nothing."""
    if (codes := rule.get("onExitCodes")) and (container := _exited(codes, pod)):
        code = container["state"]["terminated"]["exitCode"]
        return (
            f"Container {container['name']} for pod {{pod}} failed with exit code {code} "
            "matching {action} rule at index {rule}"
        )
    for pattern in rule.get("onPodConditions") or ():
        found = conditions.get(pod, pattern["type"])
        if found and found["status"] == pattern.get("status", "True"):
            kind = pattern["type"]
            return f"Pod {{pod}} has condition {kind} matching {{action}} rule at index {{rule}}"
    return ""


def _exited(codes: Mapping, pod: Mapping) -> Mapping | None:
    """The first container that ended with a code that the requirement means."""
    status = pod.get("status") or {}
    containers = [
        *(status.get("containerStatuses") or ()),
        *(status.get("initContainerStatuses") or ()),
    ]
    for container in containers:
        ended = (container.get("state") or {}).get("terminated")
        if not ended or not ended.get("exitCode"):
            continue
        if codes.get("containerName") in (None, container["name"]):
            within = ended["exitCode"] in codes["values"]
            if within == (codes["operator"] == "In"):
                return container
    return None


# New Pods.


def template_pod(job: Mapping) -> dict:
    """The Pod that a Job asks for; the API server completes its name."""
    pod = copy.deepcopy(pod_from_template(job))
    finalizers = pod["metadata"].setdefault("finalizers", [])
    if FINALIZER not in finalizers:
        finalizers.append(FINALIZER)
    if is_indexed(job["spec"]):
        _tell_index([*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]])
    return pod


def _tell_index(containers: Iterable[dict]) -> None:
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    for container in containers:
        variables = container.setdefault("env", [])
        if not any(each["name"] == _INDEX_VARIABLE for each in variables):
            variables.append({"name": _INDEX_VARIABLE, "valueFrom": source})


def indexed_pod(job: Mapping, template: Mapping, number: int, previous: Mapping | None) -> dict:
    """The Pod of one index; it inherits the count of failures of its predecessor."""
    pod = copy.deepcopy(dict(template))
    meta, spec = pod["metadata"], job["spec"]
    name = job["metadata"]["name"]
    annotations = meta.setdefault("annotations", {})
    annotations[INDEX] = meta.setdefault("labels", {})[INDEX] = str(number)
    pod["spec"]["hostname"] = f"{name}-{number}"
    meta["generateName"] = f"{name}-{number}-"
    if limits_each_index(spec):
        counted, ignored = _inherited(spec, previous)
        annotations[FAILURES] = str(counted)
        if ignored:
            annotations[IGNORED_FAILURES] = str(ignored)
    return pod


def _inherited(spec: Mapping, previous: Mapping | None) -> tuple[int, int]:
    if previous is None:
        return 0, 0
    counts = judge(spec, previous).counts
    ignored = _number(previous, IGNORED_FAILURES)
    return failures(previous) + counts, ignored + (not counts)
