"""The numbers of the models, each from the samples that show it.  Pure: least squares and medians.

Each is a `Parameter`: a value, how far off it may be, and in words where it comes from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from labkit.errors import UsageError
from labkit.load.profile import Piece, Profile
from labkit.simulate.application import Application
from labkit.simulate.nodes import Delay
from labkit.simulate.rhythm import Rhythm, rhythm

_LOAD = ["offered", "completed", "errors", "p50", "p99"]
_OUTLIER = 3.0  # times the usual distance: what is further off has another cause
_NORMAL = 1.4826  # times the median distance is the standard deviation, of a normal distribution
_QUIET = 0.25  # of the samples, those with the least load for each Pod
_QUEUE = 1000.0  # ms: who answers that late had more to do than it could
_FULL = 0.9  # of the most that was used: as good as that
_FEWEST = 5  # windows or samples, from which something can be told
_LEAST = 0.05  # seconds: no Pod starts faster


class Parameter(NamedTuple):
    """One thing that was fitted: its value, how far off it may be, and where it comes from."""

    name: str
    value: float
    spread: float
    unit: str
    words: str

    def __str__(self) -> str:
        value = f"{self.value:.4g}" + (f" ± {self.spread:.2g}" if self.spread else "")
        return f"{self.name:<24}{value:<18}{self.unit:<4}{self.words}"


@dataclass(frozen=True)
class Load:
    """Requests by the end of each second of the load (`ends`, by the recording's t), summed up."""

    ends: np.ndarray
    offered: np.ndarray
    completed: np.ndarray

    def profile(self, begin: float, seconds: int) -> Profile:
        """What was offered, second by second from `begin`."""
        sums = np.interp(begin + np.arange(seconds + 1), self.ends, self.offered)
        pieces = tuple(Piece(rate, rate, 1.0) for rate in np.diff(sums).tolist())
        return Profile(pieces, f"as recorded for {seconds} s")

    def served(self, begin: np.ndarray, seconds: float) -> np.ndarray:
        """Completed requests per second, in the `seconds` from each `begin`."""
        sums = (np.interp(moment, self.ends, self.completed) for moment in (begin, begin + seconds))
        before, after = sums
        return (after - before) / seconds


def load(frame: pd.DataFrame) -> Load:
    """The load's own seconds: a sample tells of the last one that was over by then."""
    times = frame.t.to_numpy()
    seconds = rhythm(times, frame[_LOAD].to_numpy(), 1.0)
    ends = seconds.until(times[-1], times[0])
    index = np.minimum(np.searchsorted(times, ends + seconds.spread), len(times) - 1)
    counts = frame[["offered", "completed"]].fillna(0.0).to_numpy()[index]
    offered, completed = np.vstack([np.zeros(2), counts]).cumsum(axis=0).T
    return Load(np.insert(ends, 0, ends[0] - 1.0), offered, completed)


def cost(frame: pd.DataFrame, load: Load, measurements: Rhythm) -> tuple[Parameter, Parameter]:
    """CPU time of a request (ms), and CPU of a Pod without requests (millicores).

    A reading is the mean over a window: usage = cost · rate + idle · Pods, for all windows in which
    the Pods stayed the same.  Raises UsageError for too few of them.
    """
    times, period = frame.t.to_numpy(), measurements.period
    ticks = measurements.until(times[-1] - period, times[0] + 2 * period)
    index = np.searchsorted(times, ticks + measurements.spread)
    pods = frame.pods_running.to_numpy()
    same = _steady(times, pods, ticks - period, ticks + period)
    known = same & ~np.isnan(frame.cpu_milli_total.to_numpy()[index])
    usage = frame.cpu_milli_total.to_numpy()[index][known]
    rate = load.served(ticks - period, period)[known]
    if len(usage) < _FEWEST:
        raise UsageError(
            f"The recording has {len(usage)} windows of metrics in which the Pods stayed the same.",
            "It is too short for its metrics' period, or its Pods changed all the time.",
            f"Record for some minutes more; {_FEWEST} windows are the least.",
        )
    (each, idle), errors, left = _least_squares(np.c_[rate, pods[index][known]], usage)
    words = f"from {len(usage)} windows; CPU is left unexplained by ± {left:.0f} m"
    return (
        Parameter("CPU of a request", each, errors[0], "ms", words),
        Parameter("CPU of an idle Pod", max(0.0, idle), errors[1], "m", "likewise"),
    )


def _steady(times: np.ndarray, values: np.ndarray, begin: np.ndarray, end: np.ndarray):
    """Whether `values` stay the same from each `begin` to its `end`."""
    first = np.maximum(np.searchsorted(times, begin, side="right") - 1, 0)
    last = np.minimum(np.searchsorted(times, end), len(times) - 1)
    return np.array([np.ptp(values[a : b + 1]) == 0 for a, b in zip(first, last, strict=True)])


def _least_squares(matrix: np.ndarray, values: np.ndarray) -> tuple:
    """Coefficients, their standard errors, and that of what is left, without what is far off."""
    keep = np.ones(len(values), bool)
    for _ in range(2):
        found = np.linalg.lstsq(matrix[keep], values[keep], rcond=None)[0]
        left = values - matrix @ found
        usual = max(_NORMAL * float(np.median(np.abs(left[keep]))), 1e-9)
        keep = np.abs(left) <= _OUTLIER * usual
    deviation = float(np.std(left[keep]))
    inverse = np.linalg.pinv(matrix[keep].T @ matrix[keep])
    return found.tolist(), (deviation * np.sqrt(np.diag(inverse))).tolist(), deviation


def other(frame: pd.DataFrame, cpu_ms: float) -> Parameter:
    """What a request takes besides its CPU (ms): from latencies while Pods have little to do."""
    share = frame.offered / frame.replicas_ready
    quiet = frame.p50[(share > 0) & (share <= share[share > 0].quantile(_QUIET))].dropna()
    usual = float(quiet.median())
    off = _NORMAL * float((quiet - usual).abs().median())
    words = f"median latency of {usual:.0f} ms under little load, without the CPU"
    return Parameter("time besides", max(0.0, usual - cpu_ms), off, "ms", words)


def cores(frame: pd.DataFrame) -> Parameter:
    """What a Pod can use at most: seen only if it ever had more to do for a while.

    Then requests wait and the Pods' usage stands at its limit.  (Where it does not, they waited for
    the machine, on which others were at work.)
    """
    each = frame.cpu_milli_total / frame.pods_running / 1000
    waited = each[frame.p99 > _QUEUE]
    if len(waited) >= _FEWEST and waited.median() >= _FULL * each.max():
        words = "what Pods used while requests waited"
        return Parameter("cores of a Pod", float(waited.median()), float(waited.std()), "", words)
    words = f"not seen: no Pod used more than {each.max():.2f}"
    return Parameter("cores of a Pod", Application().cores, 0.0, "", words)


def start(frame: pd.DataFrame, looks: Rhythm) -> tuple[Parameter, Parameter]:
    """From the look that asks for a Pod until it is ready: the median (s), and the spread."""
    between = np.array(_starts(frame, looks)).reshape(-1, 2)
    if not len(between):
        words, kept = "not seen: no Pod was started", Delay(2.0)
        return (
            Parameter("start of a Pod", kept.median, 0.0, "s", words),
            Parameter("its spread", kept.spread, 0.0, "×", words),
        )
    middle, width = between.mean(axis=1), np.ptp(between, axis=1)
    median = max(_LEAST, float(np.median(middle)))
    # Samples are some time apart: that is no spread of the Pods.
    own = max(0.0, float(np.var(middle) - (width**2).mean() / 12))
    spread = math.exp(math.sqrt(math.log1p(own / median**2)))
    words = f"median of {len(middle)} Pods, each seen to {width.mean():.1f} s"
    return (
        Parameter("start of a Pod", median, float(width.mean() / 2), "s", words),
        Parameter("its spread", spread, 0.0, "×", "beyond what the samples' interval makes"),
    )


def _starts(frame: pd.DataFrame, looks: Rhythm) -> list[tuple[float, float]]:
    """For each Pod that was asked for the least and the most time until it was ready."""
    times, wanted = frame.t.to_numpy(), frame.replicas_spec.to_numpy()
    ready, found = frame.replicas_ready.to_numpy(), []
    for row in np.flatnonzero(np.diff(wanted) > 0) + 1:
        asked = min(looks.after(times[row - 1]), times[row])
        for number in np.arange(wanted[row - 1], wanted[row]) + 1:
            later = np.flatnonzero(ready[row:] >= number)
            if len(later):
                seen = row + later[0]
                found.append((max(0.0, times[seen - 1] - asked), times[seen] - asked))
    return found
