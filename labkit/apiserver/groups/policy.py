"""The group policy: how many Pods may be missing at once.

Source: k8s.io/kubernetes pkg/registry/policy.
"""

from __future__ import annotations

from labkit.apiserver import validate_policy, validate_status
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

POD_DISRUPTION_BUDGET = Strategy(
    needs_version=True,
    validate=validate_policy.disruption_budget,
    validate_status=validate_status.disruption_budget,
    generation=(("spec",),),
    initial_status={
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
)

ROWS = (
    row(
        resources.POD_DISRUPTION_BUDGETS,
        POD_DISRUPTION_BUDGET,
        short="pdb",
        subresources="status",
    ),
)
