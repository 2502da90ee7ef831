"""The API server's answers → one row of a recording.  Pure.

What cannot be known is NaN, never 0: a missing HorizontalPodAutoscaler, metrics that are not there
yet, an API server that did not answer.  The rest of the row is filled all the same.

Left out: CPU requests of init containers and of the Pod as a whole, and metrics of an autoscaler
other than CPU utilization.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from labkit.kube import times
from labkit.kube.pods import is_active, phase
from labkit.kube.quantity import parse_quantity

Object = Mapping[str, Any]
NAN = math.nan

LOAD_COLUMNS = ("offered", "completed", "errors", "p50", "p99")
COLUMNS = (
    "time",
    "t",
    "replicas_spec",
    "replicas_ready",
    "replicas_desired",
    "hpa_current",
    "cpu_utilization",
    "cpu_target",
    "cpu_milli_total",
    "cpu_request_milli",
    "memory_request_mib",
    "pods_running",
    "pods_pending",
    *LOAD_COLUMNS,
)
MARK = "mark"  # the `object` and `reason` of what is our own doing, among Events
EVENT_COLUMNS = ("time", "t", "reason", "message", "object")
DECISION_COLUMNS = ("time", "t", "current", "desired", "because")
DECISION = "autoscaling.labkit/decision"  # the annotation in which the lab's autoscaler says why

_POD_COLUMNS = ("cpu_request_milli", "memory_request_mib", "pods_running", "pods_pending")
_MILLI, _MIB = Fraction(1, 1000), Fraction(2**20)

#: A second of the load is reported a moment after it is over; a row of the load that is older than
#: this (s) at the time of a sample is not the newest one: the load has ended.
_STALE = 1.5


@dataclass(frozen=True)
class Answers:
    """What the API server said at one moment; None where it gave no answer."""

    deployment: Object | None = None
    autoscaler: Object | None = None
    pods: Sequence[Object] | None = None
    pod_metrics: Sequence[Object] | None = None
    events: Sequence[Object] = ()


class PodTraits(NamedTuple):
    """All that a row looks at in a Pod: its phase, and what its containers request."""

    phase: str
    cpu: tuple[str, ...]
    memory: tuple[str, ...]


def sample(answers: Answers) -> dict[str, float]:
    """The columns from `replicas_spec` to `pods_pending`."""
    counts, cores = None, None
    if answers.pods is not None:
        counts = Counter(traits for pod in answers.pods if (traits := pod_traits(pod)))
    if answers.pod_metrics:
        cores = used(answers.pod_metrics)
    return columns(answers.deployment, answers.autoscaler, cores, counts)


def columns(
    deployment: Object | None,
    autoscaler: Object | None,
    cores: Fraction | None,
    counts: Mapping[PodTraits, int] | None,
) -> dict[str, float]:
    """The same from the `cores` that all Pods use, and how many Pods of each kind there are."""
    return {
        **_replicas(deployment),
        **_autoscaler(autoscaler),
        "cpu_milli_total": NAN if cores is None else float(cores / _MILLI),
        **_pods(counts),
    }


def pod_traits(pod: Object) -> PodTraits | None:
    """What kind of Pod this is; None for one that has ended or is being deleted."""
    if not is_active(pod):
        return None
    requests = [
        (container.get("resources") or {}).get("requests") or {}
        for container in pod["spec"]["containers"]
    ]
    cpu, memory = (
        tuple(each[resource] for each in requests if each.get(resource) is not None)
        for resource in ("cpu", "memory")
    )
    return PodTraits(phase(pod), cpu, memory)


def used(pod_metrics: Iterable[Object]) -> Fraction:
    """The cores that Pods use, by their PodMetrics."""
    return _total(
        Counter(one["usage"]["cpu"] for metrics in pod_metrics for one in metrics["containers"])
    )


def find_autoscaler(autoscalers: Iterable[Object], deployment: str) -> Object | None:
    """The HorizontalPodAutoscaler whose scaleTargetRef is the Deployment of this name."""
    for autoscaler in autoscalers:
        target = autoscaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == ("Deployment", deployment):
            return autoscaler
    return None


def event_row(event: Object) -> dict[str, Any]:
    """An Event → time (Unix s), reason, message, object (`kind/name`)."""
    stamp = (
        (event.get("series") or {}).get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )
    about = event["involvedObject"]
    return {
        "time": times.parse(stamp),
        "reason": event.get("reason") or "",
        "message": event.get("message") or "",
        "object": f"{about['kind']}/{about['name']}",
    }


def decision_row(autoscaler: Object | None) -> dict[str, Any] | None:
    """What its last look decided: current, desired, because; None where it does not say."""
    annotations = autoscaler["metadata"].get("annotations") or {} if autoscaler else {}
    if DECISION not in annotations:
        return None
    status = autoscaler.get("status") or {}
    counts = status.get("currentReplicas", 0), status.get("desiredReplicas", 0)
    return {"current": counts[0], "desired": counts[1], "because": annotations[DECISION]}


def says_more(row: Object, last: Object) -> bool:
    """Whether a decision says more than other numbers for the same number of Pods."""
    counts = [(one["current"], one["desired"]) for one in (row, last)]
    reasons = [re.sub(r"[\d.]+", "", one["because"]) for one in (row, last)]
    return counts[0] != counts[1] or reasons[0] != reasons[1]


def load_at(moments: Sequence[float], seconds: Sequence[Object]) -> list[dict[str, float]]:
    """The load at each of the moments (Unix s): its last second that was over by then.

    `seconds` are rows of a load in ascending time.  Without any the load is unknown (NaN); before
    the first and after the last one it is 0, and there are no latencies.
    """
    if not seconds:
        return [dict.fromkeys(LOAD_COLUMNS, NAN) for _ in moments]
    ends = [second["time"] + 1 for second in seconds]
    return [_load_of(moment, seconds, ends) for moment in moments]


def _load_of(moment: float, seconds: Sequence[Object], ends: Sequence[float]) -> dict[str, float]:
    index = bisect_right(ends, moment) - 1
    if index < 0 or moment - ends[index] >= _STALE:
        return {"offered": 0.0, "completed": 0.0, "errors": 0.0, "p50": NAN, "p99": NAN}
    return {column: _number(seconds[index][column]) for column in LOAD_COLUMNS}


def _replicas(deployment: Object | None) -> dict[str, float]:
    if deployment is None:
        return {"replicas_spec": NAN, "replicas_ready": NAN}
    return {
        "replicas_spec": float(deployment["spec"].get("replicas", 1)),
        # A Deployment omits readyReplicas when there are none.
        "replicas_ready": float((deployment.get("status") or {}).get("readyReplicas") or 0),
    }


def _autoscaler(autoscaler: Object | None) -> dict[str, float]:
    spec = (autoscaler or {}).get("spec") or {}
    status = (autoscaler or {}).get("status") or {}
    return {
        "replicas_desired": _desired(status),
        "hpa_current": _number(status.get("currentReplicas")),
        "cpu_utilization": _utilization(status.get("currentMetrics"), "current"),
        "cpu_target": _utilization(spec.get("metrics"), "target"),
    }


def _desired(status: Object) -> float:
    """An autoscaler that has never decided says 0, and so does one that has scaled to zero."""
    if not status.get("desiredReplicas") and not status.get("lastScaleTime"):
        return NAN
    return _number(status.get("desiredReplicas"))


def _utilization(metrics: Sequence[Object] | None, part: str) -> float:
    for metric in metrics or ():
        resource = metric.get("resource") or {}
        if metric.get("type") == "Resource" and resource.get("name") == "cpu":
            return _number((resource.get(part) or {}).get("averageUtilization"))
    return NAN


def _pods(counts: Mapping[PodTraits, int] | None) -> dict[str, float]:
    if counts is None:
        return dict.fromkeys(_POD_COLUMNS, NAN)
    phases, cpu, memory = Counter(), Counter(), Counter()
    for traits, count in counts.items():
        phases[traits.phase] += count
        for amount in traits.cpu:
            cpu[amount] += count
        for amount in traits.memory:
            memory[amount] += count
    return {
        "cpu_request_milli": _requested(cpu, _MILLI),
        "memory_request_mib": _requested(memory, _MIB),
        "pods_running": float(phases["Running"]),
        "pods_pending": float(phases["Pending"]),
    }


def _requested(amounts: Mapping[str, int], unit: Fraction) -> float:
    return float(_total(amounts) / unit) if any(amounts.values()) else NAN


def _total(quantities: Mapping[str, int]) -> Fraction:
    """Their sum; Pods alike say the same, and adding up exactly is slow."""
    total = (parse_quantity(text) * count for text, count in quantities.items() if count)
    return sum(total, Fraction(0))


def _number(value: float | None) -> float:
    return NAN if value is None else float(value)
