"""What a Job needs next: a function of the Job, its Pods and the time.

Source: kube-controller-manager's job controller (syncJob, manageJob, past limits) and the
documentation "Jobs".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.kube import objects, times
from labkit.kube.pods import is_active, is_ready, phase

_FIRST_DELAY, _LONGEST_DELAY = 10.0, 600.0  # seconds before a failed Pod is replaced, doubling


@dataclass(frozen=True)
class Census:
    """A Job's Pods by what has become of them."""

    active: Sequence[Mapping]
    succeeded: int
    failed: Sequence[Mapping]
    terminating: int

    @property
    def ready(self) -> int:
        """How many are ready."""
        return sum(map(is_ready, self.active))


@dataclass(frozen=True)
class Verdict:
    """How a Job ends: the condition's type, reason and message."""

    condition: str
    reason: str
    message: str


DONE = Verdict("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
TOO_OFTEN = Verdict("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
TOO_LONG = Verdict("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")


def census(pods: Sequence[Mapping]) -> Census:
    """Count a Job's Pods.  One that is deleted before it has ended counts as failed."""
    return Census(
        active=[pod for pod in pods if is_active(pod)],
        succeeded=sum(phase(pod) == "Succeeded" for pod in pods),
        failed=[pod for pod in pods if phase(pod) == "Failed"],
        terminating=sum(
            objects.is_deleting(p) and phase(p) in ("Pending", "Running") for p in pods
        ),
    )


def verdict(job: Mapping, found: Census, now: float) -> Verdict | None:
    """How the Job ends, None while it goes on."""
    spec, started = job["spec"], (job.get("status") or {}).get("startTime")
    if _too_often(spec, found):
        return TOO_OFTEN
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and started and now - times.parse(started) >= deadline:
        return TOO_LONG
    completions = spec.get("completions")
    if completions is None:
        return DONE if found.succeeded and not found.active else None
    return DONE if found.succeeded >= completions else None


def _too_often(spec: Mapping, found: Census) -> bool:
    limit = spec.get("backoffLimit", 6)
    if len(found.failed) > limit:
        return True
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(_restarts(pod) for pod in found.active)
    return restarts > 0 if limit == 0 else restarts >= limit


def _restarts(pod: Mapping) -> int:
    status = pod.get("status") or {}
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    return sum(container.get("restartCount", 0) for container in containers)


def wanted_active(spec: Mapping, found: Census) -> int:
    """How many Pods should be at work now."""
    if spec.get("suspend"):
        return 0
    parallelism, completions = spec.get("parallelism", 1), spec.get("completions")
    if completions is None:
        return min(len(found.active), parallelism) if found.succeeded else parallelism
    return min(parallelism, completions - found.succeeded)


def pause(found: Census, now: float) -> float:
    """Seconds to wait before failed Pods are replaced."""
    if not found.failed:
        return 0.0
    delay = min(_FIRST_DELAY * 2.0 ** min(len(found.failed) - 1, 32), _LONGEST_DELAY)
    return max(0.0, max(map(_ended, found.failed)) + delay - now)


def _ended(pod: Mapping) -> float:
    """When a Pod's last container ended, or else when the Pod was made."""
    ends = [
        container["state"]["terminated"]["finishedAt"]
        for container in (pod.get("status") or {}).get("containerStatuses") or ()
        if ((container.get("state") or {}).get("terminated") or {}).get("finishedAt")
    ]
    return times.parse(max(ends, default=pod["metadata"]["creationTimestamp"]))
