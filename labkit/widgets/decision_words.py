"""A HorizontalPodAutoscaler's status → its last decision in words.  Pure.

Only what the API says: metrics, targets, conditions.  The arithmetic is that of the documentation,
desired = ceil(current × usage / target); what the controller does beyond it (Pods without metrics,
Pods that are not ready yet) is not in the status.

Source: Kubernetes documentation, "Horizontal Pod Autoscaling", "Algorithm details".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from labkit.kube import conditions

_TOLERANCE = 0.1


def decision(autoscaler: Mapping | None) -> list[str]:
    """A sentence or two or three."""
    if autoscaler is None:
        return ["No HorizontalPodAutoscaler scales this Deployment."]
    status = autoscaler.get("status") or {}
    if not status.get("conditions"):
        return ["The autoscaler has not looked yet."]
    active = conditions.get(autoscaler, "ScalingActive")
    if active and active["status"] != "True":
        return [f"It cannot decide: {active['message']}."]
    return [*_metrics(autoscaler, status), _result(autoscaler, status), *_limits(autoscaler)]


def _metrics(autoscaler: Mapping, status: Mapping) -> Iterator[str]:
    targets = {
        (metric.get("resource") or {}).get("name"): (metric.get("resource") or {})["target"]
        for metric in autoscaler["spec"].get("metrics") or ()
        if metric.get("type") == "Resource"
    }
    current = status.get("currentReplicas", 0)
    for metric in status.get("currentMetrics") or ():
        resource = metric.get("resource") or {}
        target = (targets.get(resource.get("name")) or {}).get("averageUtilization")
        used = (resource.get("current") or {}).get("averageUtilization")
        if target and used is not None:
            yield _arithmetic(resource["name"], used, target, current)


def _arithmetic(name: str, used: float, target: float, current: int) -> str:
    label = {"cpu": "CPU"}.get(name, name)
    found = f"{label} {used:g} % of the request, target {target:g} %:"
    if abs(used / target - 1) <= _TOLERANCE:
        return f"{found} within a tenth of the target, nothing to do."
    wanted = current * used / target
    return f"{found} {_pods(current)} × {used:g} / {target:g} = {wanted:.1f} → {math.ceil(wanted)}."


def _result(autoscaler: Mapping, status: Mapping) -> str:
    desired, current = status.get("desiredReplicas", 0), status.get("currentReplicas", 0)
    spec = autoscaler["spec"]
    limits = f"(from {spec.get('minReplicas', 1)} to {spec['maxReplicas']})"
    if desired == current:
        return f"It leaves {_pods(current)} {limits}."
    return f"It wants {_pods(desired)} {limits}; there are {current}."


def _limits(autoscaler: Mapping) -> Iterator[str]:
    limited = conditions.get(autoscaler, "ScalingLimited")
    if limited and limited["status"] == "True":
        yield f"Limited: {limited['message']}."
        if limited.get("reason") == "TooManyReplicas":
            return  # it would be as many without any waiting
    able = conditions.get(autoscaler, "AbleToScale")
    if able and able.get("reason") in ("ScaleDownStabilized", "ScaleUpStabilized"):
        yield f"It waits: {able['message']}."
    elif able and able["status"] != "True":
        yield f"It cannot: {able['message']}."


def _pods(count: float) -> str:
    return f"{count:g} Pod" + ("" if count == 1 else "s")
