r"""JSONPath as printer columns use it: `.status.conditions[?(@.type=="Ready")].status`.

A path is parsed once into steps; each step makes of a list of values another.  What is missing is
left out.  Understood are fields (`.spec`, `['a.b']`, `.a\.b`), indexes and slices (`[0]`, `[-1:]`,
`[0,2]`), all (`[*]`, `.*`), everything below (`..name`) and filters that compare with a value or
ask whether a field is there.

Source: k8s.io/client-go/util/jsonpath.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import orjson

Step = Callable[[Iterable[object]], list]

_TOKEN = re.compile(
    r"""
    \.\.(?P<below>[\w-]+)
    | \.(?P<field>(?:[^.\[\]()'"\s\\]|\\.)+)
    | \[\?\((?P<filter>.*?)\)\]
    | \[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]
    | \[(?P<inside>[-\d:,*\s]+)\]
    | (?P<end>\.)$
    """,
    re.VERBOSE,
)
_COMPARISON = re.compile(r"(?P<left>@[^=!<>]*?)\s*(?:(?P<how>==|!=|<=|>=|<|>)\s*(?P<right>.+))?")
_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class PathError(ValueError):
    """The text is no JSONPath that is understood here."""


def find(text: str, value: object) -> list:
    """All values at a path.  Raises PathError."""
    found: Iterable[object] = [value]
    for step in parse(text):
        found = step(found)
    return list(found)


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[Step, ...]:
    """The steps of a path.  Raises PathError."""
    steps, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise PathError(f"unrecognized character in {text!r} at {at}")
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match) -> Step:
    groups = match.groupdict()
    if groups["field"]:
        name = re.sub(r"\\(.)", r"\1", groups["field"])
        return _all if name == "*" else _field(name)
    if groups["quoted"]:
        return _field(re.sub(r"\\(.)", r"\1", groups["quoted"][1:-1]))
    if groups["below"]:
        return lambda values: [v for value in values for v in _below(value, groups["below"])]
    if groups["filter"] is not None:
        return _filter(groups["filter"].strip())
    if groups["inside"]:
        return _index(groups["inside"])
    return list


def _field(name: str) -> Step:
    return lambda values: [v[name] for v in values if isinstance(v, Mapping) and name in v]


def _all(values: Iterable[object]) -> list:
    found: list = []
    for value in values:
        if isinstance(value, Mapping):
            found += value.values()
        elif isinstance(value, list):
            found += value
    return found


def _below(value: object, name: str) -> list:
    """The values of a field, however deep."""
    found: list = []
    if isinstance(value, Mapping):
        found += [value[name]] if name in value else []
        found += [v for child in value.values() for v in _below(child, name)]
    elif isinstance(value, list):
        found += [v for child in value for v in _below(child, name)]
    return found


def _index(text: str) -> Step:
    text = text.replace(" ", "")
    if text == "*":
        return _all
    parts = [_slice(part) for part in text.split(",")]
    return lambda values: [v for x in values if isinstance(x, list) for p in parts for v in x[p]]


def _slice(text: str) -> slice:
    """One index is a slice too, so that one that is out of range is empty."""
    numbers = [int(part) if part else None for part in text.split(":")]
    if len(numbers) == 1:
        start = numbers[0] or 0
        return slice(start, start + 1 if start != -1 else None)
    return slice(*numbers)


def _filter(text: str) -> Step:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise PathError(f"unrecognized filter {text!r}")
    left, how, right = match["left"][1:].strip(), match["how"], match["right"]
    parse(left)
    wanted = _literal(right.strip()) if how else None

    def holds(value: object) -> bool:
        found = find(left, value)
        if not how or not found:
            return bool(found)
        try:
            return _COMPARE[how](found[0], wanted)
        except TypeError:
            return False

    return lambda values: [v for x in values if isinstance(x, list) for v in x if holds(v)]


def _literal(text: str) -> object:
    if text[:1] == text[-1:] and text[:1] in ("'", '"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PathError(f"unrecognized value {text!r}") from None
