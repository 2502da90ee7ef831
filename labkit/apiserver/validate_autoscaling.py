"""Rules of HorizontalPodAutoscalers.

Source: k8s.io/kubernetes pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, invalid, required, unsupported
from labkit.apiserver.validate_values import non_negative
from labkit.kube.quantity import parse_quantity

_METRICS = ("Object", "Pods", "Resource", "External", "ContainerResource")
_TARGETS = ("Utilization", "Value", "AverageValue")
_SELECT = ("Max", "Min", "Disabled")
_POLICIES = ("Pods", "Percent")
_POSITIVE = "must be greater than 0"
_MAX_STABILIZATION, _MAX_PERIOD = 3600, 1800  # seconds


def hpa(obj: Mapping) -> list[FieldError]:
    """What is wrong with a HorizontalPodAutoscaler (v2)."""
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    errors = []
    if least < 1:
        errors.append(invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        errors.append(invalid("spec.maxReplicas", most, _POSITIVE))
    if most < least:
        why = "must be greater than or equal to `minReplicas`"
        errors.append(invalid("spec.maxReplicas", most, why))
    errors += _reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    for index, metric in enumerate(spec.get("metrics") or ()):
        errors += _metric(metric, f"spec.metrics[{index}]")
    behavior = spec.get("behavior") or {}
    for name in ("scaleUp", "scaleDown"):
        if name in behavior:
            errors += _rules(behavior[name], f"spec.behavior.{name}")
    return errors


def _reference(reference: Mapping, path: str) -> list[FieldError]:
    errors = []
    for name in ("kind", "name"):
        value = reference.get(name)
        if not value:
            errors.append(required(f"{path}.{name}"))
        elif wrong := names.path_segment(value):
            errors.append(invalid(f"{path}.{name}", value, wrong))
    return errors


def _metric(metric: Mapping, path: str) -> list[FieldError]:
    kind = metric.get("type")
    if not kind:
        return [required(f"{path}.type", "must specify a metric source type")]
    if kind not in _METRICS:
        return [unsupported(f"{path}.type", kind, _METRICS)]
    field = kind[0].lower() + kind[1:]
    source = metric.get(field)
    if source is None:
        why = "must populate information for the given metric source"
        return [required(f"{path}.{field}", why)]
    errors = []
    if kind in ("Resource", "ContainerResource") and not source.get("name"):
        errors.append(required(f"{path}.{field}.name", "must specify a resource name"))
    if kind == "ContainerResource" and not source.get("container"):
        errors.append(required(f"{path}.{field}.container", "must specify a container"))
    if kind in ("Pods", "Object", "External") and not (source.get("metric") or {}).get("name"):
        errors.append(required(f"{path}.{field}.metric.name", "must specify a metric name"))
    return errors + _target(source.get("target") or {}, f"{path}.{field}.target")


def _target(target: Mapping, path: str) -> list[FieldError]:
    kind, errors = target.get("type"), []
    if not kind:
        errors.append(required(f"{path}.type", "must specify a metric target type"))
    elif kind not in _TARGETS:
        errors.append(unsupported(f"{path}.type", kind, _TARGETS))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        errors.append(invalid(f"{path}.averageUtilization", utilization, _POSITIVE))
    for name in ("value", "averageValue"):
        if target.get(name) is not None and parse_quantity(target[name]) <= 0:
            errors.append(invalid(f"{path}.{name}", target[name], "must be positive"))
    if all(target.get(name) is None for name in ("value", "averageValue", "averageUtilization")):
        why = "must set either a target raw value or a target utilization"
        errors.append(required(f"{path}.averageUtilization", why))
    return errors


def _rules(rules: Mapping, path: str) -> list[FieldError]:
    errors = []
    window = rules.get("stabilizationWindowSeconds")
    errors += non_negative(window, f"{path}.stabilizationWindowSeconds")
    if window is not None and window > _MAX_STABILIZATION:
        why = f"must be less than or equal to {_MAX_STABILIZATION}"
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window, why))
    if rules.get("selectPolicy") not in _SELECT:
        errors.append(unsupported(f"{path}.selectPolicy", rules.get("selectPolicy"), _SELECT))
    if not rules.get("policies"):
        errors.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.get("policies") or ()):
        errors += _policy(policy, f"{path}.policies[{index}]")
    return errors


def _policy(policy: Mapping, path: str) -> list[FieldError]:
    value, seconds, errors = policy.get("value", 0), policy.get("periodSeconds", 0), []
    if policy.get("type") not in _POLICIES:
        errors.append(unsupported(f"{path}.type", policy.get("type"), _POLICIES))
    if value <= 0:
        errors.append(invalid(f"{path}.value", value, "must be greater than zero"))
    if seconds <= 0:
        errors.append(invalid(f"{path}.periodSeconds", seconds, "must be greater than zero"))
    elif seconds > _MAX_PERIOD:
        why = f"must be less than or equal to {_MAX_PERIOD}"
        errors.append(invalid(f"{path}.periodSeconds", seconds, why))
    return errors
