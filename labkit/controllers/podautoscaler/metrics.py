"""Samples of metrics as the autoscaler counts them, and the ratio of usage to target.

All values are integers in thousandths (milli) of their unit, as `Quantity.MilliValue()` gives them:
1500 is 1.5 cores, or 1.5 bytes.  Averages and percentages are cut to whole numbers before the ratio
is taken; that is Kubernetes' arithmetic, and it decides cases at the edge of the tolerance.

Source: pkg/controller/podautoscaler/metrics (utilization.go, client.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labkit.errors import LabkitError
from labkit.kube import times
from labkit.kube.quantity import milli_value

_DURATION = re.compile(r"(\d+(?:\.\d*)?)(h|ms|us|µs|ns|m|s)")
_UNIT = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class MetricError(LabkitError):
    """A replica count cannot be computed; the message is Kubernetes' own."""


@dataclass(frozen=True, slots=True)
class PodMetric:
    """One Pod's usage (milli), averaged over `window` seconds up to `timestamp` (Unix seconds)."""

    value: int
    timestamp: float = 0.0
    window: float = 0.0


PodMetricsInfo = Mapping[str, PodMetric]


def quotient(dividend: int, divisor: int) -> int:
    """The whole quotient, cut towards zero: Python rounds down, Go cuts."""
    whole = abs(dividend) // abs(divisor)
    return whole if (dividend < 0) == (divisor < 0) else -whole


def get_resource_utilization_ratio(
    values: Mapping[str, int], requests: Mapping[str, int], target_utilization: int
) -> tuple[float, int, int]:
    """(ratio to the target, utilization in percent of the requests, average usage in milli).

    Pods without a known request are left out.  Raises MetricError where none is left.
    """
    known = [name for name in values if name in requests]
    usage = sum(values[name] for name in known)
    requested = sum(requests[name] for name in known)
    if requested == 0:
        raise MetricError("no metrics returned matched known pods")
    utilization = quotient(usage * 100, requested)
    return utilization / target_utilization, utilization, quotient(usage, len(known))


def get_metric_usage_ratio(values: Mapping[str, int], target_usage: int) -> tuple[float, int]:
    """(ratio to the target, average usage in milli) over all Pods in `values`."""
    usage = quotient(sum(values.values()), len(values))
    return usage / target_usage, usage


def pod_metrics(items: Iterable[Mapping], resource: str) -> dict[str, PodMetric]:
    """PodMetrics objects → usage of `resource` by Pod, over all containers.

    A Pod of which one container has no sample is left out: a part of the sum would be a lie.
    """
    found = {}
    for item in items:
        usages = [container["usage"].get(resource) for container in item.get("containers") or ()]
        if usages and None not in usages:
            found[item["metadata"]["name"]] = _sample(item, sum(map(milli_value, usages)))
    return found


def container_metrics(
    items: Iterable[Mapping], resource: str, container: str
) -> dict[str, PodMetric]:
    """PodMetrics objects → usage of `resource` by Pod, in the container of that name alone."""
    found = {}
    for item in items:
        for part in item.get("containers") or ():
            if part["name"] == container and resource in part["usage"]:
                found[item["metadata"]["name"]] = _sample(
                    item, milli_value(part["usage"][resource])
                )
    return found


def _sample(item: Mapping, value: int) -> PodMetric:
    return PodMetric(value, times.parse(item["timestamp"]), parse_duration(item["window"]))


def parse_duration(text: str) -> float:
    """A metav1.Duration (`1m30s`) in seconds.  Raises ValueError on anything else."""
    parts = _DURATION.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise ValueError(f"the duration {text!r} is not of the form 1m30s")
    return sum(float(number) * _UNIT[unit] for number, unit in parts)
