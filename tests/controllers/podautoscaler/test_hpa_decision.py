"""One look as a pure function: what Kubernetes' own scenarios leave open."""

from dataclasses import replace

import pytest

from labkit.controllers.podautoscaler.behavior import History, Recommendation
from labkit.controllers.podautoscaler.decision import decide, needs_metrics
from labkit.controllers.podautoscaler.observation import Observation
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from tests.controllers.podautoscaler.hpa_vectors import NOW
from tests.controllers.podautoscaler.hpa_world import scale

DEFAULTS = HPAControllerConfiguration()
TO_ZERO = replace(DEFAULTS, feature_gates=DEFAULTS.feature_gates | {"HPAScaleToZero"})
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}
JOBS = {
    "type": "External",
    "external": {
        "metric": {"name": "jobs"},
        "target": {"type": "AverageValue", "averageValue": "10"},
    },
}
SCALED_TO_ZERO = {"type": "ScaledToZero", "status": "True", "reason": "ScaledToZero"}


def autoscaler(metrics: list[dict], conditions: tuple = (), **spec) -> dict:
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 10,
            "metrics": metrics,
            **spec,
        },
        "status": {"conditions": list(conditions)},
    }


def jobs(*values: int) -> Observation:
    return Observation([], [[value * 1000 for value in values]])


@pytest.mark.parametrize(
    ("metrics", "minimum", "conditions", "settings", "asked"),
    [
        pytest.param([JOBS], 0, [SCALED_TO_ZERO], TO_ZERO, True, id="the autoscaler's own zero"),
        pytest.param([JOBS], 0, [SCALED_TO_ZERO], DEFAULTS, False, id="feature gate off"),
        pytest.param([JOBS], 0, [], TO_ZERO, False, id="somebody else's zero"),
        pytest.param([CPU], 0, [SCALED_TO_ZERO], TO_ZERO, False, id="no metric without Pods"),
        pytest.param([CPU], 1, [SCALED_TO_ZERO], TO_ZERO, True, id="minReplicas was raised"),
    ],
)
def test_a_target_at_zero_is_left_there_unless_the_autoscaler_put_it_there(
    metrics, minimum, conditions, settings, asked
):
    hpa = autoscaler(metrics, conditions, minReplicas=minimum)
    assert needs_metrics(hpa, scale(0, 0, "app=web"), settings) is asked


def test_a_queue_that_fills_wakes_a_target_that_was_scaled_to_zero():
    hpa = autoscaler([JOBS], [SCALED_TO_ZERO], minReplicas=0)
    found = decide(hpa, scale(0, 0, "app=web"), jobs(25), History(), TO_ZERO, NOW)
    assert (found.desired, found.rescale) == (3, True)
    assert found.words == "3 replicas = ceil(25 / 10)"


def test_without_minreplicas_and_metrics_kubernetes_defaults_hold():
    hpa = autoscaler([])
    found = decide(hpa, scale(1, 1, "app=web"), Observation([], [{}]), History(), DEFAULTS, NOW)
    assert found.proposals[0].type == "Resource"
    assert found.error.endswith("no pods returned by selector while calculating replica count")
    assert not found.rescale


def test_the_first_look_remembers_the_present_count():
    hpa = autoscaler([JOBS])
    found = decide(hpa, scale(5, 5, "app=web"), jobs(10), History(), DEFAULTS, NOW)
    assert found.history.recommendations == (Recommendation(5, NOW), Recommendation(1, NOW))
    assert found.desired == 5


def test_a_decision_leaves_what_it_was_made_from_as_it_was():
    hpa, target = autoscaler([JOBS], behavior={}), scale(5, 5, "app=web")
    before = repr((hpa, target))
    decide(hpa, target, jobs(500), History(), DEFAULTS, NOW)
    assert repr((hpa, target)) == before


def test_two_equal_looks_make_equal_decisions():
    arguments = autoscaler([JOBS]), scale(5, 5, "app=web"), jobs(90), History(), DEFAULTS, NOW
    assert decide(*arguments) == decide(*arguments)
