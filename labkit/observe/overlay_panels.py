"""The panels of a comparison: one line for each recording, told apart by colour, dash and name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from labkit.observe import panels, units
from labkit.observe.labels import Label, name_lines
from labkit.observe.panels import LOAD, THRESHOLD, at_end, column, dark, steps
from labkit.observe.score import durations, over

_DASHED = (0, (5, 2))


@dataclass(frozen=True)
class Style:
    """How the lines of one recording look; wide ones lie under narrow ones, so that all show."""

    color: str
    dash: Any
    width: float

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.color, "linestyle": self.dash, "linewidth": self.width}


#: Blue, vermillion, reddish purple and black of Okabe and Ito.
STYLES = (
    Style("#0072B2", "-", 3.0),
    Style("#D55E00", (0, (4, 1.2)), 2.2),
    Style("#CC79A7", (0, (5, 1, 1, 1)), 1.9),
    Style("#000000", (0, (1, 1.1)), 1.5),
)


@dataclass(frozen=True)
class Line:
    """A recording as it is drawn: in `df` times are in the unit of the x axis, `per` seconds."""

    name: str
    recorded: pd.DataFrame
    df: pd.DataFrame
    style: Style
    per: float

    def label(self, series: pd.Series, shown: Callable[[float], str], **options: bool) -> Label:
        return at_end(
            series, lambda y: f"{self.name}: {shown(y)}", dark(self.style.color), **options
        )


def draw(axes: Sequence[Axes], lines: Sequence[Line], objective_ms: float | None) -> None:
    """Draw all; the last of the axes is there if there is an objective."""
    headings = (
        "Load: requests per second",
        "CPU: % of the request, average of the Pods",
        "Replicas: Pods that are ready",
        "Latency: p99, time since the scheduled start (logarithmic)",
        f"Over the objective: p99 above {units.milliseconds(objective_ms or 0)}, or requests fail",
    )
    for each, heading in zip(axes, headings, strict=False):
        panels.dress(each, heading)
    load, cpu, replicas, latency, *strip = axes
    _draw_load(load, lines)
    _draw_cpu(cpu, lines)
    _draw_replicas(replicas, lines)
    _draw_latency(latency, lines, objective_ms)
    for each in strip:
        _draw_over(each, lines, objective_ms)


def _draw_load(axes: Axes, lines: Sequence[Line]) -> None:
    """What was offered, once where it was the same for all; and each one's errors."""
    offered = [column(line.df, "offered") for line in lines]
    if not any(each.notna().any() for each in offered):
        panels.say(axes, "no load in these recordings")
        return
    highest = max(each.max() for each in offered if each.notna().any())
    labels, common = [], []
    longest = max(offered, key=len)
    if all(longest.iloc[: len(each)].equals(each) for each in offered):
        t, y = steps(longest, before=True)
        axes.fill_between(t, y, color=LOAD, alpha=0.22, linewidth=0)
        axes.plot(t, y, color=dark(LOAD), linewidth=1.3, linestyle=_DASHED)
        common = [_where_it_ends(longest, "offered", dark(LOAD))]
    else:
        labels += [
            _rate(axes, line, each, f"{line.name}:") for line, each in _known(lines, offered)
        ]
    errors = [column(line.df, "errors").replace(0, np.nan) for line in lines]
    for line, each in _known(lines, errors):
        highest = max(highest, each.max())
        labels.append(_rate(axes, line, each.fillna(0), f"{line.name}: errors"))
    axes.set_ylim(0, max(1.0, 1.12 * highest))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    name_lines(axes, [*common, *_in_margin(axes, labels)])


def _known(lines: Sequence[Line], columns: Sequence[pd.Series]) -> list[tuple[Line, pd.Series]]:
    """Those of which anything is known."""
    pairs = zip(lines, columns, strict=True)
    return [(line, each) for line, each in pairs if each.notna().any()]


def _rate(axes: Axes, line: Line, rate: pd.Series, name: str) -> Label:
    axes.plot(*steps(rate, before=True), **line.style.line)
    return _where_it_ends(rate, name, dark(line.style.color))


def _where_it_ends(series: pd.Series, name: str, color: panels.Color) -> Label:
    """A label where there was load for the last time: zeros at the very end say nothing."""
    last = panels.last_above_zero(series)
    return Label(last, series[last], f"{name} {units.per_second(series[last])}", color)


def _in_margin(axes: Axes, labels: Sequence[Label]) -> list[Label]:
    """The same on the right of the panel, where no recording that is longer goes on."""
    return [replace(label, x=axes.get_xlim()[1]) for label in labels]


def _draw_cpu(axes: Axes, lines: Sequence[Line]) -> None:
    used = [column(line.df, "cpu_utilization") for line in lines]
    targets = {value for line in lines for value in column(line.df, "cpu_target").dropna()}
    values = [*targets, *(value for each in used for value in each.dropna())]
    if not values:
        panels.say(axes, "no autoscaler with a CPU target in these recordings")
        return
    axes.set_ylim(0, 1.12 * max(10.0, *values))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    labels = []
    for line, each in _known(lines, used):
        axes.plot(*steps(each), **line.style.line)
        labels.append(line.label(each, lambda value: f"{value:.0f} %"))
    for target in sorted(targets):
        axes.axhline(target, color=THRESHOLD, linewidth=1.1, linestyle=_DASHED, zorder=1)
        labels.append(Label(0, target, f"target {target:g} %", THRESHOLD))
    name_lines(axes, _in_margin(axes, labels))


def _draw_replicas(axes: Axes, lines: Sequence[Line]) -> None:
    ready = [column(line.df, "replicas_ready") for line in lines]
    if not any(each.notna().any() for each in ready):
        panels.say(axes, "no Deployment in these recordings")
        return
    axes.set_ylim(0, 1.2 * max(1.0, *(each.max() for each in ready if each.notna().any())))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    labels = []
    for line, each in _known(lines, ready):
        axes.plot(*steps(each), **line.style.line)
        labels.append(line.label(each, lambda count: f"{count:.0f}"))
    name_lines(axes, _in_margin(axes, labels))


def _draw_latency(axes: Axes, lines: Sequence[Line], objective_ms: float | None) -> None:
    p99 = [column(line.df, "p99") for line in lines]
    p99 = [each.where(each > 0) for each in p99]
    values = [value for each in p99 for value in each.dropna()]
    if not values:
        axes.set_yticks([])
        panels.say(axes, "no answered requests in these recordings")
        return
    panels.log_axis(axes, [*values, *([objective_ms] if objective_ms else [])])
    labels = []
    for line, each in _known(lines, p99):
        style = line.style.line | {"linewidth": line.style.width * 0.7}
        panels.plot_with_holes(axes, each, **style)
        labels.append(line.label(each, units.milliseconds, holds=False))
    if objective_ms:
        axes.axhline(objective_ms, color=THRESHOLD, linewidth=1.1, linestyle=_DASHED)
        text = f"objective {units.milliseconds(objective_ms)}"
        labels.append(Label(0, objective_ms, text, THRESHOLD))
    name_lines(axes, _in_margin(axes, labels))


def _draw_over(axes: Axes, lines: Sequence[Line], objective_ms: float) -> None:
    """A row for each recording, filled while it was over its objective."""
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks([])
    axes.grid(visible=False)
    labels = []
    for row, line in enumerate(lines):
        axes.axhline(row, color=panels.GRID, linewidth=1.0, zorder=0)
        bars = _bars(line, objective_ms)
        axes.broken_barh(bars, (row - 0.36, 0.72), color=line.style.color)
        seconds = sum(length for _, length in bars) * line.per
        shown = units.seconds(seconds) if seconds else "never"
        labels.append(Label(0, row, f"{line.name}: {shown}", dark(line.style.color)))
    name_lines(axes, _in_margin(axes, labels))


def _bars(line: Line, objective_ms: float) -> list[tuple[float, float]]:
    """When a recording was over its objective: from, and for how long."""
    late, lasted = over(line.recorded, objective_ms), durations(line.recorded) / line.per
    bars: list[tuple[float, float]] = []
    for t, length in zip(line.df["t"][late], lasted[late], strict=True):
        start = t - length
        if bars and start - sum(bars[-1]) < length / 2:
            bars[-1] = (bars[-1][0], t - bars[-1][0])
        else:
            bars.append((start, length))
    return bars
