"""How much load, when: a profile is a frozen sequence of straight pieces of rate over time.

`step`, `ramp` and `spike` make profiles and `+` joins them:

    profile = step(20, 10) + ramp(20, 200, 30) + step(20, 60)

The rate is linear within a piece, so the number of requests due until a time t is quadratic in t
and is inverted exactly: request number k leaves at the moment at which that number reaches k.
The same profile therefore always gives the same times.  With a seed the arrivals are a Poisson
process of the same rate instead, as independent users would make, and repeatable too.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.errors import UsageError

#: One Python process sends about 1,500 requests a second with a new connection each; anything
#: above this limit is a slip of the keyboard, and would be unkind to a shared machine.
MAX_RATE = 5000.0
#: A load that somebody forgot must end by itself.
MAX_SECONDS = 3600.0


@dataclass(frozen=True)
class Piece:
    """`seconds` during which the rate goes in a straight line from `start` to `end` (1/s)."""

    start: float
    end: float
    seconds: float

    @property
    def requests(self) -> float:
        """How many requests fall due in this piece (not necessarily whole)."""
        return (self.start + self.end) / 2 * self.seconds

    def rate(self, t: float) -> float:
        """Requests per second, `t` seconds after the start of the piece."""
        return self.start + (self.end - self.start) * t / self.seconds

    def when(self, count: float) -> float:
        """The seconds after which `count` requests have fallen due; the inverse of ∫ rate."""
        if count <= 0:
            return 0.0
        slope = (self.end - self.start) / self.seconds
        # The form of the quadratic formula that neither cancels nor divides by a zero slope.
        return 2 * count / (self.start + math.sqrt(max(0.0, self.start**2 + 2 * slope * count)))

    def __str__(self) -> str:
        rate = f"{self.start:g}/s" if self.start == self.end else f"{self.start:g}→{self.end:g}/s"
        return f"{rate} for {self.seconds:g} s"


@dataclass(frozen=True, repr=False)
class Profile:
    """A rate of requests over time.  Build it with `step`, `ramp`, `spike` and `+`."""

    pieces: tuple[Piece, ...]

    @property
    def duration(self) -> float:
        """Seconds from the first piece's start to the last piece's end."""
        return sum(piece.seconds for piece in self.pieces)

    @property
    def requests(self) -> float:
        """The integral of the rate: about how many requests the profile sends."""
        return sum(piece.requests for piece in self.pieces)

    @property
    def peak(self) -> float:
        """The highest rate, in requests per second."""
        return max(max(piece.start, piece.end) for piece in self.pieces)

    def rate(self, t: float) -> float:
        """Requests per second at `t` seconds; 0 before the start and after the end."""
        if t < 0:
            return 0.0
        for piece in self.pieces:
            if t < piece.seconds:
                return piece.rate(t)
            t -= piece.seconds
        return 0.0

    def arrivals(self, seed: int | None = None) -> Iterator[float]:
        """The scheduled times, in seconds, ascending: evenly spaced, or Poisson with a `seed`."""
        counts = _whole_numbers() if seed is None else _poisson(random.Random(seed))
        count, start, done = next(counts), 0.0, 0.0
        for piece in self.pieces:
            until = done + piece.requests
            while count < until - 1e-9:  # a request due exactly at the end belongs to what follows
                yield start + min(piece.when(count - done), piece.seconds)
                count = next(counts)
            start, done = start + piece.seconds, until

    def __add__(self, other: Profile) -> Profile:
        if not isinstance(other, Profile):
            return NotImplemented
        return Profile(self.pieces + other.pieces)

    def __str__(self) -> str:
        return ", then ".join(str(piece) for piece in self.pieces)

    def __repr__(self) -> str:
        return f"<Profile {self}: {self.duration:g} s, {self.requests:.0f} requests>"


def step(rate: float, seconds: float) -> Profile:
    """`rate` requests per second for `seconds`.  A rate of 0 is a pause between two others."""
    return _profile((rate, rate, seconds))


def ramp(start: float, end: float, seconds: float) -> Profile:
    """From `start` to `end` requests per second, in a straight line over `seconds`."""
    return _profile((start, end, seconds))


def spike(base: float, peak: float, at: float, width: float, seconds: float) -> Profile:
    """`base` requests per second for `seconds`, but `peak` from `at` until `at + width`."""
    if not (at >= 0 and width > 0 and at + width <= seconds):
        raise UsageError(
            f"A spike from {at} s to {at} + {width} s does not fit into {seconds} s.",
            "It must lie within the profile.",
            "Write for example spike(base=20, peak=200, at=10, width=5, seconds=60).",
        )
    parts = (base, base, at), (peak, peak, width), (base, base, seconds - at - width)
    return _profile(*(part for part in parts if part[2] > 0))


def check(profile: Profile) -> None:
    """Raise UsageError if `profile` sends nothing, or lasts longer than an hour."""
    if not isinstance(profile, Profile):
        raise UsageError(
            f"{profile!r} is not a load profile.",
            "A profile says how many requests per second to send, and for how long.",
            "Write for example labkit.load.step(rate=50, seconds=30).",
        )
    if profile.requests <= 0:
        raise UsageError(
            f"The profile '{profile}' sends no request at all.",
            "Its rate is 0 from beginning to end.",
            "Write for example labkit.load.step(rate=50, seconds=30).",
        )
    if profile.duration > MAX_SECONDS:
        raise UsageError(
            f"The profile lasts {profile.duration:g} s, and {MAX_SECONDS:g} s is the limit.",
            "A load should end by itself before it is forgotten.",
            "Write for example labkit.load.step(rate=50, seconds=600).",
        )


def _profile(*parts: tuple[float, float, float]) -> Profile:
    for start, end, seconds in parts:
        _check_rate(start)
        _check_rate(end)
        _check_seconds(seconds)
    return Profile(tuple(Piece(float(a), float(b), float(s)) for a, b, s in parts))


def _check_rate(rate: float) -> None:
    if _is_number(rate) and 0 <= rate <= MAX_RATE:
        return
    raise UsageError(
        f"A rate of {rate!r} requests per second cannot be sent.",
        f"It must be a number from 0 to {MAX_RATE:g}.",
        "Write for example labkit.load.step(rate=50, seconds=30).",
    )


def _check_seconds(seconds: float) -> None:
    if _is_number(seconds) and seconds > 0:
        return
    raise UsageError(
        f"A load cannot last {seconds!r} seconds.",
        "The duration must be a number greater than 0.",
        "Write for example labkit.load.step(rate=50, seconds=30).",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _whole_numbers() -> Iterator[float]:
    count = 0.0
    while True:
        yield count
        count += 1.0


def _poisson(rng: random.Random) -> Iterator[float]:
    # A Poisson process of rate 1 on the axis of counts becomes one of rate r(t) on the axis of
    # time through the same inversion (the time-rescaling theorem).
    count = 0.0
    while True:
        count += rng.expovariate(1.0)
        yield count
