"""The target's Pods as the autoscaler sees them: which of them count, and what they request.

A Pod that is starting uses CPU that is no load, and a Pod without a sample uses an unknown amount;
counting either as it is would make the autoscaler chase its own tail.  Hence the four groups.

Source: groupPods and calculateRequests in pkg/controller/podautoscaler/replica_calculator.go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from labkit.controllers.podautoscaler.metrics import MetricError, PodMetric, PodMetricsInfo
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from labkit.kube import conditions, objects, pods, times
from labkit.kube.quantity import milli_value, parse_quantity

_ZERO_TIME = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class PodGroups:
    """Names of Pods, the `ready` only counted; `missing` have no sample, `ignored` are ending."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group_pods(
    targets: Iterable[Mapping],
    metrics: PodMetricsInfo,
    resource: str,
    settings: HPAControllerConfiguration,
    now: float,
) -> PodGroups:
    """Sort Pods by what their samples are worth at `now`; `resource` is empty for other metrics."""
    groups: dict[str, set[str]] = {"ready": set(), "unready": set(), "missing": set()}
    groups["ignored"] = set()
    for pod in targets:
        name = pod["metadata"]["name"]
        groups[_group(pod, metrics.get(name), resource, settings, now)].add(name)
    return PodGroups(
        len(groups["ready"]),
        frozenset(groups["unready"]),
        frozenset(groups["missing"]),
        frozenset(groups["ignored"]),
    )


def _group(
    pod: Mapping,
    metric: PodMetric | None,
    resource: str,
    settings: HPAControllerConfiguration,
    now: float,
) -> str:
    if objects.is_deleting(pod) or pods.phase(pod) == "Failed":
        return "ignored"
    if pods.phase(pod) == "Pending":
        return "unready"
    if metric is None:
        return "missing"
    # Only CPU misleads while a Pod starts; memory, once taken, is really in use.
    if resource == "cpu" and _is_unready(pod, metric, settings, now):
        return "unready"
    return "ready"


def _is_unready(
    pod: Mapping, metric: PodMetric, settings: HPAControllerConfiguration, now: float
) -> bool:
    condition, start = conditions.get(pod, "Ready"), pod["status"].get("startTime")
    if condition is None or start is None:
        return True
    started, is_false = times.parse(start), condition.get("status") == "False"
    changed = times.parse(condition.get("lastTransitionTime") or _ZERO_TIME)
    if started + settings.horizontal_pod_autoscaler_cpu_initialization_period > now:
        # The sample's window must lie wholly after the Pod's last change of readiness.
        return is_false or metric.timestamp < changed + metric.window
    # A Pod that has been ready once and is unready now is overloaded rather than starting.
    return (
        is_false and started + settings.horizontal_pod_autoscaler_initial_readiness_delay > changed
    )


def count_ready_pods(targets: Sequence[Mapping]) -> int:
    """How many Pods are Running and Ready.  Raises MetricError where there is no Pod at all."""
    require_pods(targets)
    return sum(pods.phase(pod) == "Running" and pods.is_ready(pod) for pod in targets)


def require_pods(targets: Sequence[Mapping]) -> None:
    """Raise MetricError where the selector found no Pod."""
    if not targets:
        raise MetricError("no pods returned by selector while calculating replica count")


def calculate_requests(
    targets: Iterable[Mapping], container: str, resource: str, pod_level_resources: bool = True
) -> dict[str, int]:
    """Requests of `resource` by Pod, in milli; of the named container alone where one is named.

    Pod-level requests (KEP-2837) take the place of the containers' sum.  Raises MetricError for a
    container that requests nothing: a percentage of nothing is no target.
    """
    requests = {}
    for pod in targets:
        if pod_level_resources and not container and _has_pod_level_requests(pod):
            request = _pod_level_request(pod, resource)
        else:
            request = _containers_request(pod, container, resource)
        requests[pod["metadata"]["name"]] = request
    return requests


def _has_pod_level_requests(pod: Mapping) -> bool:
    return any(_may_be_pod_level(name) for name in _requests(pod["spec"]))


def _may_be_pod_level(resource: str) -> bool:
    return resource in ("cpu", "memory") or resource.startswith("hugepages-")


def _pod_level_request(pod: Mapping, resource: str) -> int:
    spec, requested = pod["spec"], _requests(pod["spec"])
    if resource in requested and _may_be_pod_level(resource):
        amount = parse_quantity(requested[resource])
    else:
        amount = _effective_request(spec, resource)
    overhead = (spec.get("overhead") or {}).get(resource)
    if amount is None and overhead is None:
        name = pod["metadata"]["name"]
        raise MetricError(f"missing pod-level request for {resource} in Pod {name}")
    return math.ceil(((amount or 0) + parse_quantity(overhead or 0)) * 1000)


def _effective_request(spec: Mapping, resource: str) -> Fraction | None:
    """What the scheduler reserves: the containers and sidecars, or more while the Pod starts."""
    parts = [_requests(part).get(resource) for part in _long_running(spec)]
    most = sum(parse_quantity(part) for part in parts if part is not None)
    sidecars, named = Fraction(0), any(part is not None for part in parts)
    for part in spec.get("initContainers") or ():
        request = _requests(part).get(resource)
        named = named or request is not None
        amount = parse_quantity(request or 0)
        if part.get("restartPolicy") == "Always":
            sidecars += amount
        most = max(most, sidecars if part.get("restartPolicy") == "Always" else sidecars + amount)
    return Fraction(most) if named else None


def _containers_request(pod: Mapping, container: str, resource: str) -> int:
    pod_name, total = pod["metadata"]["name"], 0
    for part in _long_running(pod["spec"]):
        if container in ("", part["name"]):
            request = _requests(part).get(resource)
            if request is None:
                raise MetricError(
                    f"missing request for {resource} in container {part['name']} of Pod {pod_name}"
                )
            total += milli_value(request)
        if container == part["name"]:
            return total
    if container:
        raise MetricError(f"container {container} not found in Pod {pod_name}")
    return total


def _long_running(spec: Mapping) -> Iterator[Mapping]:
    """Containers, and the init containers that run beside them (sidecars)."""
    yield from spec["containers"]
    for part in spec.get("initContainers") or ():
        if part.get("restartPolicy") == "Always":
            yield part


def _requests(part: Mapping) -> Mapping[str, str]:
    return (part.get("resources") or {}).get("requests") or {}
