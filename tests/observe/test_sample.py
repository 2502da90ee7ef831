from __future__ import annotations

import math

import pytest

from labkit.observe.sample import (
    COLUMNS,
    LOAD_COLUMNS,
    Answers,
    event_row,
    find_autoscaler,
    load_at,
    sample,
)
from tests.observe import objects

FULL = Answers(
    deployment=objects.deployment(),
    autoscaler=objects.autoscaler(),
    pods=[objects.pod("Running"), objects.pod("Running"), objects.pod("Pending")],
    pod_metrics=[objects.pod_metrics("250m", "10m"), objects.pod_metrics("123456789n")],
)


def test_a_full_set_of_answers_fills_every_column():
    assert sample(FULL) == {
        "replicas_spec": 3,
        "replicas_ready": 2,
        "replicas_desired": 4,
        "hpa_current": 2,
        "cpu_utilization": 120,
        "cpu_target": 50,
        "cpu_milli_total": pytest.approx(383.456789),
        "cpu_request_milli": 600,
        "memory_request_mib": 192,
        "pods_running": 2,
        "pods_pending": 1,
    }
    assert {"time", "t", *sample(FULL), *LOAD_COLUMNS} == set(COLUMNS)


def test_without_any_answer_everything_is_unknown():
    assert all(math.isnan(value) for value in sample(Answers()).values())


@pytest.mark.parametrize(
    ("answers", "column", "expected"),
    [
        (Answers(deployment=objects.deployment(ready=None)), "replicas_ready", 0),
        (Answers(autoscaler=objects.autoscaler(utilization=None)), "cpu_utilization", math.nan),
        (Answers(autoscaler=objects.autoscaler(utilization=None)), "cpu_target", 50),
        (Answers(autoscaler=objects.decided(2, 0, "")), "replicas_desired", math.nan),
        (Answers(pod_metrics=[]), "cpu_milli_total", math.nan),
        (Answers(pods=[]), "pods_running", 0),
        (Answers(pods=[objects.pod("Running", cpu=None)]), "cpu_request_milli", math.nan),
        (Answers(pods=[objects.pod("Running", memory=None)]), "memory_request_mib", math.nan),
        (Answers(pods=[objects.pod("Succeeded")]), "pods_running", 0),
        (Answers(pods=[objects.pod("Running", deletionTimestamp="now")]), "pods_running", 0),
    ],
    ids=[
        "no-ready-replicas-is-zero",
        "no-metrics-yet",
        "target-is-known-before-metrics",
        "no-decision-yet-is-unknown",
        "no-pod-metrics-is-unknown",
        "no-pods-is-zero",
        "no-request-is-unknown",
        "no-memory-request-is-unknown",
        "ended-pods-do-not-run",
        "leaving-pods-do-not-run",
    ],
)
def test_what_is_missing_is_unknown_and_what_is_none_is_zero(answers, column, expected):
    assert sample(answers)[column] == pytest.approx(expected, nan_ok=True)


def test_the_autoscaler_is_the_one_that_scales_the_deployment():
    other, ours = objects.autoscaler("api"), objects.autoscaler("web")
    assert find_autoscaler([other, ours], "web") is ours
    assert find_autoscaler([other], "web") is None


@pytest.mark.parametrize(
    ("more", "time"),
    [
        ({}, 1_800_000_000),
        ({"lastTimestamp": None, "eventTime": "2027-01-15T08:00:05.5Z"}, 1_800_000_005.5),
        ({"series": {"lastObservedTime": "2027-01-15T08:00:09.000000Z"}}, 1_800_000_009),
        ({"lastTimestamp": None}, 1_800_000_000),
    ],
    ids=["last", "event-time", "series", "creation"],
)
def test_an_event_happened_when_it_was_seen_last(more, time):
    row = event_row(objects.event("ScalingReplicaSet", "2027-01-15T08:00:00Z", **more))
    assert row == {
        "time": time,
        "reason": "ScalingReplicaSet",
        "message": "ScalingReplicaSet happened",
        "object": "Deployment/web",
    }


def second(time: float, offered: int) -> dict:
    return {"time": time, "offered": offered, "completed": 1, "errors": 0, "p50": 2, "p99": None}


@pytest.mark.parametrize(
    ("moment", "offered"),
    [(99, 0), (100.9, 0), (101, 10), (101.9, 10), (102, 20), (103.4, 20), (103.6, 0), (200, 0)],
    ids=["before", "not-over-yet", "over", "the-last", "the-next", "late", "ended", "long-after"],
)
def test_a_sample_shows_the_last_full_second_of_the_load(moment, offered):
    (row,) = load_at([moment], [second(100, 10), second(101, 20)])
    assert row["offered"] == offered
    assert math.isnan(row["p99"])


def test_without_a_load_the_load_is_unknown():
    (row,) = load_at([100], [])
    assert all(math.isnan(value) for value in row.values())
