from __future__ import annotations

import numpy as np
import pytest

from labkit.observe import units
from labkit.observe.finding import finding
from tests.observe.recordings import phases, recording, scaling

LOADED = phases((11, 0), (60, 1), (49, 0)) > 0


def only(**columns):
    """The scaling recording with other columns."""
    return scaling().assign(**columns)


CASES = {
    "scaled-and-back": (
        scaling(),
        "1 → 3 Pods 20 s after the load began; p99 fell from 1.9 s to 60 ms; "
        "back to 1 Pod 25 s after it ended",
    ),
    "still-there-at-the-end": (
        scaling().head(90),
        "1 → 3 Pods 20 s after the load began; p99 fell from 1.9 s to 60 ms; "
        "still 3 Pods 19 s after it ended",
    ),
    "load-until-the-end": (
        scaling().head(60),
        "1 → 3 Pods 20 s after the load began; p99 fell from 1.9 s to 60 ms",
    ),
    "never-scaled": (
        only(replicas_ready=1.0, p99=np.where(LOADED, 80.0, np.nan)),
        "1 Pod throughout 60 s of load; p99 about 80 ms",
    ),
    "overloaded": (
        only(replicas_ready=1.0, p99=np.where(LOADED, np.arange(120) * 40.0, np.nan)),
        "1 Pod throughout 60 s of load; p99 rose from 440 ms to 2.6 s",
    ),
    "errors": (
        only(replicas_ready=1.0, p99=np.where(LOADED, 80.0, np.nan), errors=LOADED * 2.0),
        "1 Pod throughout 60 s of load; p99 about 80 ms; 4 % of the requests failed",
    ),
    "few-errors": (
        only(replicas_ready=1.0, p99=np.nan, errors=phases((50, 0), (1, 1), (69, 0))),
        "1 Pod throughout 60 s of load; no request was answered; 0.03 % of the requests failed",
    ),
    "a-little-jitter-is-no-finding": (
        only(replicas_ready=1.0, p99=np.where(LOADED, phases((30, 4), (90, 1)), np.nan)),
        "1 Pod throughout 60 s of load; p99 about 1 ms",
    ),
    "a-stall-in-between": (
        only(
            replicas_ready=1.0, p99=np.where(LOADED, phases((40, 50), (2, 900), (78, 50)), np.nan)
        ),
        "1 Pod throughout 60 s of load; p99 about 50 ms, at worst 900 ms",
    ),
    "pods-that-made-no-difference": (
        only(replicas_ready=phases((31, 1), (89, 3)), p99=np.where(LOADED, 80.0, np.nan)).head(70),
        "1 → 3 Pods 21 s after the load began; p99 about 80 ms",
    ),
    "lost-pods": (
        only(replicas_ready=phases((30, 3), (10, 1), (80, 3)), p99=np.nan, offered=LOADED * 5.0),
        "3 → 1 Pod during 60 s of load; no request was answered",
    ),
    "a-spike-on-a-base": (
        only(
            offered=phases((40, 5), (10, 200), (70, 5)),
            replicas_ready=phases((52, 1), (68, 4)),
            p99=phases((40, 10), (15, 3000), (65, 10)),
        ),
        "1 → 4 Pods 13 s after the load rose; p99 rose from 10 ms to 3 s; "
        "still 4 Pods 70 s after it fell",
    ),
    "no-load-column": (only(offered=np.nan, replicas_ready=2.0), "2 Pods throughout, without load"),
    "load-of-zero": (only(offered=0.0, replicas_ready=2.0), "2 Pods throughout, without load"),
    "scaled-by-hand": (
        only(offered=0.0, replicas_ready=phases((12, 1), (108, 5))),
        "1 → 5 Pods in 12 s, without load",
    ),
    "there-and-back-without-load": (
        only(offered=0.0, replicas_ready=phases((12, 1), (30, 5), (78, 1))),
        "1 Pod at both ends, up to 5 between, without load",
    ),
    "nothing-known": (recording(30), "No Pods in this recording"),
    "no-rows": (recording(0), "No Pods in this recording"),
    "one-row": (recording(1, replicas_ready=1.0), "1 Pod throughout, without load"),
    "one-row-under-load": (
        recording(1, replicas_ready=1.0, offered=50.0, p99=12.0, errors=0.0),
        "1 Pod throughout under 1 s of load; p99 about 12 ms",
    ),
    "load-known-before-the-pods": (
        recording(3, replicas_ready=[np.nan, np.nan, 2], offered=5.0, errors=0.0, p99=9.0),
        "2 Pods throughout 2 s of load; p99 about 9 ms",
    ),
}


@pytest.mark.parametrize(("frame", "expected"), CASES.values(), ids=CASES)
def test_the_finding_says_what_the_numbers_say(frame, expected):
    assert finding(frame) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.84, "0.84 ms"), (61.2, "61 ms"), (999, "1 s"), (1940, "1.9 s"), (28_000, "28 s")],
)
def test_milliseconds_have_two_digits(value, text):
    assert units.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.2, "under 1 s"), (14.4, "14 s"), (119, "119 s"), (120, "2 min"), (196, "3 min 16 s")],
)
def test_seconds_become_minutes_from_two_on(value, text):
    assert units.seconds(value) == text
