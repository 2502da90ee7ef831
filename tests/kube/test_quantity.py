"""The quantity grammar, its rounding and its canonical form, as k8s.io/apimachinery documents."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.kube.quantity import (
    QuantityError,
    canonical,
    format_quantity,
    milli_value,
    parse_quantity,
    quantity_format,
    value,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", Fraction(0)),
        ("+1", Fraction(1)),
        ("-250m", Fraction(-1, 4)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("001", Fraction(1)),
        ("1n", Fraction(1, 10**9)),
        ("1u", Fraction(1, 10**6)),
        ("100m", Fraction(1, 10)),
        ("2k", Fraction(2000)),
        ("1.5M", Fraction(1_500_000)),
        ("1G", Fraction(10**9)),
        ("1T", Fraction(10**12)),
        ("1P", Fraction(10**15)),
        ("1E", Fraction(10**18)),
        ("1Ki", Fraction(1024)),
        ("0.5Mi", Fraction(512 * 1024)),
        ("1Ei", Fraction(2**60)),
        ("1e3", Fraction(1000)),
        ("1E3", Fraction(1000)),
        ("12e-1", Fraction(6, 5)),
        (2, Fraction(2)),
        (0.25, Fraction(1, 4)),
    ],
)
def test_a_quantity_is_its_number_times_its_suffix(text, expected):
    assert parse_quantity(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *["", ".", "m", "1 Gi", " 1", "1\\n", "1mi", "1K", "1KI", "1e", "1e1.5", "--1", "1.2.3"],
        *["0x10", "1m5", "1Gib", "١", True, None],
    ],
)
def test_a_text_that_is_no_quantity_is_refused_with_the_text_and_an_example(text):
    with pytest.raises(QuantityError) as refusal:
        parse_quantity(text)
    assert repr(text) in str(refusal.value)
    assert "128Mi" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "millis", "whole"),
    [
        ("1", 1000, 1),
        ("1001m", 1001, 2),
        ("1u", 1, 1),
        ("1500u", 2, 1),
        ("-1500u", -2, -1),
        ("-1001m", -1001, -2),
        ("512Ki", 524_288_000, 524_288),
        ("0", 0, 0),
    ],
)
def test_integer_values_round_away_from_zero(text, millis, whole):
    assert (milli_value(text), value(text)) == (millis, whole)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.1n", "1n"), ("-0.1n", "-1n"), ("1.0000000001", "1000000001n"), ("1e-400", "1e-9")],
)
def test_what_is_finer_than_a_nano_rounds_up_to_one(text, expected):
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["9223372036854775808", "1000E", "16Ei", "1e999999999"])
def test_what_is_larger_than_an_int64_becomes_the_largest_int64(text):
    assert value(text) == 2**63 - 1
    assert value("-" + text) == -(2**63 - 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("0Mi", "0"),
        ("1.5", "1500m"),
        ("1.0", "1"),
        ("1000m", "1"),
        ("1000000", "1M"),
        ("1500000", "1500k"),
        ("100", "100"),
        ("10e3", "10e3"),
        ("100e2", "10e3"),
        ("1e0", "1"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("0.5Mi", "512Ki"),
        ("1025Ki", "1025Ki"),
        ("1.1Mi", "1153433600m"),
        ("0.0001Ki", "102400u"),
        ("-1.5", "-1500m"),
    ],
)
def test_the_canonical_form_has_no_fraction_and_the_largest_suffix(text, expected):
    assert canonical(text) == expected


def test_the_suffix_decides_the_format():
    assert quantity_format("1Mi") == "BinarySI"
    assert quantity_format("1M") == "DecimalSI"
    assert quantity_format("1e6") == "DecimalExponent"
    assert quantity_format("1") == "DecimalSI"


@pytest.mark.parametrize(
    ("number", "format", "expected"),
    [
        (Fraction(171, 1000), "DecimalSI", "171m"),
        (134217728, "BinarySI", "128Mi"),
        (1000, "BinarySI", "1k"),
        (1023, "BinarySI", "1023"),
        (Fraction(3, 2), "BinarySI", "1500m"),
        (12_000_000, "DecimalExponent", "12e6"),
        (Fraction(1, 3), "DecimalSI", "333333334n"),
    ],
)
def test_a_value_is_written_in_the_format_asked_for(number, format, expected):
    assert format_quantity(number, format) == expected


@given(
    nanos=st.integers(-(2**62), 2**62),
    format=st.sampled_from(["DecimalSI", "BinarySI", "DecimalExponent"]),
)
def test_every_value_survives_being_written_and_read(nanos, format):
    number = Fraction(nanos, 10**9)
    text = format_quantity(number, format)
    assert parse_quantity(text) == number
    assert canonical(text) == text
