"""The arithmetic of rollouts, as tables; the cases follow upstream's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.controllers.rollout import (
    Plan,
    Size,
    bounds,
    new_size,
    plan,
    proportional,
    shrink_old,
)


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "expected"),
    [
        pytest.param("25%", "25%", 4, (1, 1), id="the default, even"),
        pytest.param("25%", "25%", 10, (3, 2), id="surge rounds up, unavailable down"),
        pytest.param("25%", "25%", 1, (1, 0), id="one replica surges"),
        pytest.param("0%", "25%", 1, (0, 1), id="both zero would stand still"),
        pytest.param(0, 0, 5, (0, 1), id="both zero as numbers"),
        pytest.param(2, 0, 5, (2, 0), id="numbers are taken as they are"),
        pytest.param("100%", "0%", 3, (3, 0), id="all at once"),
    ],
)
def test_bounds_are_percentages_of_the_replicas(surge, unavailable, replicas, expected):
    assert bounds(surge, unavailable, replicas) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, Plan(1, 1, 0), id="all defaults"),
        pytest.param({"replicas": 0}, Plan(0, 0, 0), id="nothing wanted"),
        pytest.param({"replicas": 4, "strategy": {"type": "Recreate"}}, Plan(4), id="Recreate"),
        pytest.param(
            {
                "replicas": 2,
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 5}},
            },
            Plan(2, 1, 2),
            id="no more than all may be unavailable",
        ),
    ],
)
def test_a_plan_has_its_bounds_as_numbers(spec, expected):
    assert plan(spec) == expected


@pytest.mark.parametrize(
    ("replicas", "surge", "old", "new", "expected"),
    [
        pytest.param(10, 2, 10, 0, 2, id="the surge at first"),
        pytest.param(10, 2, 8, 2, 4, id="room that the old ones made"),
        pytest.param(10, 2, 0, 8, 10, id="never more than wanted"),
        pytest.param(10, 0, 10, 0, 0, id="without surge the old ones go first"),
        pytest.param(10, 2, 15, 3, 3, id="too many already"),
        pytest.param(3, 1, 0, 5, 3, id="scaled down meanwhile"),
    ],
)
def test_the_new_replica_set_grows_into_the_room_there_is(replicas, surge, old, new, expected):
    fresh = Size("new", new)
    everything = [fresh, Size("old", old)]
    assert new_size(Plan(replicas, surge, 0), fresh, everything) == expected


@pytest.mark.parametrize(
    ("goal", "new", "old", "expected"),
    [
        pytest.param(
            Plan(10, 0, 2), Size("n", 0), [Size("o", 10, 10)], {"o": 8}, id="down to the minimum"
        ),
        pytest.param(
            Plan(10, 2, 0), Size("n", 2, 0), [Size("o", 10, 10)], {}, id="new ones not ready yet"
        ),
        pytest.param(
            Plan(6, 2, 1),
            Size("n", 2, 2),
            [Size("o", 5, 6)],
            {"o": 3},
            id="a status that lags behind",
        ),
        pytest.param(
            Plan(10, 2, 0), Size("n", 2, 2), [Size("o", 10, 10)], {"o": 8}, id="new ones are ready"
        ),
        pytest.param(
            Plan(10, 0, 2),
            Size("n", 0),
            [Size("a", 5, 5, "1"), Size("b", 5, 0, "2")],
            {"b": 3},
            id="what is broken goes before what works, within the bound",
        ),
        pytest.param(
            Plan(10, 5, 5),
            Size("n", 5, 0),
            [Size("a", 4, 4, "1"), Size("b", 6, 4, "2")],
            {"a": 1, "b": 4},
            id="broken ones first, then the oldest",
        ),
        pytest.param(Plan(2, 1, 0), Size("n", 2, 2), [Size("o", 1, 1)], {"o": 0}, id="the end"),
        pytest.param(Plan(2, 1, 0), Size("n", 2, 2), [Size("o", 0, 0)], {}, id="nothing left"),
    ],
)
def test_old_replica_sets_shrink_as_far_as_availability_allows(goal, new, old, expected):
    assert shrink_old(goal, new, old) == expected


@pytest.mark.parametrize(
    ("goal", "active", "expected"),
    [
        pytest.param(
            Plan(12), [Size("a", 5, max_replicas=10), Size("b", 5, max_replicas=10)],
            {"a": 6, "b": 6}, id="even",
        ),
        pytest.param(
            Plan(20), [Size("a", 8, max_replicas=10), Size("b", 2, max_replicas=10)],
            {"a": 16, "b": 4}, id="in proportion",
        ),
        pytest.param(
            Plan(15, 3), [Size("a", 8, created="1", max_replicas=13),
                          Size("b", 5, created="2", max_replicas=13)],
            {"a": 11, "b": 7}, id="the documentation's example: the larger gets more",
        ),
        pytest.param(
            Plan(5), [Size("a", 5, created="1", max_replicas=9),
                      Size("b", 4, created="2", max_replicas=9)],
            {"a": 3, "b": 2}, id="down",
        ),
        pytest.param(
            Plan(0), [Size("a", 5, max_replicas=9), Size("b", 4, max_replicas=9)],
            {"a": 0, "b": 0}, id="to nothing",
        ),
    ],
)  # fmt: skip
def test_scaling_in_a_rollout_is_proportional(goal, active, expected):
    assert proportional(goal, active) == expected


@given(
    replicas=st.integers(0, 30),
    surge=st.integers(0, 10),
    unavailable=st.integers(0, 10),
    before=st.integers(0, 40),
    sick=st.integers(0, 40),
)
def test_every_step_of_a_rollout_keeps_both_promises_and_it_ends(
    replicas, surge, unavailable, before, sick
):
    surge, unavailable = bounds(surge, unavailable, replicas)
    goal = Plan(replicas, surge, min(unavailable, replicas))
    old, new = Size("old", before, max(0, before - sick)), Size("new", 0, 0)
    for _ in range(300):
        size = new_size(goal, new, [new, old])
        if size > new.replicas:
            assert size + old.replicas <= goal.most
        new = Size("new", size, new.available)
        shrink = shrink_old(goal, new, [old]).get("old", old.replicas)
        available = min(old.available, shrink)
        if available < old.available:
            assert available + new.available >= goal.least_available
        old = Size("old", shrink, available)
        new = Size("new", new.replicas, new.replicas)  # the world catches up
    assert (new.replicas, old.replicas) == (replicas, 0)
