"""What can be called: the standard functions, and all those of the libraries, in two tables.

A function that is given values it is not made for raises TypeError, AttributeError or KeyError,
which the program turns into `no such overload`.

Source: cel-spec, langdef.md ("Standard Definitions").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from labkit.kube import regexps
from labkit.kube.cel import libraries, values
from labkit.kube.cel.values import CelError, Optional, Type, no_overload

_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def _size(value: object) -> int:
    if isinstance(value, str | bytes | list | Mapping):
        return len(value)
    raise no_overload()


def _int(value: object) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp())
    if not isinstance(value, str) and not values.is_number(value):
        raise no_overload()
    try:
        found = int(value)
    except (ValueError, OverflowError):
        raise CelError("type conversion error from 'string' to 'int'") from None
    if not -(2**63) <= found < 2**63:
        raise CelError("integer overflow")
    return found


def _double(value: object) -> float:
    if not isinstance(value, str) and not values.is_number(value):
        raise no_overload()
    try:
        return float(value)
    except ValueError:
        raise CelError("type conversion error from 'string' to 'double'") from None


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False, "1": True, "0": False, "t": True, "f": False}
    if value not in words:
        raise CelError("type conversion error from 'string' to 'bool'")
    return words[value]


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = value.lstrip("+-")
    parts = list(_DURATION.finditer(text))
    if text != "0" and (not text or "".join(part.group() for part in parts) != text):
        raise CelError("type conversion error from 'string' to 'google.protobuf.Duration'")
    seconds = sum(float(part.group(1)) * _UNITS[part.group(3)] for part in parts)
    return timedelta(seconds=-seconds if value.startswith("-") else seconds)


def _timestamp(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CelError("type conversion error from 'string' to 'google.protobuf.Timestamp'")
    return found


def _matches(text: str, pattern: str) -> bool:
    try:
        return bool(regexps.compile(pattern).search(text))
    except re.error as error:
        raise CelError(f"error parsing regexp: {error}") from None


def _or_value(found: Optional, otherwise: object) -> object:
    return found.value if found.there else otherwise


def _value(found: Optional) -> object:
    if not found.there:
        raise CelError("optional.none() dereference")
    return found.value


def _part(of_time: Callable[[datetime], int], seconds: float = 0) -> Callable[[object], int]:
    """A getter of times; with `seconds` of durations too, which it counts in that unit."""

    def get(value: object) -> int:
        if isinstance(value, timedelta) and seconds:
            return int(value.total_seconds() / seconds)
        return of_time(value.astimezone(UTC))

    return get


TYPES = {
    name: name
    for name in (
        "int", "uint", "double", "string", "bytes", "bool", "list", "map", "null_type", "type",
    )
}  # fmt: skip
NAMESPACES = frozenset({"optional", "math", "sets"})

FUNCTIONS: dict[str, Callable] = {
    "size": _size,
    "int": _int,
    "uint": _int,
    "double": _double,
    "string": values.text,
    "bool": _bool,
    "bytes": lambda value: value if isinstance(value, bytes) else value.encode(),
    "dyn": lambda value: value,
    "type": lambda value: Type(values.type_of(value)),
    "duration": _duration,
    "timestamp": _timestamp,
    "matches": _matches,
    "optional.of": Optional,
    "optional.none": lambda: values.NONE,
    "optional.ofNonZeroValue": lambda value: Optional(value) if value else values.NONE,
    **libraries.FUNCTIONS,
}
METHODS: dict[str, Callable] = {
    "size": _size,
    "contains": lambda text, part: part in text if isinstance(part, str) else text.has(part),
    "startsWith": lambda text, part: text.startswith(part),
    "endsWith": lambda text, part: text.endswith(part),
    "matches": _matches,
    "hasValue": lambda found: found.there,
    "value": _value,
    "or": lambda found, other: found if found.there else other,
    "orValue": _or_value,
    "getFullYear": _part(lambda time: time.year),
    "getMonth": _part(lambda time: time.month - 1),
    "getDate": _part(lambda time: time.day),
    "getDayOfMonth": _part(lambda time: time.day - 1),
    "getDayOfWeek": _part(lambda time: time.isoweekday() % 7),
    "getDayOfYear": _part(lambda time: time.timetuple().tm_yday - 1),
    "getHours": _part(lambda time: time.hour, 3600),
    "getMinutes": _part(lambda time: time.minute, 60),
    "getSeconds": _part(lambda time: time.second, 1),
    "getMilliseconds": _part(lambda time: time.microsecond // 1000, 0.001),
    **libraries.METHODS,
}
