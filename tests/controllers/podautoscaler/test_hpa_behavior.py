"""Limits and stabilization against the cases of Kubernetes' horizontal_test.go."""

import pytest

from labkit.controllers.podautoscaler import behavior
from labkit.controllers.podautoscaler.behavior import History, Recommendation, Rules, ScaleEvent
from tests.controllers.podautoscaler import hpa_vectors as vectors
from tests.controllers.podautoscaler.hpa_vectors import NOW

DOWNSCALE_STABILIZATION = 300.0


def rules(scale_up: dict | None, scale_down: dict | None) -> Rules:
    given = {"scaleUp": scale_up, "scaleDown": scale_down}
    return behavior.rules(given, DOWNSCALE_STABILIZATION)


def history(case: dict) -> History:
    return History(
        scale_up_events=vectors.scale_events(case["scaleUpEvents"]),
        scale_down_events=vectors.scale_events(case["scaleDownEvents"]),
    )


@vectors.cases("fn_convertDesiredReplicasWithRules")
def test_without_behaviour_the_bounds_and_the_step_limit_the_count(case):
    found = behavior.convert_desired_replicas_with_rules(
        case["currentReplicas"], case["desiredReplicas"], case["minReplicas"], case["maxReplicas"]
    )
    assert {"replicas": found.replicas, "reason": found.reason} == case["expected"]


@vectors.cases("fn_scaleLimits")
def test_policies_limit_the_scale(case):
    limits = {
        "up": behavior.calculate_scale_up_limit_with_scaling_rules,
        "down": behavior.calculate_scale_down_limit_with_behaviors,
    }
    limit, _ = limits[case["direction"]](history(case), case["currentReplicas"], case["rules"], NOW)
    assert limit == case["expected"]


@vectors.cases("fn_stabilizeRecommendation")
def test_without_behaviour_the_highest_recent_recommendation_counts(case):
    stable, log = behavior.stabilize_recommendation(
        vectors.recommendations(case["recommendations"]),
        case["desiredReplicas"],
        case["stabilizationWindowSeconds"],
        NOW,
    )
    assert {"stabilizedReplicas": stable, "logLength": len(log)} == case["expected"]
    assert Recommendation(case["desiredReplicas"], NOW) in log


@vectors.cases("fn_convertDesiredReplicasWithBehaviorRate")
def test_policies_limit_the_rate_of_change(case):
    found = behavior.convert_desired_replicas_with_behavior_rate(
        history(case),
        case["currentReplicas"],
        case["desiredReplicas"],
        (case["minReplicas"], case["maxReplicas"]),
        rules(case["scaleUpRules"], case["scaleDownRules"]),
        NOW,
    )
    assert {"replicas": found.replicas, "reason": found.reason} == case["expected"]
    assert bool(found.words) == (found.replicas != case["desiredReplicas"])


@vectors.cases("fn_storeScaleEvent")
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_scale_event_takes_the_place_of_one_that_no_policy_reads_any_more(case, direction):
    """Each case runs both ways; `replicaChangeIn60s` is read before the event is stored."""
    events, given = vectors.scale_events(case["prevScaleEvents"]), case["rules"]
    expected, change = case["expected"], case["replicaChange"]
    assert given is None or expected["replicaChangeIn60s"] == (
        behavior.get_replicas_change_per_period(events, 60, NOW)
    )
    kept = rules(given, given) if given else None
    if direction == "up":
        after = behavior.store_scale_event(History((), events), kept, 10, 10 + change, NOW)
        found, other = after.scale_up_events, after.scale_down_events
    else:
        after = behavior.store_scale_event(History((), (), events), kept, 10, 10 - change, NOW)
        found, other = after.scale_down_events, after.scale_up_events
    assert other == ()
    assert [{"value": event.change, "outdated": event.outdated} for event in found] == (
        expected["events"]
    )


@vectors.cases("fn_stabilizeRecommendationWithBehaviors")
def test_the_least_of_the_recent_changes_counts(case):
    found, log = behavior.stabilize_recommendation_with_behaviors(
        vectors.recommendations(case["recommendations"]),
        case["currentReplicas"],
        case["desiredReplicas"],
        rules(
            {"stabilizationWindowSeconds": case["scaleUpStabilizationWindowSeconds"]},
            {"stabilizationWindowSeconds": case["scaleDownStabilizationWindowSeconds"]},
        ),
        NOW,
    )
    expected = case["expected"]
    assert found.replicas == expected["stabilizedReplicas"]
    if expected["recommendations"] is not None:
        assert [entry.replicas for entry in log] == expected["recommendations"]


def test_a_limit_names_the_policy_that_sets_it():
    found = behavior.convert_desired_replicas_with_behavior_rate(
        History(), 1, 20, (1, 100), rules(None, None), NOW
    )
    assert (found.replicas, found.words) == (5, "limited to 5 by policy Pods 4/15 s")


def test_a_disabled_direction_never_changes_the_count():
    disabled = {"selectPolicy": "Disabled"}
    found = behavior.convert_desired_replicas_with_behavior_rate(
        History(), 5, 1, (1, 100), rules(None, disabled), NOW
    )
    assert (found.replicas, found.reason) == (5, "ScaleDownLimit")
    assert found.words == "limited to 5 by selectPolicy Disabled"


def test_missing_rules_are_the_defaults_of_kubernetes_and_of_the_flag():
    found = behavior.rules({"scaleDown": {"selectPolicy": "Min"}}, 60.0)
    assert found.scale_up == behavior.DEFAULT_SCALE_UP
    assert found.scale_down["stabilizationWindowSeconds"] == 60
    assert found.scale_down["selectPolicy"] == "Min"
    assert found.scale_down["policies"] == behavior.DEFAULT_SCALE_DOWN["policies"]


def test_an_event_exactly_as_old_as_the_period_no_longer_counts():
    events = (ScaleEvent(4, NOW - 15.0), ScaleEvent(2, NOW - 14.9))
    assert behavior.get_replicas_change_per_period(events, 15, NOW) == 2


def test_a_recommendation_exactly_as_old_as_the_window_neither_counts_nor_is_replaced():
    log = (Recommendation(9, NOW - 300.0),)
    found, after = behavior.stabilize_recommendation_with_behaviors(
        log, 9, 3, rules(None, {"stabilizationWindowSeconds": 300}), NOW
    )
    assert found.replicas == 3
    assert after == (*log, Recommendation(3, NOW))


def test_without_behaviour_a_recommendation_exactly_as_old_as_the_window_still_counts():
    """The two paths of Kubernetes differ here: After(cutoff) in one, not Before(cutoff) here."""
    log = (Recommendation(9, NOW - 300.0),)
    stable, after = behavior.stabilize_recommendation(log, 3, 300.0, NOW)
    assert (stable, len(after)) == (9, 2)


def test_an_event_exactly_as_old_as_the_longest_period_keeps_its_place():
    old = ScaleEvent(4, NOW - 15.0)
    found = behavior.store_scale_event(History((), (old,)), rules(None, None), 1, 3, NOW)
    assert found.scale_up_events == (old, ScaleEvent(2, NOW))
