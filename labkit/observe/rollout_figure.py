"""The figure of a `Rollout`: who answers, second by second, and the Pods below, on one clock."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from labkit.observe import panels
from labkit.observe.figure import Timeline, name_clock, page
from labkit.observe.labels import Label, name_lines

#: Colour, hatch and dash of the versions, in the order in which they appear.
_STYLES = (
    (panels.READY, "", "-"),
    (panels.GAP, "///", (0, (4, 1.5))),
    (panels.CPU, "...", (0, (1, 1))),
)
_RIGHT = 1.9


def draw(title: str, answers: pd.DataFrame, pods: pd.DataFrame) -> Timeline:
    """`Rollout.answers` above `Rollout.pods`; black and crossed is what was lost."""
    figure, (upper, lower) = page(title, right=_RIGHT, heights=(1.5, 1.3))
    panels.dress(upper, "Requests per second, by the version that answered")
    panels.dress(lower, "Pods that are ready, by version")
    for axes in (upper, lower):
        axes.set_xlim(0, max(1.0, len(answers), pods.index.max()))
    versions = list(dict.fromkeys([*pods.columns.get_level_values(0), *answers.columns]))
    styles = dict(zip([one for one in versions if one != "lost"], _STYLES, strict=False))
    _answers(upper, answers, styles)
    _pods(lower, pods, styles)
    name_clock(lower, "seconds since the load began (wall clock)")
    return figure


def _answers(axes: Any, answers: pd.DataFrame, styles: dict[str, tuple]) -> None:
    bottom = pd.Series(0, index=answers.index)
    shown = [name for name in answers if answers[name].any()]
    for name in shown:
        color, hatch, _ = styles.get(name, (panels.QUIET, "", "-"))
        look = {"color": color, "hatch": hatch, "edgecolor": "white"}
        if name == "lost":
            look = {"color": "white", "hatch": "xxxxx", "edgecolor": panels.ERRORS}
        bar = answers[name][answers[name] > 0]
        axes.bar(bar.index + 0.5, bar, 0.9, bottom=bottom[bar.index], linewidth=0.6, **look)
        bottom = bottom + answers[name]
    axes.set_ylim(0, 1.15 * max(1, bottom.max()))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    name_lines(
        axes, [_named(axes, answers[name], place, styles) for place, name in enumerate(shown)]
    )


def _named(axes: Any, bar: pd.Series, place: int, styles: dict[str, tuple]) -> Label:
    """A version and its sum, beside the panel, in the order in which the bars are stacked."""
    color = styles[bar.name][0] if bar.name in styles else panels.ERRORS
    end, top = axes.get_xlim()[1], axes.get_ylim()[1]
    return Label(end, top * (0.2 + 0.25 * place), f"{bar.name}: {bar.sum()}", panels.dark(color))


def _pods(axes: Any, pods: pd.DataFrame, styles: dict[str, tuple]) -> None:
    every = pods.xs("pods", axis=1, level=1).sum(axis=1)
    ready = pods.xs("ready", axis=1, level=1)
    axes.plot(*panels.steps(every), color=panels.QUIET, linewidth=1.1, linestyle=(0, (1, 1.5)))
    labels = [panels.at_end(every, lambda y: f"all, ready or not: {y:.0f}", panels.INK)]
    for name in ready:
        color, _, dash = styles.get(name, (panels.QUIET, "", "-"))
        axes.plot(*panels.steps(ready[name]), color=color, linestyle=dash, linewidth=2)
        labels.append(
            panels.at_end(ready[name], lambda y, n=name: f"{n}: {y:.0f}", panels.dark(color))
        )
    axes.set_ylim(0, 1.2 * max(1, every.max()))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    end = axes.get_xlim()[1]
    name_lines(axes, [Label(end, one.y, one.text, one.color) for one in labels])
