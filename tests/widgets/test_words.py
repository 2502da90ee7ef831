"""An autoscaler's status in words."""

import pytest

from labkit.widgets.decision_words import decision


def hpa(used: int | None, current: int, desired: int, **conditions: tuple[str, str, str]) -> dict:
    """An autoscaler with the target 30 % and 1 to 5 Pods, and its conditions."""
    cpu = {"name": "cpu", "current": {"averageUtilization": used}}
    target = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 30}}
    held = {"AbleToScale": ("True", "ReadyForNewScale", "recommended size matches current size")}
    held |= conditions
    return {
        "metadata": {"name": "web"},
        "spec": {
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": target}],
        },
        "status": {
            "currentReplicas": current,
            "desiredReplicas": desired,
            "currentMetrics": [] if used is None else [{"type": "Resource", "resource": cpu}],
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "message": message}
                for kind, (status, reason, message) in held.items()
            ],
        },
    }


TOO_MANY = ("True", "TooManyReplicas", "the desired replica count is more than the maximum")
WAITS = ("True", "ScaleDownStabilized", "recent recommendations were higher than current one")
BLIND = ("False", "FailedGetResourceMetric", "no metrics returned from resource metrics API")


@pytest.mark.parametrize(
    ("autoscaler", "words"),
    [
        pytest.param(
            hpa(74, 2, 5, ScalingLimited=TOO_MANY),
            [
                "CPU 74 % of the request, target 30 %: 2 Pods × 74 / 30 = 4.9 → 5.",
                "It wants 5 Pods (from 1 to 5); there are 2.",
                "Limited: the desired replica count is more than the maximum.",
            ],
            id="more than it may",
        ),
        pytest.param(
            hpa(3, 4, 4, AbleToScale=WAITS),
            [
                "CPU 3 % of the request, target 30 %: 4 Pods × 3 / 30 = 0.4 → 1.",
                "It leaves 4 Pods (from 1 to 5).",
                "It waits: recent recommendations were higher than current one.",
            ],
            id="waits to scale in",
        ),
        pytest.param(
            hpa(60, 5, 5, ScalingLimited=TOO_MANY, AbleToScale=WAITS),
            [
                "CPU 60 % of the request, target 30 %: 5 Pods × 60 / 30 = 10.0 → 10.",
                "It leaves 5 Pods (from 1 to 5).",
                "Limited: the desired replica count is more than the maximum.",
            ],
            id="limited, whether it waits or not",
        ),
        pytest.param(
            hpa(32, 1, 1),
            [
                "CPU 32 % of the request, target 30 %: within a tenth of the target, "
                "nothing to do.",
                "It leaves 1 Pod (from 1 to 5).",
            ],
            id="tolerated",
        ),
        pytest.param(
            hpa(None, 1, 0, ScalingActive=BLIND),
            ["It cannot decide: no metrics returned from resource metrics API."],
            id="no metrics",
        ),
        pytest.param({"spec": {}, "status": {}}, ["The autoscaler has not looked yet."], id="new"),
        pytest.param(None, ["No HorizontalPodAutoscaler scales this Deployment."], id="none"),
    ],
)
def test_a_decision_is_told_with_its_arithmetic(autoscaler, words):
    assert decision(autoscaler) == words
