from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.observe.labels import spread

PLACES = st.lists(st.floats(-50, 150), max_size=6)


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ([], []),
        ([50], [50]),
        ([20, 80], [20, 80]),
        ([50, 50], [45, 55]),
        ([52, 48], [55, 45]),
        ([0, 0], [0, 10]),
        ([100, 100, 100], [80, 90, 100]),
        ([48, 50, 90], [44, 54, 90]),
    ],
    ids=["none", "one", "apart", "same", "order-kept", "floor", "ceiling", "only-neighbours"],
)
def test_labels_move_as_little_as_they_must(wishes, expected):
    assert spread(wishes, gap=10, low=0, high=100) == pytest.approx(expected)


@given(PLACES)
def test_labels_never_collide_nor_leave_the_panel(wishes):
    places = sorted(spread(wishes, gap=10, low=0, high=100))
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in places)
    assert all(after - before >= 10 - 1e-6 for before, after in itertools.pairwise(places))


def test_more_labels_than_fit_share_the_room():
    assert spread([5, 5, 5], gap=10, low=0, high=10) == pytest.approx([0, 5, 10])
