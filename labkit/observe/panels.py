"""The four panels of the house figure.

Each takes its axes and the recording, and copes with columns of nothing but NaN: it then says what
is missing instead of showing an empty frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from labkit.observe import units
from labkit.observe.labels import Label, name_lines

READY, DESIRED, GAP = "#0072B2", "#D55E00", "#E69F00"
LOAD, P99, CPU = "#56B4E9", "#CC79A7", "#009E73"
THRESHOLD, INK, QUIET, GRID = "#444444", "#333333", "#8A8A8A", "#E8E8E8"
ERRORS = "#000000"
Color = str | tuple[float, float, float]
#: Behind text that may lie on a line.
_PLAIN = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8}
_LATENCY_STYLES = ((1.2, (0, (2, 1))), (2.0, "-"))


def draw(
    axes: Sequence[Axes],
    df: pd.DataFrame,
    objective_ms: float | None,
    tolerance: float,
    *,
    seconds_per_unit: float = 1.0,
) -> None:
    """Draw all four; `df["t"]` is in the unit of the x axis."""
    load, cpu, replicas, latency = axes
    for each, heading in zip(
        axes,
        (
            "Load: requests per second",
            "CPU: % of the request, average of the Pods",
            "Replicas: Pods",
            "Latency: time since the scheduled start (logarithmic)",
        ),
        strict=True,
    ):
        dress(each, heading)
    draw_load(load, df)
    draw_cpu(cpu, df, tolerance)
    draw_replicas(replicas, df, seconds_per_unit)
    draw_latency(latency, df, objective_ms)


def draw_load(axes: Axes, df: pd.DataFrame) -> None:
    """Offered and completed requests, and errors."""
    offered, completed, errors = (column(df, name) for name in ("offered", "completed", "errors"))
    if not offered.notna().any():
        say(axes, "no load in this recording")
        return
    t, y = steps(completed, before=True)
    axes.fill_between(t, y, color=LOAD, alpha=0.22, linewidth=0)
    axes.plot(t, y, color=LOAD, linewidth=1.8)
    t, y = steps(offered, before=True)
    axes.plot(t, y, color=dark(LOAD), linewidth=1.3, linestyle=(0, (4, 2)))
    # At the very end all may be zero, which says nothing: they are named where the load ends.
    last = last_above_zero(offered)
    labels = [_rate(completed, last, "completed", LOAD), _rate(offered, last, "offered", LOAD)]
    if (errors > 0).any():
        t, y = steps(errors, before=True)
        axes.fill_between(t, y, facecolor="none", edgecolor=ERRORS, hatch="xxxxx", linewidth=0.6)
        labels.append(_rate(errors, last_above_zero(errors), "errors", ERRORS))
    axes.set_ylim(0, max(1.0, 1.12 * np.nanmax([offered.max(), completed.max(), errors.max()])))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    name_lines(axes, labels)


def draw_cpu(axes: Axes, df: pd.DataFrame, tolerance: float) -> None:
    """Utilization as the autoscaler saw it, its target, and the band in which it does nothing."""
    used, target = column(df, "cpu_utilization"), column(df, "cpu_target")
    if not (used.notna() | target.notna()).any():
        say(axes, "no autoscaler with a CPU target in this recording")
        return
    highest = np.nanmax([10.0, used.max(), target.max() * (1 + tolerance)])
    axes.set_ylim(0, 1.12 * highest)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    labels = []
    if used.notna().any():
        axes.plot(*steps(used), color=CPU, linewidth=1.8)
        labels.append(at_end(used, lambda value: f"CPU {value:.0f} %", dark(CPU)))
    else:
        say(axes, "CPU utilization is not known yet")
    if target.notna().any():
        t, y = steps(target)
        low, high = y * (1 - tolerance), y * (1 + tolerance)
        axes.fill_between(t, low, high, color=THRESHOLD, alpha=0.16, linewidth=0)
        axes.plot(t, y, color=THRESHOLD, linewidth=1.1, linestyle=(0, (5, 2)))
        labels.append(at_end(target, lambda y: f"target {y:g} ± {y * tolerance:g} %", THRESHOLD))
    name_lines(axes, labels)


def draw_replicas(axes: Axes, df: pd.DataFrame, seconds_per_unit: float) -> None:
    """Desired and ready Pods; between them, hatched, the time that Pods need."""
    ready, desired = column(df, "replicas_ready"), column(df, "replicas_desired")
    desired = desired.fillna(column(df, "replicas_spec"))
    if not ready.notna().any():
        say(axes, "no Deployment in this recording")
        return
    axes.set_ylim(0, np.nanmax([1.0, ready.max(), desired.max()]) * 1.2)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    labels = [at_end(ready, lambda count: f"ready {count:.0f}", READY)]
    if desired.notna().any():
        _hatch(axes, desired, ready, seconds_per_unit)
        axes.plot(*steps(desired), color=DESIRED, linewidth=1.5, linestyle=(0, (3, 1.5)))
        labels.append(at_end(desired, lambda count: f"desired {count:.0f}", DESIRED))
    axes.plot(*steps(ready), color=READY, linewidth=2.0)
    name_lines(axes, labels)


def draw_latency(axes: Axes, df: pd.DataFrame, objective_ms: float | None) -> None:
    """p50 and p99 on a logarithmic axis, with the objective."""
    columns = {name: column(df, name) for name in ("p50", "p99")}
    lines = {name: column.where(column > 0) for name, column in columns.items()}
    values = np.concatenate([line.dropna() for line in lines.values()])
    if not len(values):
        axes.yaxis.set_major_locator(NullLocator())
        say(axes, "no answered requests in this recording")
        return
    log_axis(axes, [*values, *([objective_ms] if objective_ms else [])])
    labels = []
    for (name, line), (width, style) in zip(lines.items(), _LATENCY_STYLES, strict=True):
        if line.notna().any():
            plot_with_holes(axes, line, color=P99, linewidth=width, linestyle=style)
            labels.append(at_end(line, _latency_name(name), dark(P99), holds=False))
    if objective_ms:
        axes.axhline(objective_ms, color=THRESHOLD, linewidth=1.1, linestyle=(0, (5, 2)))
        text = f"objective {units.milliseconds(objective_ms)}"
        labels.append(Label(axes.get_xlim()[1], objective_ms, text, THRESHOLD))
    name_lines(axes, labels)


def log_ticks(low: float, high: float) -> list[float]:
    """At most five round values from `low` to `high`: 1-2-5, or powers of ten, or every other."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
        ticks = [step * 10.0**decade for decade in decades[::every] for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 5:
            return ticks
    return ticks


def log_axis(axes: Axes, values: Sequence[float]) -> None:
    """Make the y axis logarithmic, in milliseconds, with room for `values`."""
    low, high = _decades(min(values), max(values))
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(_Fixed(log_ticks(low, high)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.milliseconds(value)))


def gaps(desired: pd.Series, ready: pd.Series) -> list[tuple[float, float]]:
    """The intervals in which fewer Pods are ready than desired."""
    both = pd.concat({"desired": desired, "ready": ready}, axis=1).dropna()
    found: list[tuple[float, float]] = []
    start = None
    for t, row in both.iterrows():
        behind = row["ready"] < row["desired"]
        if behind and start is None:
            start = t
        elif not behind and start is not None:
            found.append((start, t))
            start = None
    if start is not None and len(both):
        found.append((start, both.index[-1]))
    return found


def _hatch(axes: Axes, desired: pd.Series, ready: pd.Series, seconds_per_unit: float) -> None:
    t, high = steps(desired)
    _, low = steps(ready)
    axes.fill_between(
        t, low, high, where=low != high, facecolor=(*to_rgb(GAP), 0.18), edgecolor=GAP,
        hatch="//////", linewidth=0,
    )  # fmt: skip
    widest = max(gaps(desired, ready), key=lambda gap: gap[1] - gap[0], default=None)
    if widest is None or widest[1] == widest[0]:
        return
    inside = (desired.index >= widest[0]) & (desired.index < widest[1])
    middle = (ready[inside].min() + desired[inside].max()) / 2
    length = units.seconds((widest[1] - widest[0]) * seconds_per_unit)
    _name_gap(axes, *widest, middle, f"Pods {length} behind")


def _name_gap(axes: Axes, start: float, end: float, middle: float, text: str) -> None:
    """Within the gap if it is wide, else beside it, where the panel is empty: below the line on
    its right, above the line on its left."""
    left, right = axes.get_xlim()
    needed = 0.062 * len(text) / axes.get_window_extent().width * 100 * (right - left)
    if end - start > needed:
        x, offset, align = (start + end) / 2, 0, "center"
    elif right - end > needed:
        x, offset, align = end, 6, "left"
    elif start - left > needed:
        x, offset, align = start, -6, "right"
    else:
        return
    axes.annotate(
        text, (x, middle), xytext=(offset, 0), textcoords="offset points", ha=align, va="center",
        fontsize=8.5, color=dark(GAP, 0.55), zorder=9, bbox=_PLAIN,
    )  # fmt: skip


def dress(axes: Axes, heading: str) -> None:
    """Give a panel its heading and grid, and take away what says nothing."""
    axes.set_title(heading, loc="left", fontsize=9, color=INK, pad=4, zorder=12, bbox=_PLAIN)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, labelcolor=INK, color="#BBBBBB", length=0, labelbottom=False)


def say(axes: Axes, text: str) -> None:
    """Write into a panel why it shows nothing."""
    if not axes.lines:
        axes.set_yticks([])
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=9,
        color=QUIET, style="italic", zorder=9, bbox=_PLAIN,
    )  # fmt: skip


def column(df: pd.DataFrame, name: str) -> pd.Series:
    """A column by `t`; NaN stays, so that lines have a hole where nothing is known."""
    return df.set_index("t")[name].astype(float)


def steps(series: pd.Series, *, before: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a step line.

    A value holds from its time until the next one; with `before` it holds since the previous one,
    as the load does, which is counted in the second before the sample.
    """
    t, y = series.index.to_numpy(dtype=float), series.to_numpy(dtype=float)
    if before:
        return np.repeat(t, 2)[:-1], np.repeat(y, 2)[1:]
    return np.append(np.repeat(t, 2)[1:], t[-1] + interval(t)), np.repeat(y, 2)


def interval(t: np.ndarray) -> float:
    """How long the last of the samples at `t` holds: the usual time from one to the next."""
    return float(np.median(np.diff(t))) if len(t) > 1 else 1.0


def at_end(
    series: pd.Series, text: Callable[[float], str], color: Color, *, holds: bool = True
) -> Label:
    """The name of a line where it ends; of a step line that is where its last value no longer
    `holds`."""
    known = series.dropna()
    end = known.index[-1] + (interval(series.index.to_numpy()) if holds else 0)
    return Label(end, known.iloc[-1], text(known.iloc[-1]), color)


def last_above_zero(series: pd.Series) -> float:
    """When a series was above zero for the last time; its end if it never was."""
    above = series.index[series > 0]
    return above[-1] if len(above) else series.last_valid_index()


def _rate(series: pd.Series, t: float, name: str, color: str) -> Label:
    value = series[t]
    return Label(t, value, f"{name} {units.per_second(value)}", dark(color))


def _latency_name(name: str) -> Callable[[float], str]:
    return lambda value: f"{name} {units.milliseconds(value)}"


def plot_with_holes(axes: Axes, line: pd.Series, **style: Any) -> None:
    """A line that ends where nothing is known."""
    axes.plot(line.index, line, **style)
    # A lone value between two holes would be invisible without a marker.
    known = line.notna()
    alone = known & ~known.shift(1, fill_value=False) & ~known.shift(-1, fill_value=False)
    axes.plot(line.index[alone], line[alone], ".", color=style["color"], markersize=5)


def _decades(low: float, high: float) -> tuple[float, float]:
    """The limits of a logarithmic axis: some air around the values, and never less than ×10."""
    low, high = low / 1.4, high * 1.5
    missing = max(1.0, 10 / (high / low))
    return low / missing**0.5, high * missing**0.5


def dark(color: str, factor: float = 0.72) -> Color:
    """A colour dark enough to read small text in."""
    red, green, blue = to_rgb(color)
    return red * factor, green * factor, blue * factor


class _Fixed(MaxNLocator):
    """Ticks at given values (FixedLocator thins them out on a logarithmic axis)."""

    def __init__(self, ticks: Sequence[float]) -> None:
        super().__init__()
        self._ticks = list(ticks)

    def __call__(self) -> list[float]:
        return self._ticks

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        return self._ticks
