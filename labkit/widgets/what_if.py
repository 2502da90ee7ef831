"""`what_if(scenario)`: sliders, and what the simulator says of it.

A slider that has settled asks for a simulation; the newest wins.  A run plays the scenario on the
very controllers of a live cluster in virtual time, so twenty minutes take about half a second.
"""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from labkit.observe.figure import Timeline, hpa_timeline
from labkit.observe.units import milliseconds, percent
from labkit.simulate import Recording, Scenario, Simulation
from labkit.widgets import knobs
from labkit.widgets.knobs import Knobs
from labkit.widgets.panel import Panel, button
from labkit.widgets.runs import Newest
from labkit.widgets.view import View, picture

#: Seconds of virtual time after which a run looks whether it is still wanted.
_LOOK = 120.0
_WIDTH = 900


@dataclass(frozen=True, slots=True)
class Played:
    """A run: its settings, its recording and the figure of it."""

    knobs: Knobs
    recording: Recording
    figure: Timeline
    png: bytes

    def words(self) -> str:
        """The finding, and what it cost, in numbers."""
        finding, *events = self.figure.facts.split("\n")
        return "\n".join([finding, cost(self.recording.frame), self.knobs.words(), *events])


def cost(frame: pd.DataFrame) -> str:
    """`41 Pod-minutes; 0 of 14,400 requests failed (0 %); p99 120 ms in the worst minute`."""
    offered, errors = frame["offered"].sum(), frame["errors"].sum()
    pod_minutes = frame["replicas_ready"].sum() / 60
    share = errors / offered if offered else 0.0
    text = f"{pod_minutes:.0f} Pod-minutes; {errors:,.0f} of {offered:,.0f} requests failed"
    text += f" ({percent(share)})" if errors else ""
    worst = frame.groupby(frame["t"] // 60)["p99"].median().max()
    return text if pd.isna(worst) else f"{text}; p99 {milliseconds(worst)} in the worst minute"


def play(scenario: Scenario, stale: Callable[[], bool] = lambda: False) -> Recording | None:
    """The recording of a whole scenario; None if it is not wanted any more."""
    with Simulation(scenario) as simulation:
        while (left := scenario.seconds - simulation.seconds) > 0.5:
            if stale():
                return None
            simulation.advance(min(_LOOK, left))
        return simulation.recording()


class WhatIf(View):
    """The scenario under other settings."""

    kind = "what if"

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self._scenario = scenario
        self._knobs = knobs.knobs(scenario)
        self._played: Played | None = None
        self._runs: Newest[Knobs, Played] | None = None

    @property
    def scenario(self) -> Scenario:
        """The scenario as the sliders say now."""
        return knobs.turned(self._scenario, self._knobs)

    @property
    def recording(self) -> Recording:
        """What was played last."""
        return self._last_played().recording

    # -- faces ------------------------------------------------------------------------------------

    def text(self) -> str:
        return self._last_played().words()

    def html(self) -> str:
        played = self._last_played()
        png = played.figure.png(scale=2)
        settings = f"<p><small>{html.escape(played.knobs.words())}</small></p>"
        return _finding(played) + settings + picture(_url(png), played.words(), _WIDTH)

    def make_panel(self) -> Panel:
        start = knobs.knobs(self._scenario)
        panel = Panel(
            title="What if: sliders of an autoscaled application",
            controls=[*knobs.controls(start), button("back", "Back to the scenario")],
            values=knobs.values(self._knobs),
        )
        panel.on_values(lambda values: self._turn(panel, values))
        panel.on_press(lambda _: self._back(panel))
        self._show(panel, self._last_played())
        return panel

    # -- life -------------------------------------------------------------------------------------

    def begin(self) -> None:
        panel = self.panel
        self._runs = Newest(self._play, lambda asked, found: self._found(panel, asked, found))

    def finish(self) -> None:
        self._runs.close()

    def _turn(self, panel: Panel, values: Mapping[str, Any]) -> None:
        wanted = knobs.from_values(values)
        if wanted != self._knobs:
            self._knobs = wanted
            panel.note = "Playing …"
            self._runs.ask(wanted)

    def _back(self, panel: Panel) -> None:
        panel.values = knobs.values(knobs.knobs(self._scenario))

    def _last_played(self) -> Played:
        if self._played is None:
            self._played = self._play(self._knobs)
        return self._played

    def _play(self, wanted: Knobs, stale: Callable[[], bool] = lambda: False) -> Played | None:
        recording = play(knobs.turned(self._scenario, wanted), stale)
        if recording is None or stale():
            return None
        figure = hpa_timeline(recording.frame, recording.events)
        return Played(wanted, recording, figure, figure.png(scale=1))

    def _found(self, panel: Panel, asked: Knobs, found: Played | Exception) -> None:
        if isinstance(found, Exception):
            panel.note = str(found)
            return
        self._played = found
        self._show(panel, found)

    def _show(self, panel: Panel, played: Played) -> None:
        with panel.hold_sync():
            panel.words = _finding(played)
            panel.picture = picture(_url(played.png), played.words(), _WIDTH)
            panel.note = f"{self._scenario.seconds / 60:g} minutes in virtual time"


def _finding(played: Played) -> str:
    return f"<p>{html.escape(cost(played.recording.frame))}</p>"


def _url(png: bytes) -> str:
    return "data:image/png;base64," + b64encode(png).decode()


def what_if(scenario: Scenario | str | Path | Mapping) -> WhatIf:
    """Sliders for a scenario (or what `Scenario.read` takes), and the figure of what comes of it.

    Raises UsageError where the scenario has not exactly one HorizontalPodAutoscaler for CPU.
    """
    if not isinstance(scenario, Scenario):
        scenario = Scenario.read(scenario)
    return WhatIf(scenario)
