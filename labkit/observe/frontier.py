"""`trade_off`: a sweep, or some recordings, as points: cost against latency, and the unbeaten ones.

A point that another beats in both has no reason to be chosen; what remains is the Pareto front, and
going along it buys latency with money.  The title says where it crosses the objective.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox

from labkit.errors import UsageError
from labkit.observe import figure, panels, units
from labkit.observe.comparison import cost_column
from labkit.observe.figure import Timeline
from labkit.observe.labels import Label, name_lines, shortened
from labkit.observe.panels import QUIET, READY, THRESHOLD
from labkit.observe.score import Scores, scores

_HEIGHT = 3.9  # inches
_CHANCE, _RUN = "seed", "run"
_LIMIT = "objective"
#: Where a label may stand, best first: right, above, below, left, and further away.
_PLACES = [
    (dx, dy, align)
    for far in (1.0, 2.0, 3.2)
    for dx, dy, align in (
        (8, 0, "left"),
        (6, 9 * far, "left"),
        (6, -9 * far, "left"),
        (0, 11 * far, "center"),
        (0, -11 * far, "center"),
        (-6, 9 * far, "right"),
        (-6, -9 * far, "right"),
        (-8, 0, "right"),
    )
]


class Point(NamedTuple):
    """One setting: dollars and milliseconds, of all its seeds the mean and the median.

    `name` stands in sentences, `short` at the point.
    """

    name: str
    short: str
    cost: float
    latency: float
    runs: tuple[tuple[float, float], ...]

    def beats(self, other: Point) -> bool:
        """Whether it is as good in both, and better in one."""
        mine, its = (self.cost, self.latency), (other.cost, other.latency)
        return mine != its and all(one <= two for one, two in zip(mine, its, strict=True))


def trade_off(
    found: pd.DataFrame | Mapping[str, Any],
    objective_ms: float | None = None,
    title: str | None = None,
) -> Timeline:
    """Draw the table of a `sweep`: what each setting costs, and the p99 that its requests met.

    Rows that differ by `seed` alone make one point.  Any table will do that has the columns of
    `Scores`; its other columns name the points.  The objective is that of the table, unless it is
    given.  Recordings by name, as for `compare`, will do as well.  Raises UsageError.
    """
    df = _table(found, objective_ms) if isinstance(found, Mapping) else found
    points = points_of(df)
    best = front(points)
    objective_ms = _objective(df) if objective_ms is None else objective_ms
    title = title or finding(points, objective_ms)
    paths = varied(df)
    foot = 0.76 if len(paths) > 1 else 0.56
    picture, (axes,) = figure.page(title, heights=[_HEIGHT], foot=foot)
    _dress(axes, points, objective_ms, paths)
    _draw(axes, points, best)
    picture.facts = "\n".join([title, *(_fact(one, one in best) for one in points)])
    return picture


def _table(recordings: Mapping[str, Any], objective_ms: float | None) -> pd.DataFrame:
    """A row for each recording, as a sweep would make."""
    rows = [{_RUN: name, **scores(one, objective_ms)} for name, one in recordings.items()]
    return pd.DataFrame(rows)


def varied(df: pd.DataFrame) -> list[str]:
    """The settings that tell the points of a table apart."""
    settings = [name for name in df.columns if name not in (*Scores._fields, _CHANCE)]
    return [name for name in settings if df[name].nunique(dropna=False) > 1]


def points_of(df: pd.DataFrame) -> list[Point]:
    """The settings of a table, in its order."""
    missing = [name for name in Scores._fields if name not in df.columns]
    if missing or df.empty:
        raise UsageError(
            f"The table has no {f'column {missing[0]}' if missing else 'rows'}.",
            "A trade-off is drawn of scores.",
            "Write for example trade_off(sweep(scenario, over, objective_ms=250)).",
        )
    cost = cost_column(df)
    paths = varied(df)
    groups = df.groupby(paths, sort=False, dropna=False) if paths else [((), df)]
    found = []
    for values, rows in groups:
        known = rows[rows[cost].notna() & rows["p99_ms"].notna()]
        runs = tuple(zip(known[cost], known["p99_ms"], strict=True))
        if runs:
            name, short = _names(paths, values)
            found.append(Point(name, short, known[cost].mean(), known["p99_ms"].median(), runs))
    if not found:
        raise UsageError(
            "Of no row both cost and latency are known.",
            "There was no load, or there were no Pods.",
            "Look at the columns cost and p99_ms.",
        )
    return found


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats, from the cheapest to the fastest; failing is no way to save."""
    served = [one for one in points if math.isfinite(one.latency)] or points
    best = [one for one in served if not any(other.beats(one) for other in served)]
    return sorted(best, key=lambda one: (one.cost, one.latency))


def finding(points: Sequence[Point], objective_ms: float | None) -> str:
    """The cheapest that keeps the objective, computed from the numbers alone."""
    best = front(points)
    if objective_ms is None:
        cheap, fast = best[0], best[-1]
        if cheap == fast:
            return f"Cheapest and fastest: {_said(cheap)}"
        return f"Cheapest: {_said(cheap)}; fastest: {_said(fast)}"
    limit = units.milliseconds(objective_ms)
    kept = [one for one in best if one.latency <= objective_ms]
    count = sum(one.latency <= objective_ms for one in points)
    if count > 1:
        return f"{count} of {len(points)} keep {limit}; the cheapest: {_said(kept[0])}"
    if kept:
        return f"One of {len(points)} keeps {limit}: {_said(kept[0])}"
    fast = min(best, key=lambda one: (one.latency, one.cost))
    return f"None of {len(points)} keeps {limit}; nearest: {_said(fast)}"


def _said(point: Point) -> str:
    return f"{point.name} ({units.dollars(point.cost)}, p99 {_latency(point.latency)})"


def _latency(value: float) -> str:
    return "infinite: too many requests failed" if math.isinf(value) else units.milliseconds(value)


def _fact(point: Point, is_best: bool) -> str:
    mark = "  nothing is cheaper and as fast" if is_best else ""
    return f"{point.name}: {units.dollars(point.cost)}, p99 {_latency(point.latency)}{mark}"


def _objective(df: pd.DataFrame) -> float | None:
    known = df["objective_ms"].dropna().unique()
    return float(known[0]) if len(known) == 1 else None


def _names(paths: Sequence[str], values: Hashable) -> tuple[str, str]:
    """`minReplicas 4, minutes 5` for a sentence, `4 · 5` for a point."""
    values = values if isinstance(values, tuple) else (values,)
    each = [f"{name} {_value(one)}" for name, one in zip(shortened(paths), values, strict=True)]
    if len(paths) == 1:
        name = values[0] if isinstance(values[0], str) else each[0]
        return name, name
    return ", ".join(each) or "all", " · ".join(map(_value, values)) or "all"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _dress(
    axes: Axes, points: Sequence[Point], objective_ms: float | None, paths: Sequence[str]
) -> None:
    heading = "Latency: the p99 that 99 of 100 requests met (logarithmic)"
    panels.dress(axes, heading)
    finite = [ms for one in points for _, ms in one.runs if math.isfinite(ms) and ms > 0]
    panels.log_axis(axes, [*finite, *([objective_ms] if objective_ms else [])] or [100.0])
    if any(math.isinf(ms) for one in points for _, ms in one.runs):
        low, high = axes.get_ylim()
        axes.set_ylim(low, high * (high / low) ** 0.18)
        axes.axhspan(high, axes.get_ylim()[1], color=panels.GRID, alpha=0.6, linewidth=0)
        axes.text(
            0.008, 0.985, "more than one in a hundred failed", transform=axes.transAxes,
            fontsize=8.5, color=QUIET, va="top",
        )  # fmt: skip
    costs = [cost for one in points for cost, _ in one.runs]
    room = 0.08 * (max(costs) - min(costs)) or 0.1 * max(costs) or 1.0
    # Names stand on the right of their points.
    axes.set_xlim(max(0.0, min(costs) - room), max(costs) + 2.2 * room)
    axes.xaxis.set_major_locator(MaxNLocator(8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.dollars(max(0, value))))
    axes.tick_params(axis="x", labelbottom=True, length=3)
    seeds = "; small dots: single seeds" if any(len(one.runs) > 1 for one in points) else ""
    names = f"\npoints: {' · '.join(shortened(paths))}" if len(paths) > 1 else ""
    text = axes.set_xlabel(f"cost of a run in dollars{seeds}{names}", fontsize=9, linespacing=1.4)
    text.set_color(panels.INK)
    if objective_ms:
        axes.axhline(
            objective_ms, color=THRESHOLD, linewidth=1.1, linestyle=(0, (5, 2)), gid=_LIMIT
        )
        text = f"objective {units.milliseconds(objective_ms)}"
        name_lines(axes, [Label(axes.get_xlim()[1], objective_ms, text, THRESHOLD)])


def _draw(axes: Axes, points: Sequence[Point], best: Sequence[Point]) -> None:
    failed = _failed(axes)
    for one in points:
        if len(one.runs) > 1:
            xs, ys = zip(*((cost, min(ms, failed)) for cost, ms in one.runs), strict=True)
            axes.plot(xs, ys, ".", color=QUIET, markersize=3.5, alpha=0.7, zorder=2)
    if len(best) > 1:
        # Between two settings there is nothing to be had: a staircase.
        xs, ys = [one.cost for one in best], [min(one.latency, failed) for one in best]
        axes.step(xs, ys, where="post", color=READY, linewidth=1.3, alpha=0.6, zorder=2)
    for one in points:
        style = {"color": READY} if one in best else {"color": QUIET, "markerfacecolor": "white"}
        axes.plot(one.cost, min(one.latency, failed), "o", markersize=7, zorder=4, **style)
    _name_points(axes, [*best, *(one for one in points if one not in best)], best)


def _failed(axes: Axes) -> float:
    """Where what is infinite is drawn."""
    low, high = axes.get_ylim()
    return high * (low / high) ** 0.06


def _name_points(axes: Axes, points: Sequence[Point], best: Sequence[Point]) -> None:
    """Name as many points as there is room for, those on the front first."""
    renderer = axes.figure.canvas.get_renderer()
    inside = axes.get_window_extent(renderer)
    taken = _drawn(axes, points, best)
    for one in points:
        color = panels.dark(READY) if one in best else panels.INK
        weight = "bold" if one in best else "normal"
        for label in _candidates(axes, one, color=color, fontweight=weight):
            label.update_positions(renderer)
            box = Text.get_window_extent(label, renderer).padded(2)  # without its arrow
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1
            fits = fits and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if fits and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()


def _drawn(axes: Axes, points: Sequence[Point], best: Sequence[Point]) -> list[Bbox]:
    """What a name must not cover: the points, their seeds, the front, and other text."""
    failed, place = _failed(axes), axes.transData.transform
    spots = [place((one.cost, min(one.latency, failed))) for one in points]
    seeds = [place((cost, min(ms, failed))) for one in points for cost, ms in one.runs]
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in spots]
    taken += [Bbox.from_bounds(x - 2, y - 2, 4, 4) for x, y in seeds]
    corners = [place((one.cost, min(one.latency, failed))) for one in best]
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        taken += [Bbox([[x0, y0 - 1], [x1, y0 + 1]]), Bbox([[x1 - 1, y1], [x1 + 1, y0]])]
    for line in axes.lines:
        if line.get_gid() == _LIMIT:
            (_, y), (x0, x1) = place((0, line.get_ydata()[0])), axes.get_window_extent().intervalx
            taken.append(Bbox([[x0, y - 1], [x1, y + 1]]))
    renderer = axes.figure.canvas.get_renderer()
    return [*taken, *(text.get_window_extent(renderer) for text in axes.texts)]


def _candidates(axes: Axes, point: Point, **style: Any) -> Iterator[Annotation]:
    where = (point.cost, min(point.latency, _failed(axes)))
    for dx, dy, align in _PLACES:
        far = abs(dy) > 15
        yield axes.annotate(
            point.short, where, xytext=(dx, dy), textcoords="offset points", ha=align, va="center",
            fontsize=8.5, zorder=6, gid="point", parse_math=False,
            arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.6} if far else None,
            **style,
        )  # fmt: skip
