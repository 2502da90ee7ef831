"""How much load, when: a profile is a frozen sequence of straight pieces of rate over time.

`step`, `ramp`, `spike`, `sine` and `trace` make profiles, `+` joins them, and `noisy` shakes one:

    profile = step(20, 10) + ramp(20, 200, 30) + step(20, 60)

The rate is linear within a piece, so the number of requests due until a time t is quadratic in t
and is inverted exactly: request number k leaves at the moment at which that number reaches k.
The same profile therefore always gives the same times.  With a seed the arrivals are a Poisson
process of the same rate instead, as independent users would make, and repeatable too.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from labkit.errors import UsageError

#: One Python process sends about 1,500 requests a second with a new connection each; anything
#: above this limit is a slip of the keyboard, and would be unkind to a shared machine.
MAX_RATE = 5000.0
#: A load that somebody forgot must end by itself.
MAX_SECONDS = 3600.0
#: Straight pieces in a period of a sine: they are off by 0.2 % of its height at most.
_PIECES = 48


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

    def due(self, t: float) -> float:
        """How many requests fall due in the first `t` seconds of the piece."""
        return (self.start + self.rate(t)) / 2 * t

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
    """A rate of requests over time.  Build it with the functions of this module, and `+`.

    `words` say what it is where its pieces are too many to be told.
    """

    pieces: tuple[Piece, ...]
    words: str = field(default="", compare=False)

    @cached_property
    def _starts(self) -> list[tuple[float, float]]:
        """When each piece starts, and how many requests are due by then; and so for the end."""
        starts = [(0.0, 0.0)]
        for piece in self.pieces:
            start, due = starts[-1]
            starts.append((start + piece.seconds, due + piece.requests))
        return starts

    @property
    def duration(self) -> float:
        """Seconds from the first piece's start to the last piece's end."""
        return self._starts[-1][0]

    @property
    def requests(self) -> float:
        """The integral of the rate: about how many requests the profile sends."""
        return self._starts[-1][1]

    @property
    def peak(self) -> float:
        """The highest rate, in requests per second."""
        return max(max(piece.start, piece.end) for piece in self.pieces)

    def rate(self, t: float) -> float:
        """Requests per second at `t` seconds; 0 before the start and after the end."""
        if not 0 <= t < self.duration:
            return 0.0
        index, (start, _) = self._at(t)
        return self.pieces[index].rate(t - start)

    def due(self, t: float) -> float:
        """How many requests have fallen due by `t` seconds: the integral of the rate."""
        if t <= 0:
            return 0.0
        if t >= self.duration:
            return self.requests
        index, (start, due) = self._at(t)
        return due + self.pieces[index].due(t - start)

    def _at(self, t: float) -> tuple[int, tuple[float, float]]:
        index = bisect_right(self._starts, (t, math.inf)) - 1
        return index, self._starts[index]

    def arrivals(self, seed: int | None = None) -> Iterator[float]:
        """The scheduled times, in seconds, ascending: evenly spaced, or Poisson with a `seed`."""
        counts = _whole_numbers() if seed is None else _poisson(random.Random(seed))
        count = next(counts)
        for piece, (start, done) in zip(self.pieces, self._starts, strict=False):
            until = done + piece.requests
            while count < until - 1e-9:  # a request due exactly at the end belongs to what follows
                yield start + min(piece.when(count - done), piece.seconds)
                count = next(counts)

    def __add__(self, other: Profile) -> Profile:
        if not isinstance(other, Profile):
            return NotImplemented
        words = f"{self}, then {other}" if self.words or other.words else ""
        return Profile(self.pieces + other.pieces, words)

    def __str__(self) -> str:
        return self.words or ", then ".join(str(piece) for piece in self.pieces)

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


def sine(low: float, high: float, period: float, seconds: float) -> Profile:
    """From `low` to `high` requests per second and back in each `period`, for `seconds`."""
    _check_seconds(period)
    _check_seconds(seconds)
    count = math.ceil(seconds / period * _PIECES - 1e-9)
    times = [min(n * period / _PIECES, float(seconds)) for n in range(count + 1)]
    _check_rate(low)
    _check_rate(high)
    rates = [low + (high - low) * (1 - math.cos(math.tau * t / period)) / 2 for t in times]
    words = f"{low:g}⇄{high:g}/s every {period:g} s for {seconds:g} s"
    return through(zip(times, rates, strict=True), words)


def through(points: Iterable[tuple[float, float]], words: str = "") -> Profile:
    """In straight lines from point to point, which are (seconds, rate) in ascending time."""
    lines = itertools.pairwise(points)
    return _profile(*((a, b, after - t) for (t, a), (after, b) in lines), words=words)


def noisy(profile: Profile, spread: float, every: float = 1.0, seed: int = 1) -> Profile:
    """`profile` times a chance factor that is drawn anew `every` so many seconds.

    The factors are log-normal with mean 1: in a third of the cases the rate is off by more than
    the share `spread` (0.2: 20 %).  The same seed gives the same factors.  Rates end at MAX_RATE.
    """
    check_noise(spread, every)
    source = random.Random(f"noise {seed}")  # not the chances that a seed gives to the arrivals
    count = math.ceil(profile.duration / every) + 1
    factors = [math.exp(source.gauss(0.0, spread) - spread**2 / 2) for _ in range(count)]
    cuts = sorted({*(start for start, _ in profile._starts), *(n * every for n in range(count))})
    pieces = []
    for a, b in itertools.pairwise(cut for cut in cuts if cut <= profile.duration):
        middle = (a + b) / 2
        index, (start, _) = profile._at(middle)
        factor = factors[int(middle // every)]
        ends = (min(MAX_RATE, profile.pieces[index].rate(t - start) * factor) for t in (a, b))
        pieces.append(Piece(*ends, b - a))
    return Profile(tuple(pieces), f"{profile}, noisy by {spread:.0%}".replace("%", " %"))


def check_noise(spread: float, every: float) -> None:
    """Raise UsageError if no noise can be made of these numbers."""
    if not (_is_number(spread) and 0 <= spread <= 2):
        raise UsageError(
            f"A noise of {spread!r} cannot be made.",
            "It is the usual distance from the rate, as a share of it, from 0 to 2.",
            "Write for example 0.2.",
        )
    _check_seconds(every)


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


def _profile(*parts: tuple[float, float, float], words: str = "") -> Profile:
    for start, end, seconds in parts:
        _check_rate(start)
        _check_rate(end)
        _check_seconds(seconds)
    return Profile(tuple(Piece(float(a), float(b), float(s)) for a, b, s in parts), words)


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
