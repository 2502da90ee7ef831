"""What is wrong with JSON, in Go's words."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.kube.jsonsyntax import duplicates, syntax_error

END = "unexpected end of JSON input"
WRONG = [
    (b"", END),
    (b'{"a"', END),
    (b"tru", END),
    (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
    (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
    (b'{"a" 1}', "invalid character '1' after object key"),
    (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
    (b"[1 2]", "invalid character '2' after array element"),
    (b"[1,]", "invalid character ']' looking for beginning of value"),
    (b"'x'", "invalid character '\\'' looking for beginning of value"),
    (b"nope", "invalid character 'o' in literal null (expecting 'u')"),
    (b'"\n"', "invalid character '\\n' in string literal"),
    (b'"\x01"', "invalid character '\\x01' in string literal"),
    (b'"\\x"', "invalid character 'x' in string escape code"),
    (b'"\\u12G4"', "invalid character 'G' in \\u hexadecimal character escape"),
    (b"-a", "invalid character 'a' in numeric literal"),
    (b"1.a", "invalid character 'a' after decimal point in numeric literal"),
    (b"1ea", "invalid character 'a' in exponent of numeric literal"),
    (b"01", "invalid character '1' after top-level value"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[repr(text) for text, _ in WRONG])
def test_what_is_wrong_is_said_in_gos_words(text: bytes, message: str):
    assert syntax_error(text) == message


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(VALUES, st.sampled_from([None, 2]))
def test_nothing_is_wrong_with_json(value: object, indent: int | None):
    text = json.dumps(value, indent=indent).encode()
    assert syntax_error(text) == ""
    assert duplicates(text, orjson.dumps(orjson.loads(text))) == []


@given(VALUES, st.integers(0, 100), st.binary(max_size=1))
def test_what_python_refuses_is_wrong(value: object, place: int, other: bytes):
    text = bytearray(json.dumps(value).encode())
    place %= len(text)
    text[place : place + 1] = other
    try:
        json.loads(bytes(text), parse_constant=lambda word: {}[word])
        fine = True
    except (ValueError, KeyError):
        fine = False
    # Python's decoder minds encodings, Go's scanner does not.
    if fine or text.isascii():
        assert (syntax_error(bytes(text)) == "") == fine


def test_fields_that_are_named_twice_are_found_wherever_they_are():
    text = b'{"a": 1, "b": [{"c": 1, "c": {"d": 1, "d": 2}}], "a": 2, "a": 3}'
    assert duplicates(text, orjson.dumps(orjson.loads(text))) == ["b[0].c", "b[0].c.d", "a"]
