"""The group apps: what keeps many equal Pods running.

Source: k8s.io/kubernetes pkg/registry/apps.
"""

from __future__ import annotations

from labkit.apiserver import defaults, validate_apps
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

_SPEC = ("spec",)

DEPLOYMENT = Strategy(
    default=defaults.deployment,
    validate=validate_apps.deployment,
    validate_update=validate_apps.selector_update,
    generation=(_SPEC, ("metadata", "annotations")),
    initial_status={},
)
REPLICA_SET = Strategy(
    default=defaults.replica_set,
    validate=validate_apps.replica_set,
    validate_update=validate_apps.selector_update,
    generation=(_SPEC,),
    initial_status={"replicas": 0},
    fields=("status.replicas",),
)

ROWS = (
    row(
        resources.DEPLOYMENTS,
        DEPLOYMENT,
        short="deploy",
        subresources="status scale",
        categories="all",
    ),
    row(
        resources.REPLICA_SETS,
        REPLICA_SET,
        short="rs",
        subresources="status scale",
        categories="all",
    ),
)
