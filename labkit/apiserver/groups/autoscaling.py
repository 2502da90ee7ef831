"""The group autoscaling: v2, and v1, which is kept as v2.

Source: k8s.io/kubernetes pkg/registry/autoscaling.
"""

from __future__ import annotations

from labkit.apiserver import defaults, validate_autoscaling, validate_status
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

HPA = Strategy(
    default=defaults.hpa,
    validate=validate_autoscaling.hpa,
    validate_status=validate_status.autoscaler,
    status_annotations=True,
    initial_status={"desiredReplicas": 0},
)

ROWS = tuple(
    row(
        resource,
        HPA,
        short="hpa",
        subresources="status",
        categories="all",
        storage=resources.HORIZONTAL_POD_AUTOSCALERS,
    )
    for resource in (resources.HORIZONTAL_POD_AUTOSCALERS, resources.HPA_V1)
)
