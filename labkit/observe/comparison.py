"""Several recordings → one sentence: who scaled earlier, kept the objective, paid less.  Pure.

    with a policy, against today: scaled out 45 s earlier; 12 s over 250 ms instead of 70 s; cost
    $0.0211 instead of $0.0240, 12 % less

What was the same is left out, and what cannot be known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from labkit.observe import units
from labkit.observe.finding import load_window

#: Scaling out is no earlier and no later by less than this (s): a Pod may start as fast.
_NOTABLE = 2.0


@dataclass(frozen=True)
class Run:
    """One recording: its name, its table as far as it is compared, and the scores of that."""

    name: str
    df: pd.DataFrame
    scores: pd.Series


def comparison(runs: Sequence[Run], until: float | None = None) -> str:
    """What became different, computed from the numbers alone; the first run is what was before.

    `until` is said if the recordings were only compared for so many seconds.
    """
    when = f", in the first {units.seconds(until)}" if until else ""
    if len(runs) == 1:
        return f"{runs[0].name}: {_alone(runs[0])}"
    parts = [_scaled, _kept, _lost, _paid]
    if len(runs) == 2:
        said = [part(*runs) for part in parts]
        said = "; ".join(one for one in said if one) or "no difference"
        return f"{runs[1].name}, against {runs[0].name}{when}: {said}"
    said = "; ".join(one for one in _best(runs) if one) or "no difference"
    return said[0].upper() + said[1:] + when


def first_rise(df: pd.DataFrame) -> float:
    """Seconds from the beginning of the load until there was one ready Pod more; or NaN."""
    window = load_window(df)
    if window is None:
        return math.nan
    ready = df.set_index("t")["replicas_ready"].dropna()
    during = ready[ready.index >= window.start]
    rose = during.index[during.diff() > 0]
    return float(rose[0] - window.start) if len(rose) else math.nan


def costs(runs: Sequence[Run]) -> list[float]:
    """What each has cost: its nodes, where those of any have a price, or else what Pods request."""
    column = cost_column(pd.DataFrame([run.scores for run in runs]))
    return [run.scores[column] for run in runs]


def cost_column(scores: pd.DataFrame) -> str:
    """Which score is the cost that can be compared."""
    return "nodes_cost" if (scores["nodes_cost"] > 0).any() else "cost"


def _alone(run: Run) -> str:
    parts = [_over(run), f"cost {units.dollars(cost)}" if (cost := costs([run])[0]) > 0 else ""]
    return ", ".join(part for part in parts if part) or units.pods(run.scores["peak_replicas"])


def _over(run: Run) -> str:
    over = run.scores["seconds_over"]
    if math.isnan(over):
        return ""
    return f"{_time(over)} over {units.milliseconds(run.scores['objective_ms'])}"


def _time(seconds: float) -> str:
    return units.seconds(seconds) if seconds else "0 s"


def _scaled(old: Run, new: Run) -> str:
    before, after = first_rise(old.df), first_rise(new.df)
    if math.isnan(before) and math.isnan(after):
        return ""
    if math.isnan(after):
        return "did not scale out"
    if math.isnan(before):
        return f"scaled out after {_time(after)}"
    if abs(before - after) < _NOTABLE:
        return ""
    return f"scaled out {_time(abs(before - after))} {'earlier' if after < before else 'later'}"


def _kept(old: Run, new: Run) -> str:
    before, after = old.scores["seconds_over"], new.scores["seconds_over"]
    if math.isnan(before) or math.isnan(after) or before == after:
        return ""
    return f"{_over(new)} instead of {_time(before)}"


def _lost(old: Run, new: Run) -> str:
    before, after = round(_known(old.scores["lost"])), round(_known(new.scores["lost"]))
    return "" if before == after else f"{after} requests failed instead of {before}"


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _paid(old: Run, new: Run) -> str:
    before, after = costs([old, new])
    if math.isnan(before) or math.isnan(after) or units.dollars(before) == units.dollars(after):
        return ""
    if not before:
        return f"cost {units.dollars(after)}"
    share = units.percent(abs(after / before - 1))
    than = f"{share} {'less' if after < before else 'more'}"
    return f"cost {units.dollars(after)} instead of {units.dollars(before)}, {than}"


def _best(runs: Sequence[Run]) -> list[str]:
    objective = units.milliseconds(runs[0].scores["objective_ms"])
    rises = [first_rise(run.df) for run in runs]
    over = [run.scores["seconds_over"] for run in runs]
    known = [rise for rise in rises if rise == rise]
    notable = bool(known) and max(known) - min(known) >= _NOTABLE
    return [
        _extremes("first to scale out", runs, rises, _time) if notable else "",
        _extremes(f"least over {objective}", runs, over, _time),
        _extremes("cheapest", runs, costs(runs), units.dollars),
    ]


def _extremes(
    what: str, runs: Sequence[Run], values: Sequence[float], shown: Callable[[float], str]
) -> str:
    known = [(value, run.name) for value, run in zip(values, runs, strict=True) if value == value]
    if not known:
        return ""
    low, high = min(known, key=_first)[0], max(known, key=_first)[0]
    if shown(low) == shown(high):
        return ""
    best = [name for value, name in known if shown(value) == shown(low)]
    return f"{what}: {' and '.join(best)} ({shown(low)}, others up to {shown(high)})"


def _first(pair: tuple[float, str]) -> float:
    return pair[0]
