"""What the scheduler tells of itself, with upstream's names.

An attempt begins when a Pod is taken from the queue, and ends when it is bound, or no node was
found, or an error has happened.

Source: kube-scheduler pkg/scheduler/metrics; Kubernetes documentation, "Kubernetes Metrics
Reference".  Left out: the times of each plugin and extension point.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from labkit.client import telemetry
from labkit.clock import Clock
from labkit.scheduler.queue import SchedulingQueue

SCHEDULED, UNSCHEDULABLE, ERROR = "scheduled", "unschedulable", "error"
_BUCKETS = tuple(0.001 * 2**power for power in range(15))  # seconds; upstream's


class SchedulerMetrics:
    """The instruments of one scheduler, whose profile has its `name`."""

    def __init__(self, queue: SchedulingQueue, clock: Clock, name: str) -> None:
        self._clock, self._name = clock, name
        self._began: dict[str, float] = {}  # by the Pod's uid
        self._page = page = telemetry.registry()
        self._attempts = Counter(
            "scheduler_schedule_attempts",
            "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could "
            "not be scheduled, while 'error' means an internal scheduler problem.",
            ["result", "profile"],
            registry=page,
        )
        self._duration = Histogram(
            "scheduler_scheduling_attempt_duration_seconds",
            "Scheduling attempt latency in seconds (scheduling algorithm + binding)",
            ["result", "profile"],
            buckets=_BUCKETS,
            registry=page,
        )
        pending = Gauge(
            "scheduler_pending_pods",
            "Number of pending pods, by the queue type. 'active' means number of pods in activeQ; "
            "'backoff' means number of pods in backoffQ; 'unschedulable' means number of pods in "
            "unschedulablePods that the scheduler attempted to schedule and failed.",
            ["queue"],
            registry=page,
        )
        for place in queue.lengths():
            pending.labels(place).set_function(lambda place=place: queue.lengths()[place])

    def text(self) -> str:
        """The page."""
        return telemetry.text(self._page)

    def began(self, uid: str) -> None:
        """A Pod has been taken from the queue."""
        self._began[uid] = self._clock.monotonic()

    def ended(self, uid: str, result: str) -> None:
        """An attempt has ended; one that never began counts nothing."""
        began = self._began.pop(uid, None)
        if began is not None:
            self._attempts.labels(result, self._name).inc()
            seconds = self._clock.monotonic() - began
            self._duration.labels(result, self._name).observe(seconds)
