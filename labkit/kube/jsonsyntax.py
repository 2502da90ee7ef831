"""What is wrong with a text that is not JSON, or is JSON that names a field twice.

Decoders say it in words of their own; clients of Kubernetes know Go's.  Nothing here is asked
before a decoder has refused a text, or before its length has shown that something was dropped.

Source: Go's encoding/json (scanner), sigs.k8s.io/json (strict decoding).
"""

from __future__ import annotations

import json
import re

_SPACE = re.compile(rb"[ \t\r\n]*")
_DIGITS = re.compile(rb"[0-9]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_LITERALS = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_ESCAPES = b'bfnrt\\/"'
_HEX = b"0123456789abcdefABCDEF"
_MAX_ERRORS = 100  # as upstream: a hostile body must not make a long answer


class _Wrong(ValueError):
    """The message is Go's."""


def syntax_error(data: bytes) -> str:
    """Why `data` is not one JSON value; empty if it is."""
    try:
        _scan(data)
    except _Wrong as wrong:
        return str(wrong)
    return ""


def _scan(data: bytes) -> None:
    """Go's scanner without its values.

    `stack` holds what is open: `[`, an object without fields yet (`{`), one with some (`:`).
    """
    stack: list[int] = []
    at = _value(data, _skip(data, 0), stack)
    while stack:
        at = _skip(data, at)
        at = _array(data, at, stack) if stack[-1] == ord("[") else _object(data, at, stack)
    at = _skip(data, at)
    if at < len(data):
        raise _bad(data, at, "after top-level value")


def _skip(data: bytes, at: int) -> int:
    return _SPACE.match(data, at).end()


def _object(data: bytes, at: int, stack: list[int]) -> int:
    """After a value in an object, or after `{`."""
    if data[at : at + 1] == b"}":
        stack.pop()
        return at + 1
    if stack[-1] == ord("{"):
        stack[-1] = ord(":")
    else:
        if data[at : at + 1] != b",":
            raise _bad(data, at, "after object key:value pair")
        at = _skip(data, at + 1)
    if data[at : at + 1] != b'"':
        raise _bad(data, at, "looking for beginning of object key string")
    at = _skip(data, _string(data, at + 1))
    if data[at : at + 1] != b":":
        raise _bad(data, at, "after object key")
    return _value(data, _skip(data, at + 1), stack)


def _array(data: bytes, at: int, stack: list[int]) -> int:
    """After an element of an array."""
    if data[at : at + 1] == b"]":
        stack.pop()
        return at + 1
    if data[at : at + 1] != b",":
        raise _bad(data, at, "after array element")
    return _value(data, _skip(data, at + 1), stack)


def _value(data: bytes, at: int, stack: list[int]) -> int:
    """The place after a value, or after the beginning of an object or of an array's first."""
    while data[at : at + 1] == b"[":
        stack.append(data[at])
        at = _skip(data, at + 1)
        if data[at : at + 1] == b"]":
            stack.pop()
            return at + 1
    first = data[at] if at < len(data) else 0
    if first == ord("{"):
        stack.append(first)
        return at + 1
    if first == ord('"'):
        return _string(data, at + 1)
    if first in _LITERALS:
        return _literal(data, at, _LITERALS[first])
    if first == ord("-") or ord("0") <= first <= ord("9"):
        return _number(data, at)
    raise _bad(data, at, "looking for beginning of value")


def _string(data: bytes, at: int) -> int:
    while True:
        at = _PLAIN.match(data, at).end()
        match data[at : at + 1]:
            case b'"':
                return at + 1
            case b"\\":
                at = _escape(data, at + 1)
            case _:
                raise _bad(data, at, "in string literal")


def _escape(data: bytes, at: int) -> int:
    if data[at : at + 1] == b"u":
        for place in range(at + 1, at + 5):
            if place >= len(data) or data[place] not in _HEX:
                raise _bad(data, place, "in \\u hexadecimal character escape")
        return at + 5
    if at >= len(data) or data[at] not in _ESCAPES:
        raise _bad(data, at, "in string escape code")
    return at + 1


def _literal(data: bytes, at: int, word: bytes) -> int:
    for offset in range(1, len(word)):
        if data[at + offset : at + offset + 1] != word[offset : offset + 1]:
            wanted = f"in literal {word.decode()} (expecting '{chr(word[offset])}')"
            raise _bad(data, at + offset, wanted)
    return at + len(word)


def _number(data: bytes, at: int) -> int:
    if data[at : at + 1] == b"-":
        at += 1
    if data[at : at + 1] == b"0":
        at += 1
    else:
        at = _digits(data, at, "in numeric literal")
    if data[at : at + 1] == b".":
        at = _digits(data, at + 1, "after decimal point in numeric literal")
    if data[at : at + 1] in (b"e", b"E"):
        at += 1
        if data[at : at + 1] in (b"+", b"-"):
            at += 1
        at = _digits(data, at, "in exponent of numeric literal")
    return at


def _digits(data: bytes, at: int, context: str) -> int:
    end = _DIGITS.match(data, at).end()
    if end == at:
        raise _bad(data, at, context)
    return end


def _bad(data: bytes, at: int, context: str) -> _Wrong:
    if at >= len(data):
        return _Wrong("unexpected end of JSON input")
    letter = chr(data[at])
    shown = {"'": "\\'", '"': '"'}.get(letter) or json.dumps(letter, ensure_ascii=False)[1:-1]
    if (not letter.isprintable() and len(shown) == 1) or shown.startswith("\\u00"):
        shown = f"\\x{ord(letter):02x}" if ord(letter) < 0x80 else f"\\u{ord(letter):04x}"
    return _Wrong(f"invalid character '{shown}' {context}")


def duplicates(data: bytes, compact: bytes) -> list[str]:
    """The paths of fields that JSON `data` names twice, such as `data.a`, `items[0].name`.

    `compact` is the same without spaces, and with no field twice: usually as long as `data`, or as
    rich in quotes, and there is nothing to look for.  Raises ValueError, RecursionError.
    """
    if len(compact) == len(data.strip()):
        return []
    if b"\\" not in data and data.count(b'"') == compact.count(b'"'):
        return []
    repeated = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal repeated
        repeated = repeated or len({key for key, _ in pairs}) != len(pairs)

    json.loads(data, object_pairs_hook=look)
    if not repeated:
        return []
    found: list[str] = []
    _repeated(json.loads(data, object_pairs_hook=_Pairs), "", found)
    return list(dict.fromkeys(found))[:_MAX_ERRORS]


class _Pairs(list):
    """An object's fields in order, each as often as it was named."""


def _repeated(value: object, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        seen = set()
        for key, item in value:
            below = f"{path}.{key}" if path else key
            if key in seen:
                found.append(below)
            seen.add(key)
            _repeated(item, below, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _repeated(item, f"{path}[{index}]", found)
