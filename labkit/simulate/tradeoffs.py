"""`tradeoff`: what the users got for the money, of several recordings in one figure.

Above, a point for each recording: what it cost, and for how long it was over its objective; best is
below on the left.  Beneath, what each paid per hour while it went on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox

from labkit.errors import UsageError
from labkit.observe import units
from labkit.observe.figure import WIDTH, Timeline
from labkit.observe.labels import Label, name_lines
from labkit.observe.score import scores
from labkit.simulate.simulation import Recording

#: Okabe and Ito's colours, each with a dash and a marker of its own: no recording is told by its
#: colour alone.
_STYLES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", (0, (4, 1.5)), "s"),
    ("#009E73", (0, (1, 1)), "^"),
    ("#CC79A7", (0, (6, 1.5, 1, 1.5)), "D"),
    ("#E69F00", (0, (2, 1)), "v"),
    ("#56B4E9", (0, (8, 2)), "P"),
)
_INK, _GRID, _FRAME = "#333333", "#E8E8E8", "#BBBBBB"
_LEFT, _RIGHT = 0.75, 1.75  # inches
_PANELS, _GAP = (2.1, 1.5), 0.75
_MARKER = 8  # dots, from the middle of a marker to its edge
#: Where a point's name may stand: right, above, beneath, left; in points from the marker's middle.
_SIDES = (
    (8, 0, "left", "center"),
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
    (-8, 0, "right", "center"),
)


class Point(NamedTuple):
    """One recording: its name, dollars, and seconds over the objective."""

    name: str
    cost: float
    over: float


def tradeoff(recordings: Mapping[str, Recording], objective_ms: float) -> Timeline:
    """Draw recordings, by name: cost against the time in which p99 was above `objective_ms`.

    Raises UsageError without any, or with more than can be told apart.
    """
    if not 0 < len(recordings) <= len(_STYLES):
        raise UsageError(
            f"{len(recordings)} recordings cannot be compared.",
            f"There are colours for up to {len(_STYLES)}.",
            "Write for example tradeoff({'as it is': first, 'cheaper': second}, objective_ms=200).",
        )
    points = [
        Point(name, one.bill["cost"].sum(), scores(one, objective_ms)["seconds_over"])
        for name, one in recordings.items()
    ]
    figure = Timeline(facecolor="white", dpi=100)
    FigureCanvasAgg(figure)
    title = finding(points, objective_ms)
    title = title[0].upper() + title[1:]
    above, beneath = _axes(figure, title)
    _draw_points(above, points, objective_ms)
    _draw_rates(beneath, recordings)
    lines = [f"{one.name}: {_dollars(one.cost)}, {units.seconds(one.over)} over" for one in points]
    figure.facts = "\n".join([title, *lines])
    return figure


def finding(points: list[Point], objective_ms: float) -> str:
    """The cheapest, and what the best costs more."""
    objective = units.milliseconds(objective_ms)
    cheapest = min(points, key=lambda one: (one.cost, one.over))
    best = min(points, key=lambda one: (one.over, one.cost))
    first = f"{cheapest.name}: {_dollars(cheapest.cost)} and {units.seconds(cheapest.over)}"
    if best.name == cheapest.name:
        return f"{first} over {objective}, cheapest and best"
    dearer = f"{best.name}: {_dollars(best.cost)} and {units.seconds(best.over)}"
    return f"{first} over {objective}; {dearer}"


def _dollars(amount: float) -> str:
    """Cents, or two digits of less: 0.43, 0.027."""
    return f"${amount:.2f}" if amount >= 0.1 else f"${amount:.2g}"


def _axes(figure: Timeline, title: str) -> tuple[Axes, Axes]:
    head, foot = 0.75, 0.55
    height = head + sum(_PANELS) + _GAP + foot
    figure.set_size_inches(WIDTH, height)
    figure.text(
        0.15 / WIDTH, 1 - 0.13 / height, title, fontsize=12.5, fontweight="bold", color="#222222",
        va="top", parse_math=False,
    )  # fmt: skip
    width, found, y = (WIDTH - _LEFT - _RIGHT) / WIDTH, [], height - head
    for panel in _PANELS:
        y -= panel
        found.append(figure.add_axes((_LEFT / WIDTH, y / height, width, panel / height)))
        y -= _GAP
    return found[0], found[1]


def _draw_points(axes: Axes, points: list[Point], objective_ms: float) -> None:
    objective = units.milliseconds(objective_ms)
    _dress(axes, f"Seconds in which p99 was above {objective}, against dollars")
    axes.set_xlim(0, 1.15 * max(one.cost for one in points) or 1.0)
    axes.set_ylim(0, 1.15 * max(one.over for one in points) or 1.0)
    for one, (color, _, marker) in zip(points, _STYLES, strict=False):
        axes.plot(one.cost, one.over, marker, color=color, markersize=9)
    _name_points(axes, points)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"${value:.2f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))


def _name_points(axes: Axes, points: list[Point]) -> None:
    """Each name beside its point, on the first side where it covers neither point nor name."""
    places = axes.transData.transform([(one.cost, one.over) for one in points])
    taken = [
        Bbox.from_bounds(x - _MARKER, y - _MARKER, 2 * _MARKER, 2 * _MARKER) for x, y in places
    ]
    for one, (color, *_) in zip(points, _STYLES, strict=False):
        for x, y, across, up in _SIDES:
            text = axes.annotate(
                one.name, (one.cost, one.over), xytext=(x, y), textcoords="offset points",
                ha=across, va=up, fontsize=9, color=_dark(color), annotation_clip=False,
            )  # fmt: skip
            box = text.get_window_extent()
            inside = box.x0 >= axes.bbox.x0 and box.x1 <= axes.figure.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
            if (x, y, across, up) != _SIDES[-1]:
                text.remove()
        taken.append(box)


def _draw_rates(axes: Axes, recordings: Mapping[str, Recording]) -> None:
    _dress(axes, "Dollars per hour")
    labels, highest = [], 0.0
    for (name, one), (color, dash, _) in zip(recordings.items(), _STYLES, strict=False):
        t, rate = one.costs["t"].to_numpy() / 60, one.costs["rate"].to_numpy()
        axes.plot(t, rate, color=color, linestyle=dash, linewidth=1.8)
        labels.append(Label(t[-1], rate[-1], name, _dark(color)))
        highest = max(highest, float(np.max(rate)))
    axes.set_xlim(0, max(float(one.costs["t"].iloc[-1]) for one in recordings.values()) / 60)
    axes.set_ylim(0, 1.15 * highest or 1.0)
    name_lines(axes, labels)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"${value:.2f}"))
    axes.set_xlabel("minutes since the recording began (virtual clock)", fontsize=9, color=_INK)


def _dress(axes: Axes, heading: str) -> None:
    axes.set_title(heading, loc="left", fontsize=9, color=_INK, pad=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FRAME)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, labelcolor=_INK, color=_FRAME, length=0)
    axes.tick_params(axis="x", pad=7)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _dark(color: str) -> tuple[float, float, float]:
    """A colour dark enough to read small text in."""
    red, green, blue = to_rgb(color)
    return 0.72 * red, 0.72 * green, 0.72 * blue
