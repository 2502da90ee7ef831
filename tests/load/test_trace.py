"""Loads from CSV files, and what is said about files that hold none."""

from __future__ import annotations

import pytest

from labkit.errors import UsageError
from labkit.load import trace


def file_with(tmp_path, text: str):
    path = tmp_path / "day.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    ["t,rate\n0,10\n60,40\n", "0,10\n60,40\n", "rate, t, who\n10, 1000, a\n\n40, 1060, b\n"],
    ids=["named", "bare", "other columns, another beginning"],
)
def test_times_and_rates_are_points_of_straight_lines(tmp_path, text):
    profile = trace(file_with(tmp_path, text))
    assert profile.duration == 60
    assert [profile.rate(t) for t in (0, 30, 59)] == [10, 25, 39.5]
    assert str(profile) == "day.csv for 60 s"


@pytest.mark.parametrize("text", ["rate\n10\n0\n30\n", "10\n0\n30\n", "\ufeff10\n0\n30"])
def test_one_column_is_a_rate_for_each_second(tmp_path, text):
    profile = trace(file_with(tmp_path, text))
    assert profile.duration == 3
    assert [profile.rate(t) for t in (0, 0.9, 1, 2.5)] == [10, 10, 0, 30]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("t,rate\n", "holds no rates"),
        ("t,load\n0,1\n", "holds no rates"),
        ("1,2,3\n", "holds no rates"),
        ("t,rate\n0,10\n", "one time only"),
        ("t,rate\n0,10\n60,many\n", "Line 3 of the trace"),
        ("t,rate\n0,10\n60\n", "has the rate ''"),
        ("t,rate\n0,10\n\n60,-4\n", "Line 4 of the trace"),
        ("rate\n10\n6000\n", "It must be a number, from 0 to 5000."),
        ("rate\n10\nnan\n", "has the rate 'nan'"),
        ("t,rate\n0,10\n60,20\n60,30\n", "goes from 60 s to 60 s"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(tmp_path, text, words):
    with pytest.raises(UsageError) as caught:
        trace(file_with(tmp_path, text))
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError) as caught:
        trace(tmp_path / "nothing.csv")
    assert "No such file" in str(caught.value)
