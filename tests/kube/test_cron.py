"""Schedules: what five fields mean, and what is said about those that mean nothing."""

import re

import pytest

from labkit.kube import cron


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("*/20 * * * *", "minutes", {0, 20, 40}),
        ("5/20 * * * *", "minutes", {5, 25, 45}),
        ("0-10/5,30 * * * *", "minutes", {0, 5, 10, 30}),
        ("0 22-23 * * *", "hours", {22, 23}),
        ("0 0 1 * *", "days", {1}),
        ("0 0 * JAN,mar *", "months", {1, 3}),
        ("0 0 * * mon-wed", "weekdays", {1, 2, 3}),
        ("0 0 ? * 0", "weekdays", {0}),
        ("@hourly", "minutes", {0}),
        ("@weekly", "weekdays", {0}),
        ("@yearly", "months", {1}),
    ],
)
def test_a_field_allows_values(text, field, values):
    assert getattr(cron.parse(text), field) == values


def test_stars_are_remembered_since_days_of_both_kinds_are_either_or():
    assert cron.parse("0 0 * * 1")[5:7] == (True, False)
    assert cron.parse("0 0 13 * 5")[5:7] == (False, False)
    assert cron.parse("0 0 */2 * 5").any_day is False


def test_every_is_a_duration():
    assert cron.parse("@every 1h30m").every == 5400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty spec string"),
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("9-5 * * * *", "beginning of range (9) beyond end of range (5): 9-5"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        (
            "x * * * *",
            'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax',
        ),
        ("@often", "unrecognized descriptor: @often"),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_kubernetes_parser(text, words):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        cron.parse(text)
