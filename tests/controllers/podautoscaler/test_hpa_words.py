"""Decisions as people read them: every way in which a number comes about, and what changed it."""

from dataclasses import replace

import pytest

from labkit.controllers.podautoscaler.behavior import History, Recommendation, ScaleEvent
from labkit.controllers.podautoscaler.decision import decide
from labkit.controllers.podautoscaler.metrics import MetricError
from labkit.controllers.podautoscaler.observation import SELECTOR_REQUIRED, Observation
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from tests.controllers.podautoscaler.hpa_vectors import NOW
from tests.controllers.podautoscaler.hpa_world import scale

SETTINGS = HPAControllerConfiguration()
PACED = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]},
    "scaleDown": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
    },
}
PATIENT = {"scaleUp": {"stabilizationWindowSeconds": 60}}
FROZEN = {"scaleUp": {"selectPolicy": "Disabled"}}


def metric(name):
    target = {"type": "AverageValue", "averageValue": "10"}
    return {"type": "External", "external": {"metric": {"name": name}, "target": target}}


def recommended(*replicas):
    return History(tuple(Recommendation(count, NOW - 30) for count in replicas))


def said(current, *values, behavior=None, history=None, least=1, most=20):
    """What is said of metrics with these values, each of which wants 10 for a Pod."""
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [metric(f"m{number}") for number in range(len(values))],
    }
    if behavior:
        spec["behavior"] = behavior
    hpa = {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}
    samples = [one if isinstance(one, MetricError) else [one * 1000] for one in values]
    target, history = scale(current, current, "app=web"), history or recommended()
    return decide(hpa, target, Observation([], samples), history, SETTINGS, NOW).words


LOST = MetricError("nobody answers")
CAUSE = (
    "failed to get m1 external metric: unable to get external metric shop/m1/nil: nobody answers"
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (said(2, 35), "4 replicas = ceil(35 / 10)"),
        (said(2, 21), "2 replicas stay: 21 / (2 × 10) is within 0.9 to 1.1"),
        (
            said(2, 90),
            "9 replicas = ceil(90 / 10); limited to 4 = max(2 × 2, 4), the most in one step",
        ),
        (said(2, 90, most=3), "9 replicas = ceil(90 / 10); limited to maxReplicas 3"),
        (said(4, 9, least=2), "1 replica = ceil(9 / 10); raised to minReplicas 2"),
        (
            said(6, 35, history=recommended(5, 6)),
            "4 replicas = ceil(35 / 10); stabilized at 6, the most recommended in the last 300 s",
        ),
        (
            said(2, 90, behavior=PACED),
            "9 replicas = ceil(90 / 10); limited to 6 by policy Pods 4/15 s",
        ),
        (
            said(
                4,
                90,
                behavior=PACED,
                history=replace(recommended(), scale_up_events=(ScaleEvent(3, NOW - 5),)),
            ),
            "9 replicas = ceil(90 / 10); limited to 5 by policy Pods 4/15 s, counted from 1",
        ),
        (
            said(8, 9, behavior=PACED),
            "1 replica = ceil(9 / 10); limited to 4 by policy Percent 50 %/60 s",
        ),
        (
            said(2, 90, behavior=PATIENT, history=recommended(3, 8)),
            "9 replicas = ceil(90 / 10); stabilized at 3, the fewest recommended in the last 60 s",
        ),
        (
            said(4, 90, behavior=PATIENT, history=recommended(2)),
            "9 replicas = ceil(90 / 10); "
            "stabilized at 4, for as few as 2 were recommended in the last 60 s",
        ),
        (
            said(4, 9, behavior=PATIENT, history=recommended(7)),
            "1 replica = ceil(9 / 10); "
            "stabilized at 4, for up to 7 were recommended in the last 300 s",
        ),
        (
            said(2, 90, behavior=FROZEN),
            "9 replicas = ceil(90 / 10); limited to 2 by selectPolicy Disabled",
        ),
        (
            said(2, 35, 25),
            "4 replicas = ceil(35 / 10), by external metric m0(nil), the most of 2 metrics",
        ),
        (
            said(2, 35, LOST),
            "4 replicas = ceil(35 / 10), by external metric m0(nil), the most of 2 metrics; "
            f"1 of 2 metrics is unknown: {CAUSE}",
        ),
        (
            said(5, 35, LOST),
            "5 replicas stay: not 4 replicas = ceil(35 / 10), "
            f"for 1 of 2 metrics is unknown: {CAUSE}",
        ),
        (said(5, LOST), f"5 replicas stay: {CAUSE.replace('m1', 'm0')}"),
        (said(0, 35), "0 replicas stay: the target is at zero, which switches scaling off"),
        (said(9, 35, most=3), "3 replicas: 9 are more than maxReplicas"),
        (said(1, 35, least=3), "3 replicas: 1 are fewer than minReplicas"),
    ],
)
def test_a_decision_tells_its_number_and_what_changed_it(words, expected):
    assert words == expected


def test_a_target_whose_pods_nobody_knows_is_left_alone():
    hpa = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"maxReplicas": 3}}
    hpa["spec"]["scaleTargetRef"] = {"kind": "Deployment", "name": "web"}
    seen = Observation(problem=SELECTOR_REQUIRED)
    found = decide(hpa, scale(2, 2, ""), seen, History(), SETTINGS, NOW)
    assert found.words == "2 replicas stay: selector is required"
