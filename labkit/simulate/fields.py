"""From what YAML says to a value, or to the words for what is wrong with it.

A scenario is written by hand.  So nothing in it is taken for something else: a name that is not
known, a text where a number belongs, a number that cannot be, are all named with their place.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

from labkit.errors import UsageError
from labkit.kube.quantity import parse_quantity

EXAMPLE = "An example: labkit simulate --example"

T = TypeVar("T")

_TEXT, _NUMBER, _WHOLE, _CHOICE = "a text", "a number", "a whole number", "true or false"
_KINDS = {"str": _TEXT, "float": _NUMBER, "int": _WHOLE, "bool": _CHOICE}


def build(kind: type[T], given: object, what: str) -> T:
    """The dataclass `kind` from a mapping of its fields.  Raises UsageError."""
    parts, known = dict(mapping(given, what)), dataclasses.fields(kind)
    for name in parts:
        if name not in [one.name for one in known]:
            raise UsageError(
                f"There is no {name!r} in {what}.",
                f"There are {', '.join(one.name for one in known)}.",
                EXAMPLE,
            )
    for one in known:
        if one.name not in parts and one.default is one.default_factory is dataclasses.MISSING:
            raise UsageError(f"There is no {one.name} in {what}.", "It needs one.", EXAMPLE)
        if one.type == "str" and _is_number(parts.get(one.name)):
            parts[one.name] = str(parts[one.name])  # `cpu: 2` is as good as `cpu: "2"`
    return kind(**parts)


def check(part: object, what: str, *, above: Collection[str] = (), **least: float) -> None:
    """Raise UsageError unless the plain fields of a dataclass are what they are declared to be.

    Numbers must not be below 0, or below the `least` that is given for one; those in `above` must
    be greater than 0.
    """
    for one in dataclasses.fields(part):
        kind, value = _KINDS.get(str(one.type)), getattr(part, one.name)
        if kind is None:
            continue
        if not _is(kind, value):
            raise wrong(f"{one.name} in {what}", value, f"It must be {kind}.")
        if kind in (_NUMBER, _WHOLE):
            _check_size(f"{one.name} in {what}", value, one.name in above, least.get(one.name, 0))


def number(value: object, what: str, *, above: bool = False, least: float = 0) -> float:
    """`value` if it is a number that is not too small.  Raises UsageError."""
    if not _is(_NUMBER, value):
        raise wrong(what, value, f"It must be {_NUMBER}.")
    _check_size(what, value, above, least)
    return value


def quantity(value: object, what: str) -> None:
    """Raise UsageError unless it is an amount as Kubernetes writes it, and more than 0."""
    try:
        good = parse_quantity(value) > 0
    except (ValueError, TypeError):
        good = False
    if not good:
        raise wrong(
            what, value, 'It must be a quantity greater than 0, such as "2" or 500m or 4Gi.'
        )


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """`value` if it is a mapping.  Raises UsageError."""
    if not isinstance(value, Mapping):
        raise wrong(what, value, "It must be a mapping.")
    return value


def sequence(value: object, what: str) -> Sequence[Any]:
    """`value` if it is a list.  Raises UsageError."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise wrong(what, value, "It must be a list.")
    return value


def wrong(what: str, value: object, why: str) -> UsageError:
    """The error for a value that cannot be."""
    return UsageError(f"The {what} is {value!r}.", why, EXAMPLE)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)  # NumPy's numbers, too


def _is(kind: str, value: object) -> bool:
    if kind == _TEXT:
        return isinstance(value, str)
    if kind == _CHOICE:
        return isinstance(value, bool)
    if kind == _WHOLE:
        return _is_number(value) and isinstance(value, Integral)
    return _is_number(value) and math.isfinite(value)


def _check_size(what: str, value: float, above: bool, least: float) -> None:
    if above and value <= 0:
        raise wrong(what, value, "It must be greater than 0.")
    if value < least:
        raise wrong(what, value, f"It must not be less than {least:g}.")
