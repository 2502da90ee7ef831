"""A recording → one sentence with its numbers, for the title of a figure.  Pure.

    1 → 3 Pods 14 s after the load began; p99 fell from 1.9 s to 60 ms; back to 1 Pod 22 s after it
    ended

Three parts, each left out where the recording has no answer: what the replicas did while there was
load, what that did to the latency, and what became of the replicas afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from labkit.observe import units

#: A change of p99 by less than this factor, or by fewer milliseconds, is noise and no finding.
_NOTABLE = 1.5
_NOTABLE_MS = 10.0
#: How long (s) a queue that built up may outlast the arrival of the Pods that end it.
_EFFECT = 3.0
#: A change of the load within one second by this share of its peak is a rise or a fall.
_JUMP = 0.3


@dataclass(frozen=True)
class Window:
    """When there was load, or much of it: `start` and `end`, seconds since the recording began."""

    start: float
    end: float
    over: bool  # whether the recording goes on after the end
    began: str = "began"  # or "rose", if there was some before
    ended: str = "ended"  # or "fell", if some remained


def finding(df: pd.DataFrame) -> str:
    """The finding of a recording (`Recorder.frame`), computed from its numbers alone."""
    ready = _ready(df)
    if ready.empty:
        return "No Pods in this recording"
    window = load_window(df)
    if window is None:
        return _without_load(ready)
    parts = [_rise(ready, window), _latency(df, ready, window), _errors(df), _after(ready, window)]
    return "; ".join(part for part in parts if part)


def load_window(df: pd.DataFrame) -> Window | None:
    """From the second in which the load began, or jumped up, to that in which it ended or fell."""
    offered = df.set_index("t")["offered"].dropna()
    loaded = offered.index[offered > 0]
    if loaded.empty:
        return None
    high = offered.index[offered > offered.max() / 2]
    rose, fell = _jumps(offered, high[0], high[-1])
    start, end = high[0] if rose else loaded[0], high[-1] if fell else loaded[-1]
    # A row shows the second before it: load that is first seen at t began up to a second earlier.
    return Window(
        max(0.0, start - 1),
        end,
        over=bool(df["t"].max() > end),
        began="rose" if rose else "began",
        ended="fell" if fell else "ended",
    )


def _jumps(offered: pd.Series, first: float, last: float) -> tuple[bool, bool]:
    """Whether the load was above zero just before `first` and just after `last`, but much lower."""
    peak = offered.max()
    before = offered[offered.index < first].iloc[-1:]
    after = offered[offered.index > last].iloc[:1]
    rose = (before > 0) & (offered[first] - before >= _JUMP * peak)
    fell = (after > 0) & (offered[last] - after >= _JUMP * peak)
    return bool(rose.any()), bool(fell.any())


def _ready(df: pd.DataFrame) -> pd.Series:
    """`replicas_ready` by `t`, without what is unknown."""
    return df.set_index("t")["replicas_ready"].dropna()


def _at(series: pd.Series, t: float) -> float:
    """The value at `t`: the last one until then, or the first one of all."""
    before = series[series.index <= t]
    return before.iloc[-1] if len(before) else series.iloc[0]


def _without_load(ready: pd.Series) -> str:
    first, last = ready.iloc[0], ready.iloc[-1]
    if ready.nunique() == 1:
        return f"{units.pods(first)} throughout, without load"
    if first == last:
        return f"{units.pods(first)} at both ends, up to {ready.max():.0f} between, without load"
    reached = ready.index[_last_change(ready)]
    return f"{first:.0f} → {units.pods(last)} in {units.seconds(reached)}, without load"


def _last_change(series: pd.Series) -> int:
    return int((series.diff().fillna(0) != 0).to_numpy().nonzero()[0][-1])


def _rise(ready: pd.Series, window: Window) -> str:
    before = _at(ready, window.start)
    during = ready[ready.index >= window.start]
    peak = during.max() if len(during) else before
    if peak > before:
        reached = during.index[(during == peak).argmax()] - window.start
        after = f"{units.seconds(reached)} after the load {window.began}"
        return f"{before:.0f} → {units.pods(peak)} {after}"
    length = units.seconds(window.end - window.start)
    low = ready[(ready.index >= window.start) & (ready.index <= window.end)].min()
    if low < before:
        return f"{before:.0f} → {units.pods(low)} during {length} of load"
    return f"{units.pods(before)} throughout {length} of load"


def _latency(df: pd.DataFrame, ready: pd.Series, window: Window) -> str:
    p99 = df.set_index("t")["p99"].dropna()
    during = p99[(p99.index >= window.start) & (p99.index <= window.end)]
    if during.empty:
        return "no request was answered" if p99.empty and _tried(df) else ""
    settled = _tail(during, window).median()
    if (early := _before_scaling(during, ready, window)) and _notable(settled, early):
        return f"p99 fell from {units.milliseconds(early)} to {units.milliseconds(settled)}"
    first = _at(p99, window.start)
    if _notable(first, settled):
        return f"p99 rose from {units.milliseconds(first)} to {units.milliseconds(settled)}"
    usual, worst = during.median(), during.max()
    at_worst = f", at worst {units.milliseconds(worst)}" if _notable(2 * usual, worst) else ""
    return f"p99 about {units.milliseconds(usual)}{at_worst}"


def _tail(during: pd.Series, window: Window) -> pd.Series:
    """The last fifth of the load: what it came to."""
    tail = during[during.index >= window.end - (window.end - window.start) / 5]
    return tail if len(tail) else during.iloc[-1:]


def _before_scaling(during: pd.Series, ready: pd.Series, window: Window) -> float | None:
    """The worst p99 until the new Pods had shown their effect; None if there were no new ones."""
    peak = ready[ready.index >= window.start].max()
    if not peak > _at(ready, window.start):
        return None
    reached = ready.index[(ready.index >= window.start) & (ready == peak)][0]
    before = during[during.index <= reached + _EFFECT]
    return before.max() if reached < window.end and len(before) else None


def _notable(low: float, high: float) -> bool:
    return high >= low * _NOTABLE and high - low >= _NOTABLE_MS


def _tried(df: pd.DataFrame) -> bool:
    return bool((df["offered"] > 0).any())


def _errors(df: pd.DataFrame) -> str:
    errors, offered = df["errors"].sum(), df["offered"].sum()
    return f"{units.percent(min(1.0, errors / offered))} of the requests failed" if errors else ""


def _after(ready: pd.Series, window: Window) -> str:
    before, during = _at(ready, window.start), ready[ready.index >= window.start]
    if during.empty or during.max() <= before or not window.over:
        return ""
    # The Pods that a short load asked for may become ready only after it has ended.
    later = ready[ready.index > max(window.end, during.idxmax())]
    if later.empty:
        return ""
    back = later.index[later <= before]
    if len(back):
        waited = units.seconds(back[0] - window.end)
        return f"back to {units.pods(before)} {waited} after it {window.ended}"
    waited = units.seconds(later.index[-1] - window.end)
    return f"still {units.pods(later.iloc[-1])} {waited} after it {window.ended}"
