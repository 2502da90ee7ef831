"""When something periodic happens, from samples that only tell that it has happened.  Pure.

Whoever samples a value sees it change between two samples, no more.  But each change is a pair of
bounds for a tick of the same clock, and samples whose interval is no divisor of the clock's period
cut it at ever other places, as the scale of a vernier does: a hundred changes seen to 0.9 s give a
clock to some hundredths of a second.

The clock's phase is that for which most of the pairs hold a tick; so a change of another cause, or
a tick that came late, does no harm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

_PHASES = 200  # that are tried in a period
_PERIODS = 61  # that are tried
_ENOUGH = 4  # changes, from which a phase can be told


class Rhythm(NamedTuple):
    """Ticks at `first` + k · `period` (seconds); `spread` is how far off they may be."""

    first: float
    period: float
    spread: float

    def after(self, t: float) -> float:
        """The first tick at `t` or later."""
        return self.first + math.ceil((t - self.first) / self.period - 1e-9) * self.period

    def until(self, end: float, begin: float = 0.0) -> np.ndarray:
        """All ticks from `begin` to `end`."""
        return np.arange(self.after(begin), end, self.period)


def rhythm(times: np.ndarray, values: np.ndarray, period: float, slow: float = 0.0) -> Rhythm:
    """The clock at whose ticks rows of `values`, sampled at `times`, change.

    `period` is what the clock was set to; it may be slower by the share `slow`.  With too few
    changes to tell, the phase is unknown: `spread` is half a period then.
    """
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    changed = ~same.all(axis=1)
    low, high = times[:-1][changed], times[1:][changed]
    if len(low) < _ENOUGH:
        return Rhythm(0.0, period, period / 2)
    # Phases are told for the middle of the recording: there a wrong period does least harm.
    middle = (times[0] + times[-1]) / 2
    periods = period * (1 + np.linspace(0.0, slow, _PERIODS if slow else 1))
    shares = np.arange(_PHASES) / _PHASES
    held = np.array([_held(low - middle, high - middle, each, shares) for each in periods])
    best = held == held.max()
    length = float(periods[best.any(axis=1)].mean())
    share, spread = _centre(shares[best.any(axis=0)])
    return Rhythm(float(middle) + share * length, length, spread * length)


def _held(low: np.ndarray, high: np.ndarray, period: float, shares: np.ndarray) -> np.ndarray:
    """For each phase how many of the pairs hold a tick."""
    phase = shares[:, None]
    ticks = np.floor(high / period - phase) - np.floor(low / period - phase)
    return (ticks >= 1).sum(axis=1)


def _centre(shares: np.ndarray) -> tuple[float, float]:
    """The middle of phases on a circle of length 1, and how far the others are from it at most."""
    turns = np.exp(2j * np.pi * shares)
    middle = float(np.angle(turns.mean()) / (2 * np.pi)) % 1.0
    away = np.abs((shares - middle + 0.5) % 1.0 - 0.5)
    return middle, float(away.max()) + 0.5 / _PHASES
