"""The load of a scenario: pieces one after another, each of a shape that its names tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import UsageError
from labkit.load import profile
from labkit.load.profile import Profile
from labkit.load.trace import trace
from labkit.simulate import fields


@dataclass(frozen=True, slots=True)
class Noise:
    """A chance factor of the rate: `spread` is its usual distance from 1, and it is drawn anew
    `every` so many seconds.
    """

    spread: float
    every: float = 1.0


def read_noise(given: object) -> Noise:
    """`0.2`, or the fields of a Noise.  Raises UsageError."""
    return fields.build(Noise, given if isinstance(given, Mapping) else {"spread": given}, "noise")


_SHAPES: Mapping[tuple[str, ...], Callable[..., Profile]] = {
    ("rate", "seconds"): profile.step,
    ("from", "to", "seconds"): profile.ramp,
    ("base", "peak", "at", "width", "seconds"): profile.spike,
    ("low", "high", "period", "seconds"): profile.sine,
}


def read(given: object, directory: Path) -> Profile:
    """The pieces of a load, joined; paths of traces begin in `directory`.  Raises UsageError."""
    pieces = [_piece(fields.mapping(one, "piece of load"), directory) for one in _listed(given)]
    whole = pieces[0]
    for one in pieces[1:]:
        whole += one
    return whole


def _listed(given: object) -> list[object]:
    pieces = list(fields.sequence(given, "load"))
    if not pieces:
        raise fields.wrong("load", given, "It needs a piece at least.")
    return pieces


def _piece(given: Mapping[str, Any], directory: Path) -> Profile:
    if given.keys() == {"trace"}:
        return trace(directory / str(given["trace"]))
    for names, shape in _SHAPES.items():
        if set(names) == given.keys():
            return shape(*(given[name] for name in names))
    shapes = "; or ".join(", ".join(names[:-1]) + f" and {names[-1]}" for names in _SHAPES)
    raise UsageError(
        f"A piece of load cannot have {', '.join(map(str, given))}.",
        f"It has {shapes}; or trace.",
        fields.EXAMPLE,
    )
