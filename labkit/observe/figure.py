"""`hpa_timeline`: the figure that every chapter shows.

Four panels on one clock, cause above consequence: load, CPU against its target, replicas, latency.
The title is the finding, computed from the data; lines are named where they end; up to six events
carry letters, whose key stands below.  The colours have roles (Okabe and Ito, told apart by people
who do not see all colours) and never stand alone: each has its dash, hatch or name as well.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from labkit.errors import UsageError
from labkit.observe import panels
from labkit.observe.events import Lettered, choose
from labkit.observe.finding import finding
from labkit.observe.labels import spread
from labkit.observe.sample import LOAD_COLUMNS

#: Inches; 100 dots each.
WIDTH = 9.0
WALL_CLOCK = "wall clock"
PANELS = (1.0, 1.0, 1.0, 1.2)
RIGHT = 1.36
_GAP = 0.36
_LEFT = 0.62
_LINE = 0.2
_NEEDED = [
    *("time", "t", "replicas_spec", "replicas_ready", "replicas_desired"),
    *("cpu_utilization", "cpu_target"),
    *LOAD_COLUMNS,
]
#: Above this many seconds the clock counts minutes.
_MINUTES_FROM = 900.0


class Timeline(Figure):
    """A matplotlib Figure that shows itself in Jupyter: a picture, and its facts as text."""

    facts = ""

    def png(self, scale: float = 1.0) -> bytes:
        """The figure as PNG, 900 · `scale` pixels wide."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100 * scale)
        return buffer.getvalue()

    def bundle(self, scale: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a display of Jupyter takes: data and metadata by MIME type."""
        picture = base64.b64encode(self.png(scale)).decode()
        width = {"width": round(self.get_figwidth() * 100)}
        return {"image/png": picture, "text/plain": self.facts}, {"image/png": width}

    def _repr_mimebundle_(self, **options: object) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.bundle(scale=2)  # screens of today have two dots where the page has one


def hpa_timeline(
    df: pd.DataFrame,
    events: pd.DataFrame | None = None,
    objective_ms: float | None = None,
    tolerance: float = 0.1,
    title: str | None = None,
) -> Timeline:
    """Draw a recording (`Recorder.frame`), and its `Recorder.events`.

    objective_ms   the latency that p99 should stay under, in milliseconds
    tolerance      how far CPU may be from its target before the autoscaler acts, as a share of the
                   target (kube-controller-manager --horizontal-pod-autoscaler-tolerance)
    title          instead of the finding

    `df.attrs["clock"]` names the clock on the x axis, "wall clock" if it is not there.  Raises
    UsageError when a column is missing.
    """
    check(df)
    df, per, unit = in_units(df)
    title = title or finding(df.assign(t=df["t"] * per))
    start, end = span(df)
    lettered = [
        Lettered(event.letter, event.t / per, event.text)
        for event in choose(events, start * per, end * per)
    ]
    figure, axes = page(title, len(lettered))
    for each in axes:
        each.set_xlim(start, end)
    panels.draw(axes, df, objective_ms, tolerance, seconds_per_unit=per)
    _clock(axes[-1], df, unit)
    _events(figure, axes, lettered)
    _key(figure, lettered, unit)
    facts = [f"{event.letter}  {_moment(event, unit)}  {event.text}" for event in lettered]
    figure.facts = "\n".join([title, *facts])
    return figure


def check(df: pd.DataFrame) -> None:
    """Raise UsageError if a column is missing."""
    missing = [column for column in _NEEDED if column not in df.columns]
    if missing:
        raise UsageError(
            f"The table has no column {', '.join(missing)}.",
            "The figure draws a recording, with the columns of labkit.observe.Recorder.frame().",
            "Write hpa_timeline(recorder.frame(), recorder.events).",
        )


def in_units(df: pd.DataFrame) -> tuple[pd.DataFrame, float, str]:
    """The table with `t` in the unit of the axis, the seconds in one, and its name."""
    if len(df) and df["t"].max() - df["t"].min() > _MINUTES_FROM:
        return df.assign(t=df["t"] / 60), 60.0, "minutes"
    return df, 1.0, "seconds"


def span(df: pd.DataFrame) -> tuple[float, float]:
    """From where to where the x axis goes."""
    if df.empty:
        return 0.0, 1.0
    start, end = float(df["t"].iloc[0]), float(df["t"].iloc[-1])
    start = 0.0 if 0 <= start < max(2.0, (end - start) / 4) else start
    return start, end + panels.interval(df["t"].to_numpy())


def page(
    title: str,
    rows: int = 0,
    right: float = RIGHT,
    heights: Sequence[float] = PANELS,
    foot: float = 0.56,
) -> tuple[Timeline, list[Any]]:
    """A figure with its title, panels of these heights, `foot` inches for the x axis, and room for
    so many rows of a key."""
    figure = Timeline(figsize=(WIDTH, 1), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    style = {"fontsize": 13, "fontweight": "bold", "color": "#222222", "parse_math": False}
    heading = Text(0, 0, title, **style)
    heading.set_figure(figure)
    lines = wrap(heading, (WIDTH - 0.3) * figure.dpi)
    top = 0.16 + 0.25 * len(lines) + (0.56 if rows else 0.36)
    bottom = foot + (_LINE * rows + 0.08 if rows else 0)
    height = top + sum(heights) + _GAP * (len(heights) - 1) + bottom
    figure.set_size_inches(WIDTH, height)
    figure.text(
        0.15 / WIDTH, 1 - 0.13 / height, "\n".join(lines), va="top", linespacing=1.25,
        gid="title", **style,
    )  # fmt: skip
    axes, y = [], height - top
    for panel in heights:
        y -= panel
        place = (_LEFT / WIDTH, y / height, (WIDTH - _LEFT - right) / WIDTH, panel / height)
        axes.append(figure.add_axes(place, sharex=axes[0] if axes else None))
        y -= _GAP
    return figure, axes


def wrap(text: Text, width: float) -> list[str]:
    """`text` in lines of at most `width` dots, in its own font; rather after a semicolon."""
    renderer = text.figure.canvas.get_renderer()

    def fits(words: str) -> bool:
        text.set_text(words)
        return text.get_window_extent(renderer).width <= width

    lines: list[str] = []
    for clause in text.get_text().split("; "):
        if lines:
            lines[-1] += ";"
        if lines and fits(f"{lines[-1]} {clause}"):
            lines[-1] += f" {clause}"
        else:
            lines += _fill(clause.split(), fits)
    return lines


def _fill(words: list[str], fits: Callable[[str], bool]) -> list[str]:
    lines = [""]
    for word in words:
        if not lines[-1] or fits(f"{lines[-1]} {word}"):
            lines[-1] = f"{lines[-1]} {word}".strip()
        else:
            lines.append(word)
    return lines


def _clock(axes: Any, df: pd.DataFrame, unit: str) -> None:
    name = df.attrs.get("clock", WALL_CLOCK)
    if name == WALL_CLOCK and len(df):
        began = datetime.fromtimestamp(df["time"].iloc[0], UTC)
        name += f"; it began at {began:%H:%M:%S} UTC"
    name_clock(axes, f"{unit} since the recording began ({name})")


def name_clock(axes: Any, name: str) -> None:
    """Name the x axis, and give it round numbers."""
    axes.set_xlabel(name, fontsize=9, color=panels.INK)
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 3, 5, 6, 10], integer=True))
    axes.tick_params(axis="x", labelbottom=True, length=3)


def _events(figure: Timeline, axes: list[Any], events: list[Lettered]) -> None:
    top = axes[0]
    width = top.get_window_extent().width
    start, end = top.get_xlim()
    wishes = [(event.t - start) / (end - start) * width for event in events]
    places = spread(wishes, 17, 0, width)
    for event, wish, place in zip(events, wishes, places, strict=True):
        for each in axes:
            each.axvline(
                event.t, color=panels.QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1
            )
        top.annotate(
            event.letter,
            (wish / width, 1.0),
            xycoords="axes fraction",
            xytext=((place - wish) * 72 / figure.dpi, 25),
            textcoords="offset points",
            fontsize=8,
            fontweight="bold",
            color="white",
            ha="center",
            va="center",
            bbox={"boxstyle": "circle,pad=0.22", "facecolor": panels.THRESHOLD, "linewidth": 0},
            arrowprops={"arrowstyle": "-", "color": panels.QUIET, "linewidth": 0.8, "shrinkA": 6,
                        "shrinkB": 0},
            gid="event",
        )  # fmt: skip


def _key(figure: Timeline, events: list[Lettered], unit: str) -> None:
    width, height = figure.get_size_inches()
    for row, event in enumerate(events):
        y = (_LINE * (len(events) - row) - 0.06) / height
        style = {"fontsize": 8.5, "color": panels.INK, "va": "center"}
        figure.text(_LEFT / width, y, event.letter, fontweight="bold", ha="center", **style)
        moment = _moment(event, unit)
        figure.text((_LEFT + 0.72) / width, y, moment, ha="right", **style)
        entry = figure.text((_LEFT + 0.85) / width, y, event.text, gid="key", **style)
        _shorten(entry, (width - _LEFT - 0.75 - 0.15) * figure.dpi)


def _shorten(text: Text, width: float) -> None:
    """Cut `text` at the end until it is at most `width` dots wide."""
    renderer = text.figure.canvas.get_renderer()
    words = " ".join(text.get_text().split())
    text.set_text(words)
    extent = text.get_window_extent(renderer).width
    while extent > width and words:
        words = words[: min(len(words) - 1, int(len(words) * width / extent))]
        text.set_text(words.rstrip(" ,;:") + "…")
        extent = text.get_window_extent(renderer).width


def _moment(event: Lettered, unit: str) -> str:
    return f"{event.t:.0f} s" if unit == "seconds" else f"{event.t:.1f} min"
