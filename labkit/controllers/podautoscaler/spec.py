"""What an HPA's spec asks for, with the defaults that the API server would have filled in.

Source: Kubernetes API reference, HorizontalPodAutoscaler v2; pkg/apis/autoscaling/v2/defaults.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.controllers.podautoscaler import behavior as limits
from labkit.controllers.podautoscaler.replica_calculator import Tolerances
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from labkit.kube import conditions
from labkit.kube.quantity import parse_quantity

SCALE_TO_ZERO, CONFIGURABLE_TOLERANCE = "HPAScaleToZero", "HPAConfigurableTolerance"
DEFAULT_METRICS = (
    {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    },
)


def metrics(hpa: Mapping) -> Sequence[Mapping]:
    """The MetricSpecs: 80 % of the requested CPU where none is given."""
    return hpa["spec"].get("metrics") or DEFAULT_METRICS


def min_replicas(hpa: Mapping) -> int:
    """`spec.minReplicas`, 1 where it is not given."""
    minimum = hpa["spec"].get("minReplicas")
    return 1 if minimum is None else minimum


def rules(hpa: Mapping, settings: HPAControllerConfiguration) -> limits.Rules | None:
    """`spec.behavior` completed, or None where there is none."""
    behavior = hpa["spec"].get("behavior")
    if behavior is None:
        return None
    return limits.rules(behavior, settings.horizontal_pod_autoscaler_downscale_stabilization)


def tolerances(hpa: Mapping, settings: HPAControllerConfiguration) -> Tolerances:
    """How close to its target a metric may be: as the HPA says, or else the controller's flag."""
    default = settings.horizontal_pod_autoscaler_tolerance
    behavior = hpa["spec"].get("behavior") or {}
    if CONFIGURABLE_TOLERANCE not in settings.feature_gates:
        behavior = {}
    own = [(behavior.get(side) or {}).get("tolerance") for side in ("scaleDown", "scaleUp")]
    return Tolerances(*(default if one is None else float(parse_quantity(one)) for one in own))


def has_object_or_external_metrics(hpa: Mapping) -> bool:
    """Whether a metric exists that can be known while no Pod runs."""
    return any(metric["type"] in ("Object", "External") for metric in metrics(hpa))


def was_scaled_to_zero(hpa: Mapping, settings: HPAControllerConfiguration) -> bool:
    """Whether the autoscaler itself, and not a person, scaled the target to zero."""
    return SCALE_TO_ZERO in settings.feature_gates and conditions.is_true(hpa, "ScaledToZero")


def target_words(hpa: Mapping) -> str:
    """The target as Kubernetes' messages name it: Kind/namespace/name."""
    target = hpa["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{hpa['metadata']['namespace']}/{target['name']}"


def reported_desired_replicas(hpa: Mapping) -> int:
    """`status.desiredReplicas` as it stands."""
    return (hpa.get("status") or {}).get("desiredReplicas") or 0


def replicas(scale: Mapping) -> int:
    """`spec.replicas` of a Scale, which leaves the field out where it is zero."""
    return (scale.get("spec") or {}).get("replicas") or 0
