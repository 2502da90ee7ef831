"""A load whose rate is changed while it runs."""

from __future__ import annotations

import pytest

from labkit.errors import UsageError
from labkit.load import ramp, start, step


def test_a_change_takes_the_place_of_what_is_left(server):
    load = start(f"{server.url}fast", step(10, 600))
    rows = load.follow()
    next(rows)
    load.change(step(60, 2))
    frame = load.result()
    assert len(frame) < 60, "the ten minutes are over with the change"
    assert frame["offered"].iloc[0] == 10
    assert frame["offered"].sum() >= 10 + 120
    assert frame["offered"].max() > 30
    assert frame.attrs["summary"]["errors"] == 0


def test_the_last_of_many_changes_counts(server):
    load = start(f"{server.url}fast", step(1, 600))
    for rate in range(1, 100, 7):
        load.change(ramp(1, rate, 300))
    load.change(step(40, 1))
    frame = load.result()
    assert 40 <= frame["offered"].sum() <= 45
    assert frame.attrs["summary"]["late_ms"] < 1000, "nothing was due before the change"


def test_a_change_after_the_end_changes_nothing(server):
    load = start(f"{server.url}fast", step(10, 1))
    before = load.result()
    load.change(step(10, 1))
    assert len(load.frame()) == len(before)
    with pytest.raises(UsageError, match="no request at all"):
        load.change(step(0, 1))
