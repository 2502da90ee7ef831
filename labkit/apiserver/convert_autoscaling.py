"""HorizontalPodAutoscalers of v1 and v2: what v1 has no field for travels in annotations.

v1 has one metric, the utilization of CPU.  All other metrics, the behaviour, the conditions and the
status of metrics are JSON in annotations, in the shapes of v1's time: metrics as in v2beta1, and
the behaviour with the names of Go's fields.  A client of v1 that leaves the annotations alone loses
nothing; one that writes nonsense into them gets what it would get without them.

Source: k8s.io/kubernetes pkg/apis/autoscaling/v1/conversion.go and pkg/apis/autoscaling/helpers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from labkit.kube import schema

_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS, _BEHAVIOR = _PREFIX + "metrics", _PREFIX + "behavior"
_CONDITIONS, _CURRENT = _PREFIX + "conditions", _PREFIX + "current-metrics"
_ANNOTATIONS = (_METRICS, _BEHAVIOR, _CONDITIONS, _CURRENT)
_V2 = "io.k8s.api.autoscaling.v2."

# What v1 calls the values of a metric; {} is `target` in the spec and `current` in the status.
_AVERAGES = {"averageUtilization": "{}AverageUtilization", "averageValue": "{}AverageValue"}
_VALUES: Mapping[str, Mapping[str, str]] = {
    "resource": _AVERAGES,
    "containerResource": _AVERAGES,
    "pods": {"averageValue": "{}AverageValue"},
    "object": {"value": "{}Value", "averageValue": "averageValue"},
    "external": {"value": "{}Value", "averageValue": "{}AverageValue"},
}
# Of these v1 always has a value, 0 if there is none.
_ALWAYS = {
    ("resource", "currentAverageValue"),
    ("containerResource", "currentAverageValue"),
    ("pods", "targetAverageValue"),
    ("pods", "currentAverageValue"),
    ("object", "targetValue"),
    ("object", "currentValue"),
    ("external", "currentValue"),
}
_NAMED = ("resource", "containerResource")


def to_v1(obj: Mapping) -> dict:
    """A v2 object as v1."""
    annotations = _without_ours(obj)
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metrics, currents = spec.pop("metrics", ()), status.pop("currentMetrics", ())
    cpu = next((m for m in metrics if _is_cpu(m)), None)
    if cpu and "averageUtilization" in cpu["resource"]["target"]:
        spec["targetCPUUtilizationPercentage"] = cpu["resource"]["target"]["averageUtilization"]
    for current in currents:
        used = (current.get("resource") or {}).get("current") or {}
        if _is_cpu(current) and "averageUtilization" in used:
            status["currentCPUUtilizationPercentage"] = used["averageUtilization"]
    others = [m for m in metrics if not (_is_cpu(m) and _utilization(m))]
    for name, value in (
        (_METRICS, [_metric_to_v1(one, "target") for one in others]),
        (_CURRENT, [_metric_to_v1(one, "current") for one in currents]),
        (_CONDITIONS, status.pop("conditions", None)),
        (_BEHAVIOR, _renamed(spec.pop("behavior", None), str.upper)),
    ):
        if value:
            annotations[name] = orjson.dumps(value).decode()
    return _with(obj, "autoscaling/v1", annotations, spec, status)


def to_v2(obj: Mapping) -> dict:
    """A v1 object as v2."""
    given = obj["metadata"].get("annotations") or {}
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    cpu = spec.pop("targetCPUUtilizationPercentage", None)
    used = status.pop("currentCPUUtilizationPercentage", None)
    metrics = _metrics(given.get(_METRICS), "target", "MetricSpec")
    if cpu is not None:
        target = {"type": "Utilization", "averageUtilization": cpu}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    currents = _metrics(given.get(_CURRENT), "current", "MetricStatus")
    if used is not None and not currents:
        current = {"name": "cpu", "current": {"averageUtilization": used}}
        currents = [{"type": "Resource", "resource": current}]
    behavior = _renamed(_decoded(given.get(_BEHAVIOR)), str.lower)
    conditions = _decoded(given.get(_CONDITIONS))
    conditions = conditions if isinstance(conditions, list) else []
    condition = "HorizontalPodAutoscalerCondition"
    for part, name, value in (
        (spec, "metrics", metrics),
        (spec, "behavior", _typed(behavior, "HorizontalPodAutoscalerBehavior")),
        (status, "currentMetrics", currents),
        (status, "conditions", [c for one in conditions if (c := _typed(one, condition))]),
    ):
        if value:
            part[name] = value
    return _with(obj, "autoscaling/v2", _without_ours(obj), spec, status)


def _with(obj: Mapping, version: str, annotations: dict, spec: dict, status: dict) -> dict:
    metadata = dict(obj["metadata"])
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    return {**obj, "apiVersion": version, "metadata": metadata, "spec": spec, "status": status}


def _without_ours(obj: Mapping) -> dict:
    annotations = obj["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key not in _ANNOTATIONS}


def _is_cpu(metric: Mapping) -> bool:
    return metric.get("type") == "Resource" and (metric.get("resource") or {}).get("name") == "cpu"


def _utilization(metric: Mapping) -> int | None:
    return (metric["resource"].get("target") or {}).get("averageUtilization")


def _field(kind: str) -> str:
    return kind[:1].lower() + kind[1:]


def _metric_to_v1(metric: Mapping, part: str) -> dict:
    """A metric's spec or status as v1 writes it; `part` is `target` or `current`."""
    kind = metric.get("type", "")
    field = _field(kind)
    source, values = metric.get(field), _VALUES.get(field)
    if source is None or values is None:
        return {"type": kind}
    found = {name: source[name] for name in ("name", "container") if name in source}
    if field == "object":
        found["target"] = source.get("describedObject") or {}
    if field not in _NAMED:
        identity = source.get("metric") or {}
        found["metricName"] = identity.get("name", "")
        if "selector" in identity:
            found["metricSelector" if field == "external" else "selector"] = identity["selector"]
    for name, pattern in values.items():
        old = pattern.format(part)
        value = (source.get(part) or {}).get(name)
        if value is not None or (field, old) in _ALWAYS:
            found[old] = "0" if value is None else value
    return {"type": kind, field: found}


def _metrics(text: str | None, part: str, definition: str) -> list[dict]:
    found = _decoded(text)
    metrics = [_metric_to_v2(one, part) for one in found] if isinstance(found, list) else []
    return [typed for one in metrics if (typed := _typed(one, definition))]


def _metric_to_v2(metric: object, part: str) -> dict:
    if not isinstance(metric, dict) or not isinstance(metric.get("type"), str):
        return {}
    kind = metric["type"]
    field = _field(kind)
    old, values = metric.get(field), _VALUES.get(field)
    if not isinstance(old, dict) or values is None:
        return {}
    found = {name: old[name] for name in ("name", "container") if name in old}
    if field == "object":
        found["describedObject"] = old.get("target")
    if field not in _NAMED:
        selector = old.get("metricSelector" if field == "external" else "selector")
        found["metric"] = {"name": old.get("metricName"), "selector": selector}
    given = {name: old.get(pattern.format(part)) for name, pattern in values.items()}
    given = {name: value for name, value in given.items() if value is not None}
    if part == "target":
        given = _target(field, given)
    found[part] = given
    return {"type": kind, field: found}


def _target(field: str, given: dict) -> dict:
    """The type of a target follows from which of its values there are."""
    if "averageUtilization" in given:
        return {"type": "Utilization", **given}
    if field == "object" and "averageValue" in given:
        given.pop("value", None)
    return {"type": "Value" if "value" in given else "AverageValue", **given}


def _renamed(value: object, case: Callable[[str], str]) -> object:
    """With the first letters of all names in another case: the names of Go's fields, or JSON's."""
    if isinstance(value, dict):
        return {case(key[:1]) + key[1:]: _renamed(item, case) for key, item in value.items()}
    return [_renamed(item, case) for item in value] if isinstance(value, list) else value


def _decoded(text: str | None) -> object:
    """What an annotation says; what is no JSON says nothing."""
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None


def _typed(value: object, definition: str) -> dict | None:
    """A value that is of its type, without nulls and what is unknown; None if it is not."""
    if not isinstance(value, dict):
        return None
    try:
        return schema.decode(_V2 + definition, value)[0]
    except schema.DecodeError:
        return None
