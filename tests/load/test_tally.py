from __future__ import annotations

import pytest

from labkit.load.tally import Tally, percentile, summarize


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, None),
        ([7], 99, 7),
        ([1, 2, 3, 4], 50, 2),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 11)), 99, 10),
    ],
    ids=["none", "one", "even", "hundred", "few"],
)
def test_a_percentile_is_a_value_that_was_seen(values, percent, expected):
    assert percentile(values, percent) == expected


def test_a_request_is_offered_in_one_second_and_completed_in_another():
    tally = Tally()
    tally.offered(0.9)
    tally.completed(1.1, 200.0, "pod-a")
    first, second = tally.close(1000.0), tally.close(1000.0)
    assert (first["second"], first["time"], first["offered"], first["completed"]) == (0, 1000, 1, 0)
    assert (second["offered"], second["completed"], second["p99"]) == (0, 1, 200.0)
    assert first["p50"] is None


def test_an_answer_that_comes_when_its_second_is_closed_counts_in_the_next():
    tally = Tally()
    tally.close(0.0)
    tally.failed(0.99, "closed")
    assert tally.close(0.0)["kinds"] == {"closed": 1}
    assert tally.is_empty()


def test_the_summary_adds_the_seconds_up():
    tally = Tally()
    for at, kind in ((0.1, None), (0.2, "HTTP 503"), (1.1, "timeout"), (1.2, "HTTP 503")):
        tally.offered(at)
        if kind:
            tally.failed(at, kind, "pod-b")
        else:
            tally.completed(at, 5.0, "pod-a")
    tally.offered(1.3)
    summary = summarize([tally.close(0.0), tally.close(0.0)], tally.percentiles())
    assert summary["total"] == 5
    assert summary["unfinished"] == 1
    assert summary["error_rate"] == 0.6
    assert summary["errors_by_kind"] == {"HTTP 503": 2, "timeout": 1}
    assert summary["served_by"] == {"pod-a": 1, "pod-b": 3}
    assert summary["p99"] == 5.0


def test_the_summary_of_a_worker_that_said_nothing_is_empty():
    assert summarize([], None)["error_rate"] == 0.0
