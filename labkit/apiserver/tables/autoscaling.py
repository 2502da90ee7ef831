"""Rows of HorizontalPodAutoscalers.

Source: printHorizontalPodAutoscaler and formatHPAMetrics in
pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.tables import format
from labkit.apiserver.tables.format import AGE, NAME, NONE, UNKNOWN, UNSET, Column, Printer
from labkit.kube import quantity

_SHOWN_METRICS = 2


def _autoscaler(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    target = spec["scaleTargetRef"]
    least = spec.get("minReplicas")
    return [
        obj["metadata"]["name"],
        f"{target['kind']}/{target['name']}",
        hpa_targets(*_metrics(spec, status)),
        UNSET if least is None else str(least),
        spec["maxReplicas"],
        status.get("currentReplicas", 0),
        format.age(obj, now),
    ]


def _metrics(spec: Mapping, status: Mapping) -> tuple[list, list]:
    """Specs and statuses of metrics; autoscaling/v1 knows only CPU, in fields of its own."""
    goal = spec.get("targetCPUUtilizationPercentage")
    if goal is None:
        return spec.get("metrics") or [], status.get("currentMetrics") or []
    current = {"averageUtilization": status.get("currentCPUUtilizationPercentage")}
    target = {"averageUtilization": goal}
    return (
        [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        [{"type": "Resource", "resource": {"name": "cpu", "current": current}}],
    )


def hpa_targets(specs: list[Mapping], currents: list[Mapping]) -> str:
    """The TARGETS cell: current over target of each metric, `cpu: 12%/30%`."""
    if not specs:
        return NONE
    texts = []
    for index, spec in enumerate(specs):
        field = spec["type"][0].lower() + spec["type"][1:]
        if field not in spec:
            texts.append("<unknown type>")
            continue
        current = ((currents[index] if index < len(currents) else {}) or {}).get(field) or {}
        texts.append(_metric(field, spec[field], current.get("current") or {}))
    return format.listed(texts, _SHOWN_METRICS, NONE, separator=", ")


def _metric(field: str, spec: Mapping, current: Mapping) -> str:
    target = spec["target"]
    if field in ("resource", "containerResource"):
        if "averageValue" in target:
            pair = _quantities(current, target, "averageValue")
        else:
            goal = target.get("averageUtilization")
            goal = "<auto>" if goal is None else f"{goal}%"
            pair = f"{_percent(current.get('averageUtilization'))}/{goal}"
        return f"{spec['name']}: {pair}"
    if field == "pods":
        return _quantities(current, target, "averageValue")
    if "averageValue" in target:
        return f"{_quantities(current, target, 'averageValue')} (avg)"
    return _quantities(current, target, "value")


def _quantities(current: Mapping, target: Mapping, field: str) -> str:
    value = current.get(field)
    text = UNKNOWN if value is None else quantity.canonical(value)
    return f"{text}/{quantity.canonical(target[field])}"


def _percent(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value}%"


HORIZONTAL_POD_AUTOSCALER = Printer(
    (
        NAME,
        Column("Reference"),
        Column("Targets"),
        Column("MinPods"),
        Column("MaxPods"),
        Column("Replicas"),
        AGE,
    ),
    _autoscaler,
)
