"""Scores of recordings that never happened: each number by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from labkit.errors import UsageError
from labkit.observe.score import over, scores
from tests.observe.recordings import phases, recording, scaling


def seconds(offered, completed, errors, p99):
    """One row per second of the load."""
    return recording(
        len(offered), offered=offered, completed=completed, errors=errors, p99=p99
    ).astype(float)


NAN = math.nan
SECONDS = {
    "fast-enough": ([9], [9], [0], [100], [False]),
    "at-the-objective": ([9], [9], [0], [250], [False]),
    "too-slow": ([9], [9], [0], [251], [True]),
    "one-in-a-hundred-failed": ([100], [99], [1], [100], [False]),
    "more-than-one-in-a-hundred-failed": ([200], [197], [3], [100], [True]),
    "all-failed": ([9], [0], [9], [NAN], [True]),
    "nobody-asked": ([0], [0], [0], [NAN], [False]),
    "waited-and-then-slow": ([9, 9, 9], [0, 0, 9], [0, 0, 0], [NAN, NAN, 2900], [True] * 3),
    "waited-and-then-fast": ([1, 1], [0, 1], [0, 0], [NAN, 20], [False] * 2),
    "waits-at-the-end": ([9, 9], [9, 0], [0, 0], [20, NAN], [False] * 2),
    "unknown": ([NAN], [NAN], [NAN], [NAN], [False]),
}


@pytest.mark.parametrize(
    ("offered", "completed", "errors", "p99", "expected"), SECONDS.values(), ids=SECONDS
)
def test_a_second_is_over_the_objective_when_one_request_in_a_hundred_is(
    offered, completed, errors, p99, expected
):
    assert over(seconds(offered, completed, errors, p99), 250).tolist() == expected


def test_seconds_over_the_objective_are_counted():
    found = scores(scaling(), objective_ms=250)
    # Load from 11 s on; the third Pod is there at 30 s.
    assert found.seconds_over == 30 - 11
    assert (found.objective_ms, found.requests, found.lost) == (250, 3000, 0)


def test_without_objective_or_load_it_is_unknown_how_long_it_was_missed():
    assert math.isnan(scores(scaling()).seconds_over)
    silent = scaling().assign(offered=NAN, completed=NAN, errors=NAN, p99=NAN)
    found = scores(silent, objective_ms=250)
    assert math.isnan(found.seconds_over)
    assert math.isnan(found.requests)
    assert math.isnan(found.p99_ms)


@pytest.mark.parametrize(
    ("slow", "expected"), [(0, 50), (1, 50), (2, 900)], ids=["none", "one-percent", "more"]
)
def test_p99_of_a_run_is_that_of_the_second_in_which_the_unlucky_one_in_a_hundred_was_sent(
    slow, expected
):
    p99 = [900] * slow + [50] * (100 - slow)
    assert scores(seconds([9] * 100, [9] * 100, [0] * 100, p99)).p99_ms == expected


def test_requests_that_fail_are_later_than_any_other():
    found = scores(seconds([9] * 10, [9] * 9 + [0], [0] * 9 + [9], [50] * 9 + [NAN]))
    assert found.p99_ms == math.inf
    assert found.lost == 9


def pods(**columns):
    """100 s of two Pods, each with half a vCPU and a GiB."""
    return recording(
        100,
        **{
            "pods_running": 2.0,
            "pods_pending": 0.0,
            "cpu_request_milli": 1000.0,
            "memory_request_mib": 2048.0,
            "replicas_spec": 2.0,
            **columns,
        },
    )


def test_pods_are_paid_for_what_they_request_while_they_run():
    found = scores(pods(), prices={"vcpu_hour": 36.0, "gib_hour": 3.6})
    assert (found.pod_seconds, found.vcpu_seconds, found.gib_seconds) == (200, 100, 200)
    assert found.cost == pytest.approx(1.0 + 0.2)


def test_by_default_the_price_is_that_of_a_virtual_node():
    assert scores(pods()).cost == pytest.approx((100 * 0.04048 + 200 * 0.004445) / 3600)


def test_pods_that_wait_cost_nothing():
    waiting = phases((50, 2), (50, 0))
    found = scores(
        pods(pods_pending=waiting, cpu_request_milli=np.where(waiting > 0, 2000.0, 1000.0))
    )
    assert found.vcpu_seconds == pytest.approx(100)


def test_pods_without_requests_cost_nothing_and_without_pods_the_cost_is_unknown():
    assert scores(pods(memory_request_mib=NAN)).gib_seconds == 0
    assert math.isnan(scores(pods(pods_running=NAN, pods_pending=NAN)).pod_seconds)
    assert math.isnan(scores(pods().drop(columns="memory_request_mib")).cost)


def test_what_the_api_server_did_not_tell_is_as_it_was():
    hole = np.where(phases((40, 0), (20, 1), (40, 0)) > 0, NAN, 1.0)
    found = scores(
        pods(
            pods_running=2 * hole, pods_pending=0 * hole, cpu_request_milli=1000 * hole,
            memory_request_mib=2048 * hole,
        )
    )  # fmt: skip
    assert (found.pod_seconds, found.vcpu_seconds) == (200, 100)


def test_samples_that_come_late_or_seldom_stand_for_the_time_since_the_one_before():
    jitter = np.arange(100.0) + np.where(np.arange(100) % 3, 0.03, 0.0)
    assert scores(pods().assign(t=jitter)).pod_seconds == pytest.approx(200)
    assert scores(pods().assign(t=np.arange(100) * 5.0)).pod_seconds == pytest.approx(1000)


@pytest.mark.parametrize(
    ("replicas", "churn", "reversals", "peak"),
    [
        (phases((9, 2)), 0, 0, 2),
        (phases((9, 1), (9, 3), (9, 4)), 3, 0, 4),
        (phases((9, 1), (9, 3), (9, 1)), 4, 1, 3),
        (phases((9, 1), (9, 3), (9, 2), (9, 1), (9, 5)), 8, 2, 5),
    ],
    ids=["none", "up", "up-and-down", "up-down-down-up"],
)
def test_churn_is_every_replica_that_was_added_or_removed(replicas, churn, reversals, peak):
    found = scores(recording(len(replicas), replicas_spec=replicas))
    assert (found.churn, found.reversals, found.peak_replicas) == (churn, reversals, peak)


def test_nodes_cost_what_the_bill_says():
    bill = pd.DataFrame({"cost": [0.5, 0.25]})
    assert scores(SimpleNamespace(frame=pods(), bill=bill)).nodes_cost == 0.75
    assert math.isnan(scores(pods()).nodes_cost)


def test_a_recorder_has_scores_too():
    assert scores(SimpleNamespace(frame=pods)).pod_seconds == 200


@pytest.mark.parametrize("rows", [0, 1])
def test_a_recording_of_next_to_nothing_has_scores(rows):
    found = scores(recording(rows), objective_ms=250)
    assert math.isnan(found.seconds_over)


@pytest.mark.parametrize(
    ("recording", "prices", "message"),
    [
        (3, None, "A int is no recording"),
        (pd.DataFrame({"t": [1]}), None, "has no column errors"),
        (pods(), {"cpu": 3}, "There is no price 'cpu'"),
    ],
)
def test_what_has_no_scores_is_refused(recording, prices, message):
    with pytest.raises(UsageError, match=message):
        scores(recording, prices=prices)
