"""`compare`: up to four recordings in one house figure.

The panels are those of `hpa_timeline`, cause above consequence, with one line for each recording;
below them, when each was over its objective.  A recording has a colour, a dash and its name, at the
end of each of its lines.  The title says what became different; the first one is what was before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.text import Text

from labkit.errors import UsageError
from labkit.observe import figure, units
from labkit.observe.comparison import Run, comparison
from labkit.observe.figure import Timeline
from labkit.observe.overlay_panels import STYLES, Line, draw
from labkit.observe.score import Prices, bill_of, frame_of, prices_of, scores_of

_LONGEST = 30  # characters of a name
_MOST_RIGHT = 2.9  # inches
_ROW = 0.19
#: Of recordings that differ by less the whole is compared.
_SAME_LENGTH = 0.97


def compare(
    recordings: Mapping[str, Any],
    objective_ms: float | None = None,
    prices: Prices | Mapping | None = None,
    title: str | None = None,
) -> Timeline:
    """Draw recordings, by name: `compare({"today": one, "with a policy": other})`.

    recordings     each a `Recorder`, what a `Simulation` has recorded, or the table of either
    objective_ms   the latency that p99 should stay under, in milliseconds
    prices         as for `scores`
    title          instead of the finding

    Raises UsageError when there are none, or more than can be told apart.
    """
    tables = _tables(recordings)
    until = _until(list(tables.values()))
    runs = _runs(recordings, tables, until, objective_ms, prices_of(prices))
    _, per, unit = figure.in_units(max(tables.values(), key=_length))
    lines = [
        Line(run.name, df, df.assign(t=df["t"] / per), style, per)
        for run, df, style in zip(runs, tables.values(), STYLES, strict=False)
    ]
    title = title or comparison(runs, until)
    strip = [] if objective_ms is None else [_ROW * len(lines) + 0.05]
    heights = [*figure.PANELS, *strip]
    picture, axes = figure.page(title, 0, _right(lines), heights)
    spans = [figure.span(line.df) for line in lines]
    axes[0].set_xlim(min(start for start, _ in spans), max(end for _, end in spans))
    draw(axes, lines, objective_ms)
    figure.name_clock(axes[-1], f"{unit} since each recording began ({_clocks(lines)})")
    picture.facts = "\n".join([title, *map(_facts, runs)])
    return picture


def _tables(recordings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    if not isinstance(recordings, Mapping) or not 1 <= len(recordings) <= len(STYLES):
        count = len(recordings) if isinstance(recordings, Mapping) else "No"
        raise UsageError(
            f"{count} recordings cannot be compared.",
            f"It takes one to {len(STYLES)}, each with a name: more lines nobody can tell apart.",
            'Write for example compare({"today": one, "with a policy": other}).',
        )
    found = {name: frame_of(recording) for name, recording in recordings.items()}
    for df in found.values():
        figure.check(df)
    return found


def _length(df: pd.DataFrame) -> float:
    return 0.0 if df.empty else float(df["t"].iloc[-1])


def _until(tables: Sequence[pd.DataFrame]) -> float | None:
    """How long all recordings are, if one is notably longer: only that much can be compared."""
    lengths = [_length(df) for df in tables]
    return min(lengths) if min(lengths) < _SAME_LENGTH * max(lengths) else None


def _runs(
    recordings: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    until: float | None,
    objective_ms: float | None,
    rates: Prices,
) -> list[Run]:
    found = []
    for name, df in tables.items():
        shown = str(name) if len(str(name)) <= _LONGEST else f"{str(name)[: _LONGEST - 1]}…"
        part = df if until is None else df[df["t"] <= until]
        # A bill is that of a whole recording.
        cost = bill_of(recordings[name]) if until is None else math.nan
        found.append(Run(shown, part, scores_of(part, cost, objective_ms, rates)))
    return found


def _right(lines: Sequence[Line]) -> float:
    """Room for the names, in inches."""
    probe, _ = figure.page("")
    renderer = probe.canvas.get_renderer()
    widest = 0.0
    for line in lines:
        text = Text(0, 0, f"{line.name}: errors 999/s", fontsize=9)
        text.set_figure(probe)
        widest = max(widest, text.get_window_extent(renderer).width / probe.dpi)
    return min(_MOST_RIGHT, max(figure.RIGHT, widest + 0.2))


def _clocks(lines: Sequence[Line]) -> str:
    clocks = {line.name: line.df.attrs.get("clock", figure.WALL_CLOCK) for line in lines}
    if len(set(clocks.values())) == 1:
        return next(iter(clocks.values()))
    return "; ".join(f"{name}: {clock}" for name, clock in clocks.items())


def _facts(run: Run) -> str:
    found = run.scores
    over = "" if found.isna()["seconds_over"] else f"{found['seconds_over']:.0f} s over, "
    return (
        f"{run.name}: {over}{found['lost']:.0f} of {found['requests']:.0f} requests failed, "
        f"up to {units.pods(found['peak_replicas'])}, {found['pod_seconds']:.0f} Pod-seconds, "
        f"{found['churn']:.0f} replicas added or removed"
    )
