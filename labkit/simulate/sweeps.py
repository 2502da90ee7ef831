"""`sweep`: a grid of settings, each combination played, → one table.

    sweep(
        Path("lesson.yaml"),
        {"hpa.spec.minReplicas": [1, 2], "seed": range(1, 6)},
        objective_ms=250,
    )

gives a row for each of the ten: the settings, and the scores (`labkit.observe.scores`).  How many
processes play them makes no difference to the table.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from labkit.clock import Clock
from labkit.errors import UsageError
from labkit.observe.notebook import Display, in_jupyter
from labkit.observe.score import Prices, prices_of
from labkit.observe.units import seconds
from labkit.simulate.paths import vary
from labkit.simulate.scenario import Scenario
from labkit.simulate.workers import MOST, Answer, Order, Workers, processors

_EXAMPLE = 'Write for example sweep(scenario, {"hpa.spec.minReplicas": [1, 2], "seed": [1, 2, 3]}).'
_BAR = 24  # characters


def sweep(
    scenario: Scenario | Path | str | Mapping,
    over: Mapping[str, Iterable[Any] | Mapping[str, Any]],
    *,
    objective_ms: float | None = None,
    prices: Prices | Mapping | None = None,
    processes: int | None = None,
) -> pd.DataFrame:
    """Play the scenario with all combinations of settings: a row for each, in the order of `over`.

    over           `{path: values}`, with the paths of `labkit.simulate.paths`.  Long values can
                   have names: `{path: {"today": {...}, "with a policy": {...}}}`
    objective_ms   as for `scores`
    prices         as for `scores`
    processes      as many as there are processors, and four at most, unless it is given

    Raises UsageError that names the settings that cannot be played.  An interrupt ends it, and
    leaves no process behind.
    """
    grid = _grid(over)
    rates = prices_of(prices)
    orders = [Order(_vary(scenario, settings), objective_ms, rates) for settings, _ in grid]
    count = min(len(orders), processes or min(processors(), MOST))
    rows: list[dict[str, Any]] = [{} for _ in grid]
    with _Bar(len(orders)) as bar, Workers(count) as workers:
        for number, answer in workers.play(orders):
            settings, shown = grid[number]
            rows[number] = {**shown, **_scores(answer, settings)}
            bar.step()
    return pd.DataFrame(rows)


def _grid(over: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """All combinations: what is set, and what the table shows of it."""
    axes = []
    for path, values in over.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise UsageError(f"{path} has no list of values: {values!r}.", "", _EXAMPLE)
        named = values.items() if isinstance(values, Mapping) else [(_shown(v), v) for v in values]
        axes.append([(path, value, shown) for shown, value in named])
    found = list(itertools.product(*axes))
    if not over or not found:
        raise UsageError("There is nothing to sweep over.", "A path needs values.", _EXAMPLE)
    return [
        (
            {path: value for path, value, _ in each},
            {path: shown for path, _, shown in each},
        )
        for each in found
    ]


def _shown(value: Any) -> Any:
    """A value as a cell of the table has it: one that can be compared and grouped."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return json.dumps(value, default=str)


def _vary(scenario: Any, settings: Mapping[str, Any]) -> Scenario:
    try:
        return vary(scenario, settings)
    except TypeError as error:  # a value that is no number where one is needed
        raise UsageError(f"With {_said(settings)}: {error}.") from None


def _scores(answer: Answer, settings: Mapping[str, Any]) -> dict[str, float]:
    if answer.refused:
        what, why, fix = answer.refused
        raise UsageError(f"With {_said(settings)}: {what}", why, fix)
    if answer.failed:
        raise RuntimeError(f"With {_said(settings)}, in another process:\n{answer.failed}")
    return answer.scores


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{path}={_shown(value)}" for path, value in settings.items())


class _Bar:
    """How far it is: in a notebook one display, in a terminal one line, elsewhere nothing."""

    def __init__(self, total: int, clock: Clock | None = None) -> None:
        self._total, self._done = total, 0
        self._clock = clock or Clock()
        self._began = self._clock.monotonic()
        self._display = Display() if in_jupyter() else None

    def __enter__(self) -> _Bar:
        self._show()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self._display is None and sys.stderr.isatty():
            print(file=sys.stderr)

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        self._show()

    def _show(self) -> None:
        text = bar(self._done, self._total, self._clock.monotonic() - self._began)
        if self._display is not None:
            self._display.show({"text/plain": text})
        elif sys.stderr.isatty():
            print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)


def bar(done: int, total: int, passed: float) -> str:
    """`████████░░░░░░░░  4 of 12 played, about 9 s left`."""
    full = round(_BAR * done / total)
    line = f"{'█' * full}{'░' * (_BAR - full)}  {done} of {total} played"
    if done == total:
        return f"{line} in {seconds(passed)}"
    return f"{line}, about {seconds(passed / done * (total - done))} left" if done else line
