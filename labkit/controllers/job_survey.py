"""A Job and its Pods, counted: what `job_decision` decides by.

A Pod is counted for good once its finalizer is gone (`job_pods`); until then it is counted anew at
every look, so that a crash at any point loses none and counts none twice.

Source: kube-controller-manager's job controller (syncJob, backoff_utils.go, indexed_job_utils.go).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.controllers import job_indexes, job_pods
from labkit.kube import objects, pods

_FIRST_DELAY, _LONGEST_DELAY = 10.0, 600.0  # seconds before a failed Pod is replaced, doubling


class Backoff(NamedTuple):
    """How many Pods have failed since the last that succeeded, and when the last one did."""

    failures: int = 0
    last: float = 0.0

    def after(self, succeeded: Iterable[Mapping], failed: Iterable[Mapping]) -> Backoff:
        """The record with Pods that have ended since."""
        failures, ends = self.failures, sorted(map(job_pods.finished_at, failed))
        success = max(map(job_pods.finished_at, succeeded), default=None)
        if success is not None:
            failures, ends = 0, [end for end in ends if end > success]
        last = ends[-1] if ends else self.last
        return Backoff(failures + len(ends), last)

    def left(self, now: float) -> float:
        """Seconds until the next Pod may be made."""
        return max(0.0, self.last + delay(self.failures) - now) if self.failures else 0.0


NO_FAILURES = Backoff()


def delay(failures: int) -> float:
    """Seconds to wait after so many failures."""
    return min(_FIRST_DELAY * 2.0 ** min(failures - 1, 32), _LONGEST_DELAY) if failures else 0.0


@dataclass
class Survey:
    """A Job, and its Pods by what has become of them.

    `tracked` are Pods that have not been counted for good; `succeeded` and `failed` count all that
    have ended so far.  `completed` and `failed_indexes` are of indexed Jobs; `delayed` are failed
    Pods that wait for their index's next Pod, which inherits their count.
    """

    job: Mapping
    pods: Sequence[Mapping]
    now: float
    tracked: list[Mapping] = field(default_factory=list)
    active: list[Mapping] = field(default_factory=list)
    terminating: int = 0
    succeeded: int = 0
    failed: int = 0
    backoff: Backoff = NO_FAILURES
    completed: set[int] = field(default_factory=set)
    failed_indexes: set[int] = field(default_factory=set)
    delayed: dict[int, Mapping] = field(default_factory=dict)

    @property
    def spec(self) -> Mapping:
        """The Job's spec."""
        return self.job["spec"]

    @property
    def indexed(self) -> bool:
        """Whether each Pod has a completion index."""
        return job_pods.is_indexed(self.spec)


def survey(
    job: Mapping,
    found: Sequence[Mapping],
    now: float,
    released: Collection[str] = (),
    backoff: Backoff = NO_FAILURES,
) -> Survey:
    """Count a Job's Pods.  `released` are UIDs of Pods that have been counted for good."""
    result = Survey(job, found, now)
    spec, status = job["spec"], job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    result.tracked = [
        pod for pod in found if job_pods.is_tracked(pod) and pod["metadata"]["uid"] not in released
    ]
    result.active = [pod for pod in found if pods.is_active(pod)]
    result.terminating = sum(objects.is_deleting(p) and not pods.is_terminal(p) for p in found)
    valid = [p for p in result.tracked if not result.indexed or job_pods.index(spec, p) is not None]
    succeeded = [
        p for p in valid if pods.phase(p) == "Succeeded" and _is_new(p, uncounted, "succeeded")
    ]
    failed = [p for p in valid if job_pods.has_failed(spec, p) and _is_new(p, uncounted, "failed")]
    counted = [pod for pod in failed if job_pods.judge(spec, pod).counts]
    result.succeeded = _total(status, uncounted, "succeeded") + len(succeeded)
    result.failed = _total(status, uncounted, "failed") + len(counted)
    result.backoff = backoff.after(succeeded, failed)
    if result.indexed:
        _look_at_indexes(result, status, succeeded)
    return result


def _is_new(pod: Mapping, uncounted: Mapping, kind: str) -> bool:
    return pod["metadata"]["uid"] not in (uncounted.get(kind) or ())


def _total(status: Mapping, uncounted: Mapping, kind: str) -> int:
    return (status.get(kind) or 0) + len(uncounted.get(kind) or ())


def _look_at_indexes(result: Survey, status: Mapping, succeeded: Iterable[Mapping]) -> None:
    spec = result.spec
    result.completed = job_indexes.parse(status.get("completedIndexes"), spec["completions"])
    result.completed.update(job_pods.index(spec, pod) for pod in succeeded)
    result.succeeded = len(result.completed)
    if not job_pods.limits_each_index(spec):
        return
    result.failed_indexes = job_indexes.parse(status.get("failedIndexes"), spec["completions"])
    ended = [pod for pod in result.tracked if job_pods.has_failed(spec, pod)]
    for pod in ended:
        if (index := job_pods.index(spec, pod)) is not None and _has_failed_index(spec, pod):
            result.failed_indexes.add(index)
    settled = result.completed | result.failed_indexes | indexes_of(spec, result.active)
    for pod in ended:
        index = job_pods.index(spec, pod)
        if index is not None and index not in settled:
            known = result.delayed.get(index)
            if known is None or _later(known) <= _later(pod):
                result.delayed[index] = pod


def _later(pod: Mapping) -> tuple[int, float]:
    return job_pods.all_failures(pod), job_pods.finished_at(pod)


def _has_failed_index(spec: Mapping, pod: Mapping) -> bool:
    judgement = job_pods.judge(spec, pod)
    if judgement.action == job_pods.FAIL_INDEX:
        return True
    return judgement.counts and job_pods.failures(pod) >= spec["backoffLimitPerIndex"]


def indexes_of(spec: Mapping, found: Iterable[Mapping]) -> set[int]:
    """The completion indexes of Pods."""
    return {index for pod in found if (index := job_pods.index(spec, pod)) is not None}
