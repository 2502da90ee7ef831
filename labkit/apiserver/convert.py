"""Resources that are kept in another form than they are served.

autoscaling/v1 is kept as v2: what v1 has no field for travels in annotations, so that nothing is
lost on the way and back.  events.k8s.io/v1 is kept as core/v1.

Source: k8s.io/kubernetes pkg/apis/autoscaling/v1/conversion.go, pkg/apis/events/v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from labkit.apiserver.registration import Registration
from labkit.apiserver.request import Encoded
from labkit.apiserver.watch import encode
from labkit.kube.resources import EVENTS_V1, HPA_V1

_Function = Callable[[Mapping], dict]
_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS, _BEHAVIOR = _PREFIX + "metrics", _PREFIX + "behavior"
_CONDITIONS, _CURRENT = _PREFIX + "conditions", _PREFIX + "current-metrics"
_ANNOTATIONS = (_METRICS, _BEHAVIOR, _CONDITIONS, _CURRENT)


def served(row: Registration, item: Encoded) -> Encoded:
    """A stored object as `row` serves it; the very same one where that is how it is kept."""
    if row.custom:
        return row.custom.served(item)
    if row.resource == row.storage:
        return item
    return encode(_FUNCTIONS[row.resource.name, row.resource.version][1](item.obj))


def converter(row: Registration) -> Callable[[Encoded], Encoded] | None:
    """`served` for one row, None where nothing is to be done."""
    same = row.resource == row.storage and not row.custom
    return None if same else lambda item: served(row, item)


def stored(row: Registration, obj: dict) -> dict:
    """A served object (given away by the caller) as it is kept."""
    if row.custom:
        return row.custom.stored(obj)
    if row.resource == row.storage:
        return obj
    return _FUNCTIONS[row.resource.name, row.resource.version][0](obj)


def _hpa_to_v2(obj: Mapping) -> dict:
    annotations = dict(obj["metadata"].get("annotations") or {})
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    cpu = spec.pop("targetCPUUtilizationPercentage", None)
    current = status.pop("currentCPUUtilizationPercentage", None)
    metrics = _decoded(annotations, _METRICS, [])
    if cpu is not None:
        target = {"type": "Utilization", "averageUtilization": cpu}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}, *metrics]
    if metrics:
        spec["metrics"] = metrics
    currents = _decoded(annotations, _CURRENT, [])
    if current is not None:
        value = {"name": "cpu", "current": {"averageUtilization": current}}
        currents = [{"type": "Resource", "resource": value}, *currents]
    for target, name, value in (
        (spec, "behavior", _decoded(annotations, _BEHAVIOR, None)),
        (status, "conditions", _decoded(annotations, _CONDITIONS, None)),
        (status, "currentMetrics", currents or None),
    ):
        if value is not None:
            target[name] = value
    return _hpa(obj, "autoscaling/v2", annotations, spec, status)


def _hpa_to_v1(obj: Mapping) -> dict:
    annotations = dict(obj["metadata"].get("annotations") or {})
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    cpu, metrics = _split(spec.pop("metrics", ()), "target")
    if cpu is not None:
        spec["targetCPUUtilizationPercentage"] = cpu
    current, currents = _split(status.pop("currentMetrics", ()), "current")
    if current is not None:
        status["currentCPUUtilizationPercentage"] = current
    for name, value in (
        (_METRICS, metrics),
        (_BEHAVIOR, spec.pop("behavior", None)),
        (_CONDITIONS, status.pop("conditions", None)),
        (_CURRENT, currents),
    ):
        if value:
            annotations[name] = orjson.dumps(value).decode()
    return _hpa(obj, "autoscaling/v1", annotations, spec, status)


def _hpa(obj: Mapping, version: str, annotations: dict, spec: dict, status: dict) -> dict:
    metadata = dict(obj["metadata"])
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    return {**obj, "apiVersion": version, "metadata": metadata, "spec": spec, "status": status}


def _decoded(annotations: dict, name: str, missing: object) -> object:
    """Take a JSON annotation; what is no JSON is as good as missing."""
    try:
        return orjson.loads(annotations.pop(name, "null")) or missing
    except ValueError:
        return missing


def _split(metrics: list, part: str) -> tuple[int | None, list]:
    """The CPU utilization of the first metric that is one, and all other metrics."""
    cpu, others = None, []
    for metric in metrics:
        source = metric.get("resource") or {}
        value = (source.get(part) or {}).get("averageUtilization")
        if cpu is None and source.get("name") == "cpu" and value is not None:
            cpu = value
        else:
            others.append(metric)
    return cpu, others


# Names of an Event's fields in events.k8s.io/v1 and in core/v1.
_EVENT_NAMES = (
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
)


def _event_to_core(obj: Mapping) -> dict:
    return _renamed(obj, "v1", dict(_EVENT_NAMES))


def _event_to_v1(obj: Mapping) -> dict:
    return _renamed(obj, "events.k8s.io/v1", {core: new for new, core in _EVENT_NAMES})


def _renamed(obj: Mapping, version: str, new_names: Mapping[str, str]) -> dict:
    result = {new_names.get(name, name): value for name, value in obj.items()}
    return {**result, "apiVersion": version}


_FUNCTIONS: dict[tuple[str, str], tuple[_Function, _Function]] = {
    (HPA_V1.name, HPA_V1.version): (_hpa_to_v2, _hpa_to_v1),
    (EVENTS_V1.name, EVENTS_V1.version): (_event_to_core, _event_to_v1),
}
