"""What one metric of an HPA asks for: from its spec and a sample to a count, a status and words.

A metric that cannot be computed gives a proposal too, one with an error instead of a count, for an
HPA with several metrics goes on with the others.  Messages are Kubernetes' own, nested as there:
people search for them.

Source: computeReplicasForMetric and computeStatusFor… in
pkg/controller/podautoscaler/horizontal.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

from labkit.controllers.podautoscaler import replica_calculator as calculator
from labkit.controllers.podautoscaler.metrics import MetricError, PodMetricsInfo
from labkit.controllers.podautoscaler.replica_calculator import Replicas, Workload
from labkit.kube.quantity import format_quantity, milli_value

#: Usage by Pod, one value, the values of several series, or why there is none.
Sample = PodMetricsInfo | int | list[int] | MetricError


@dataclass(frozen=True, slots=True)
class Proposal:
    """One metric's answer; `replicas` is None where there is an `error`.

    `reason` and `cause` are what the event and the condition say of that error, `error` is the
    whole of it.  `status` is the MetricStatus (an empty one for an error, as in Kubernetes).
    """

    type: str
    replicas: int | None = None
    metric: str = ""
    words: str = ""
    status: Mapping = field(default_factory=lambda: {"type": ""})
    reason: str = ""
    cause: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    replicas: Replicas
    metric: str
    current: Mapping


@dataclass(frozen=True, slots=True)
class _Source:
    """One type of metric: its field in the spec, how it fails, how it is computed."""

    field: str
    reason: str
    failure: Callable[[Mapping], str]
    compute: Callable[[Mapping, Workload, Sample, str], _Answer]


def propose(spec: Mapping, workload: Workload, sample: Sample, namespace: str) -> Proposal:
    """What the MetricSpec asks for."""
    source = _SOURCES.get(spec["type"])
    if source is None:
        cause = f'unknown metric source type "{spec["type"]}"'
        reason = "InvalidMetricSourceType"
        return Proposal(spec["type"], reason=reason, cause=cause, error=cause)
    part = spec[source.field]
    try:
        answer = source.compute(part, workload, sample, namespace)
    except MetricError as error:
        whole = f"{source.failure(part)}: {error}"
        return Proposal(spec["type"], reason=source.reason, cause=str(error), error=whole)
    named = {key: part[key] for key in _IDENTITY if key in part}
    status = {"type": spec["type"], source.field: {**named, "current": answer.current}}
    found = answer.replicas
    return Proposal(spec["type"], found.replicas, answer.metric, found.words, status)


# The fields by which a MetricStatus names its metric, as the MetricSpec does.
_IDENTITY = ("name", "container", "describedObject", "metric")


def _resource(part: Mapping, workload: Workload, sample: Sample, _: str) -> _Answer:
    return _resource_usage(part, workload, sample, "resource")


def _container_resource(part: Mapping, workload: Workload, sample: Sample, _: str) -> _Answer:
    return _resource_usage(part, workload, sample, "container resource")


def _resource_usage(part: Mapping, workload: Workload, sample: Sample, kind: str) -> _Answer:
    name, target = part["name"], part["target"]
    if target.get("averageValue") is not None:
        with _because(f"failed to get {name} usage"):
            usages = _sampled(sample, f"unable to get metrics for resource {name}")
            average = milli_value(target["averageValue"])
            found = calculator.get_raw_resource_replicas(workload, usages, name, average)
        return _Answer(
            found, f"{name} resource", {"averageValue": build_quantity(name, found.usage)}
        )
    if target.get("averageUtilization") is None:
        raise MetricError(
            "invalid resource metric source: neither an average utilization target nor an average "
            "value (usage) target was set"
        )
    with _because(f"failed to get {name} utilization"):
        usages = _sampled(sample, f"unable to get metrics for resource {name}")
        found = calculator.get_resource_replicas(
            workload, usages, name, target["averageUtilization"], part.get("container", "")
        )
    current = {
        "averageValue": build_quantity(name, found.usage),
        "averageUtilization": found.utilization,
    }
    return _Answer(found, f"{name} {kind} utilization (percentage of request)", current)


def _pods(part: Mapping, workload: Workload, sample: Sample, _: str) -> _Answer:
    name, target = part["metric"]["name"], part["target"]
    if target.get("averageValue") is None:
        raise MetricError("invalid pods metric source: no average value target was set")
    usages = _sampled(sample, f"unable to get metric {name}")
    found = calculator.get_metric_replicas(workload, usages, milli_value(target["averageValue"]))
    return _Answer(found, f"pods metric {name}", _average(found))


def _object(part: Mapping, workload: Workload, sample: Sample, namespace: str) -> _Answer:
    name, target, described = part["metric"]["name"], part["target"], part["describedObject"]
    where = f"{described['kind']} {namespace}/{described['name']}"
    unable = f"unable to get metric {name} on {where}"
    if target.get("type") == "Value" and target.get("value") is not None:
        usage = _sampled(sample, unable)
        goal = milli_value(target["value"])
        found = calculator.get_object_metric_replicas(workload, usage, goal)
        return _Answer(found, f"{described['kind']} metric {name}", _value(found))
    if target.get("type") == "AverageValue" and target.get("averageValue") is not None:
        with _because(f"failed to get {name} object metric"):
            usage = _sampled(sample, unable)
            goal = milli_value(target["averageValue"])
            found = calculator.get_object_per_pod_metric_replicas(workload, usage, goal)
        # "external" is what Kubernetes says here, too.
        return _Answer(found, _external_name(part["metric"]), _average(found))
    raise MetricError(
        "invalid object metric source: neither a value target nor an average value target was set"
    )


def _external(part: Mapping, workload: Workload, sample: Sample, namespace: str) -> _Answer:
    metric, target = part["metric"], part["target"]
    name, selector = metric["name"], label_selector_words(metric.get("selector"))
    unable = f"unable to get external metric {namespace}/{name}/{selector}"
    if target.get("averageValue") is not None:
        with _because(f"failed to get {name} external metric"):
            values, goal = _sampled(sample, unable), milli_value(target["averageValue"])
            found = calculator.get_external_per_pod_metric_replicas(workload, values, goal)
        return _Answer(found, _external_name(metric), _average(found))
    if target.get("value") is not None:
        with _because(f"failed to get external metric {name}"):
            values, goal = _sampled(sample, unable), milli_value(target["value"])
            found = calculator.get_external_metric_replicas(workload, values, goal)
        return _Answer(found, _external_name(metric), _value(found))
    raise MetricError(
        "invalid external metric source: neither a value target nor an average value target was set"
    )


_SOURCES = {
    "Resource": _Source(
        "resource",
        "FailedGetResourceMetric",
        lambda part: f"failed to get {part['name']} resource metric value",
        _resource,
    ),
    "ContainerResource": _Source(
        "containerResource",
        "FailedGetContainerResourceMetric",
        lambda part: f"failed to get {part['container']} container metric value",
        _container_resource,
    ),
    "Pods": _Source(
        "pods", "FailedGetPodsMetric", lambda part: "failed to get pods metric value", _pods
    ),
    "Object": _Source(
        "object", "FailedGetObjectMetric", lambda part: "failed to get object metric value", _object
    ),
    "External": _Source(
        "external",
        "FailedGetExternalMetric",
        lambda part: f"failed to get {part['metric']['name']} external metric value",
        _external,
    ),
}


@contextmanager
def _because(words: str) -> Iterator[None]:
    """Put words before the message of a MetricError."""
    try:
        yield
    except MetricError as error:
        raise MetricError(f"{words}: {error}") from error


def _sampled(sample: Sample, unable: str):
    if isinstance(sample, MetricError):
        raise MetricError(f"{unable}: {sample}")
    return sample


def build_quantity(resource: str, usage: int) -> str:
    """`usage` (milli) as metrics-server writes that resource: memory with binary suffixes."""
    format = "BinarySI" if resource == "memory" else "DecimalSI"
    return format_quantity(Fraction(usage, 1000), format)


def _average(found: Replicas) -> dict:
    return {"averageValue": format_quantity(Fraction(found.usage, 1000))}


def _value(found: Replicas) -> dict:
    return {"value": format_quantity(Fraction(found.usage, 1000))}


def _external_name(metric: Mapping) -> str:
    return f"external metric {metric['name']}({label_selector_words(metric.get('selector'))})"


def label_selector_words(selector: Mapping | None) -> str:
    """A LabelSelector as Go prints it, which is how it stands in events and conditions."""
    if selector is None:
        return "nil"
    labels = sorted((selector.get("matchLabels") or {}).items())
    matched = "".join(f"{key}: {value}," for key, value in labels)
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{need['key']},Operator:{need['operator']},"
        f"Values:[{' '.join(need.get('values') or ())}],}},"
        for need in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{matched}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
