from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest
from matplotlib.text import Text

from labkit.errors import UsageError
from labkit.observe import trade_off
from labkit.observe.frontier import front, points_of
from labkit.observe.score import Scores
from tests.observe.recordings import scaling


def table(*rows, **columns):
    """(cost, p99) of each row; the other scores are zero."""
    found = pd.DataFrame([[0.0] * len(Scores._fields)] * len(rows), columns=Scores._fields)
    costs, latencies = zip(*rows, strict=True)
    return found.assign(cost=costs, p99_ms=latencies, objective_ms=250.0, **columns)


SWEPT = table(
    (0.02, 900), (0.03, 200), (0.04, 300), (0.05, 100),
    **{"hpa.spec.minReplicas": [1, 2, 3, 4]},
)  # fmt: skip


def names(points):
    return [point.name for point in points]


def test_the_front_is_what_no_other_beats_from_the_cheapest_to_the_fastest():
    assert names(front(points_of(SWEPT))) == ["minReplicas 1", "minReplicas 2", "minReplicas 4"]


def test_failing_is_no_way_to_save():
    df = table((0.01, math.inf), (0.03, 200), team=["a", "b"])
    assert names(front(points_of(df))) == ["b"]
    assert names(front(points_of(df.head(1)))) == ["all"]


def test_runs_that_differ_by_seed_alone_are_one_point():
    df = table((0.02, 900), (0.04, 100), (0.03, 200), seed=[1, 2, 3], kind=["a", "a", "b"])
    one, other = points_of(df)
    assert (one.name, one.cost, one.latency, len(one.runs)) == ("a", 0.03, 500, 2)
    assert (other.name, len(other.runs)) == ("b", 1)


def test_points_are_named_by_what_varies_and_by_as_much_of_its_path_as_is_needed():
    df = table(
        (1, 1), (2, 2),
        **{"d.requests.cpu": ["1", "2"], "d.limits.cpu": ["1", "2"], "minutes": [60, 60]},
    )  # fmt: skip
    assert names(points_of(df)) == ["requests.cpu 1, limits.cpu 1", "requests.cpu 2, limits.cpu 2"]
    assert [point.short for point in points_of(df)] == ["1 · 1", "2 · 2"]
    axes = trade_off(df).axes[0]
    assert axes.get_xlabel() == "cost of a run in dollars\npoints: requests.cpu · limits.cpu"


def test_the_price_of_nodes_is_the_cost_where_nodes_have_one():
    assert [one.cost for one in points_of(SWEPT.assign(nodes_cost=[0, 3, 4, 5]))] == [0, 3, 4, 5]


FINDINGS = {
    "several": (250, "2 of 4 keep 250 ms; the cheapest: minReplicas 2 ($0.0300, p99 200 ms)"),
    "one": (150, "One of 4 keeps 150 ms: minReplicas 4 ($0.0500, p99 100 ms)"),
    "none": (50, "None of 4 keeps 50 ms; nearest: minReplicas 4 ($0.0500, p99 100 ms)"),
}


@pytest.mark.parametrize(("objective", "expected"), FINDINGS.values(), ids=FINDINGS)
def test_the_title_is_the_cheapest_that_keeps_the_objective(objective, expected):
    assert trade_off(SWEPT, objective).facts.splitlines()[0] == expected


def test_the_objective_is_that_of_the_table_and_there_may_be_none():
    assert trade_off(SWEPT).facts == trade_off(SWEPT, 250).facts
    said = trade_off(SWEPT.assign(objective_ms=math.nan)).facts.splitlines()[0]
    assert said == (
        "Cheapest: minReplicas 1 ($0.0200, p99 900 ms); "
        "fastest: minReplicas 4 ($0.0500, p99 100 ms)"
    )


TEAMS = [f"t{number}" for number in range(30)]
CROWDS = {
    "in-a-row": table(*((0.02 + number / 1000, 300) for number in range(30)), team=TEAMS),
    "in-a-heap": table(*((0.02, 300 + number) for number in range(30)), team=TEAMS),
    "failed": table((0.02, math.inf), (0.03, math.inf), team=["one", "other"]),
    "free": table((0.0, 100), (0.0, 300), team=["one", "other"]),
    "long-names": table((0.02, 100), (0.0201, 101), team=["a very long name " * 4, "b"]),
}  # fmt: skip


@pytest.mark.parametrize("df", CROWDS.values(), ids=CROWDS)
def test_names_cover_no_other_and_the_best_is_named(df):
    figure = trade_off(df)
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    shown = figure.findobj(lambda artist: artist.get_gid() == "point")
    boxes = [Text.get_window_extent(each, renderer) for each in shown]
    assert shown
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.x1 <= 900 for box in boxes)
    assert figure.png().startswith(b"\x89PNG")


def test_recordings_are_points_too_each_by_its_name():
    slow = scaling().assign(pods_running=1.0, pods_pending=0.0, cpu_request_milli=1000.0)
    runs = {"today": slow.assign(memory_request_mib=0.0)}
    runs["faster"] = runs["today"].assign(p99=50.0, cpu_request_milli=2000.0)
    title, *facts = trade_off(runs, objective_ms=100).facts.splitlines()
    assert title.startswith("One of 2 keeps 100 ms: faster ($")
    assert [fact.partition(":")[0] for fact in facts] == ["today", "faster"]


@pytest.mark.parametrize(
    ("df", "message"),
    [
        ({}, "has no column objective_ms"),
        (pd.DataFrame({"a": [1]}), "no column objective_ms"),
        (SWEPT.head(0), "has no rows"),
        (SWEPT.assign(p99_ms=math.nan), "Of no row both cost and latency are known"),
    ],
)
def test_what_has_no_scores_is_refused(df, message):
    with pytest.raises(UsageError, match=message):
        trade_off(df)
