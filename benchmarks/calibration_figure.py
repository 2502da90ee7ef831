"""The figure of docs/simulate.md: two live runs of one load, each with its simulation.

    python -m benchmarks.calibration_figure FIRST.csv SECOND.csv docs/calibration.png

Measured is broad and light, simulated thin, dark and dashed on top of it: where they agree the
dashes lie in the middle.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.calibration import RUNS, SETTINGS, replay
from labkit.observe.labels import Label, name_lines
from labkit.observe.panels import CPU, GRID, INK, LOAD, READY, THRESHOLD
from labkit.simulate.calibration import Agreement, agreement, fit

_RUN = RUNS["staircase"]
_SIZE = 9.0, 7.2  # inches
_PLACE = {"left": 0.065, "right": 0.83, "top": 0.865, "bottom": 0.07, "hspace": 0.42}


class Pair(NamedTuple):
    """A recording, its simulation on the recording's clock, and how well they agree."""

    measured: pd.DataFrame
    simulated: pd.DataFrame
    found: Agreement


def pair(path: Path) -> Pair:
    """Fit a recording and replay it."""
    measured = pd.read_csv(path)
    fitted = fit(measured, SETTINGS)
    simulated = replay(_RUN, fitted)
    aligned = fitted.aligned(simulated)
    return Pair(measured, aligned, agreement(measured, simulated, fitted))


def draw(first: Pair, second: Pair) -> Figure:
    """Load, the CPU that the first run's autoscaler saw, and the replicas of both."""
    figure = Figure(figsize=_SIZE, facecolor="white")
    FigureCanvasAgg(figure)
    load, cpu, one, two = figure.subplots(
        4, 1, sharex=True, gridspec_kw={"height_ratios": (1, 1.2, 1.2, 1.2)}
    )
    figure.subplots_adjust(**_PLACE)
    figure.text(0.012, 0.985, _finding(first, second), fontsize=13, fontweight="bold",
                color="#222222", va="top", linespacing=1.25)  # fmt: skip
    _load(load, first.measured)
    seen = "CPU that the autoscaler saw, first run: % of the request"
    _compare(cpu, first, "cpu_utilization", CPU, seen, float(first.measured.cpu_target.iloc[0]))
    _compare(one, first, "replicas_spec", READY, f"Replicas, first run: {_words(first.found)}")
    _compare(two, second, "replicas_spec", READY, f"Replicas, second run: {_words(second.found)}")
    top = 1.15 * max(first.measured.replicas_spec.max(), second.measured.replicas_spec.max())
    for axes in (one, two):
        axes.set_ylim(0, top)
    two.set_xlabel("seconds since the recording began (wall clock; the simulation's is virtual)",
                   fontsize=9, color=INK)  # fmt: skip
    two.tick_params(axis="x", labelbottom=True, length=3)
    two.set_xlim(0, first.measured.t.iloc[-1])
    return figure


def _finding(first: Pair, second: Pair) -> str:
    peaks = first.found.peak, second.found.peak
    lowest = int(100 * min(first.found.share, second.found.share))
    return (
        f"The same load led to {peaks[0]} Pods once and to {peaks[1]} another time;\n"
        f"a simulation fitted to each run agrees at {lowest} % or more of the autoscaler's looks"
    )


def _words(found: Agreement) -> str:
    return f"equal after {found.equal} of {found.looks} looks of the autoscaler"


def _load(axes: Axes, measured: pd.DataFrame) -> None:
    _dress(axes, "Load: requests per second, the same in both runs")
    axes.step(measured.t, measured.offered, where="pre", color=LOAD, linewidth=1.8)
    axes.fill_between(measured.t, measured.offered, step="pre", color=LOAD, alpha=0.22, linewidth=0)
    axes.set_ylim(0, 1.15 * measured.offered.max())


def _compare(
    axes: Axes, both: Pair, column: str, color: str, heading: str, target: float | None = None
) -> None:
    _dress(axes, heading)
    measured, simulated = (frame[["t", column]].dropna() for frame in both[:2])
    axes.step(measured.t, measured[column], where="post", color=color, linewidth=5, alpha=0.45)
    axes.step(simulated.t, simulated[column], where="post", color=THRESHOLD, linewidth=1.3,
              linestyle=(0, (4, 1.6)))  # fmt: skip
    axes.set_ylim(0, 1.15 * max(measured[column].max(), simulated[column].max()))
    end = measured.t.iloc[-1]
    axes.set_xlim(0, end)
    labels = [
        Label(end, frame[column].iloc[-1], name, shade)
        for frame, name, shade in ((measured, "measured", color), (simulated, "simulated", INK))
    ]
    if target is not None:
        axes.axhspan(0.9 * target, 1.1 * target, color=THRESHOLD, alpha=0.14, linewidth=0)
        labels.append(Label(end, target, f"target {target:.0f} ± {target / 10:.0f} %", THRESHOLD))
    axes.figure.canvas.draw()
    name_lines(axes, labels)


def _dress(axes: Axes, heading: str) -> None:
    axes.set_title(heading, loc="left", fontsize=9, color=INK, pad=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=8.5, labelcolor=INK, color="#BBBBBB", length=0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration_figure")
    for name in ("first", "second", "figure"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    draw(pair(given.first), pair(given.second)).savefig(given.figure, dpi=150)


if __name__ == "__main__":
    main()
