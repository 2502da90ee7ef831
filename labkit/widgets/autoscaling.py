"""`Autoscaling`: the house figure of a Deployment while it is recorded, and a load to play with.

The recorder asks the API server each second; the figure is drawn every two seconds at most, and
less often where drawing is slow.
"""

from __future__ import annotations

import asyncio
import html
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.errors import LabkitError
from labkit.observe import Recorder, hpa_timeline
from labkit.observe.figure import Timeline
from labkit.observe.recorder import describe
from labkit.observe.sample import Answers
from labkit.observe.source import Source
from labkit.widgets.background import Background
from labkit.widgets.decision_words import decision
from labkit.widgets.driver import Driver, Wanted
from labkit.widgets.panel import Panel, button, slider, toggle
from labkit.widgets.view import View, picture

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_WIDTH = 900
_EVERY = 2.0  # s between two figures
_LOOK = 0.5  # s between two looks at what is wanted


class _Ear:
    """A source that keeps what it heard last, for the words."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.heard = Answers()

    def read(self) -> Answers:
        self.heard = self._source.read()
        return self.heard


class Autoscaling(View):
    """The Deployment `deployment`, its autoscaler, and load on `url`.

    api_client   of the official Python client
    highest      the highest rate of the slider, requests per second
    seconds      after how long it stops by itself, load and all
    """

    kind = "autoscaling"

    def __init__(
        self,
        api_client: ApiClient | None,
        deployment: str,
        url: str,
        namespace: str = "default",
        *,
        rate: float = 20.0,
        highest: float = 200.0,
        seconds: float = 1800.0,
        source: Any = None,
    ) -> None:
        super().__init__()
        self.deployment, self.url, self._seconds = deployment, url, seconds
        self._ear = _Ear(source or Source(api_client, namespace, deployment))
        self._namespace = namespace
        self._wanted, self._highest = Wanted(rate, False), highest
        self._renew()
        self._background: Background | None = None

    def _renew(self) -> None:
        """A recorder records once."""
        self.recorder = Recorder(None, self.deployment, self._namespace, source=self._ear)
        self._driver = Driver(self.url, self._seconds, self.recorder)

    # -- faces ------------------------------------------------------------------------------------

    def figure(self) -> Timeline:
        """The figure of the recording so far."""
        if self.recorder.began is None:  # nobody is there for whom to go on recording
            with self.recorder:
                pass
        return hpa_timeline(self.recorder.frame(), self.recorder.events)

    def state(self) -> str:
        """The Deployment in a line."""
        return f"{self.deployment}: {describe(self.recorder.frame().iloc[-1])}."

    def words(self) -> list[str]:
        """The autoscaler's last decision."""
        return decision(self._ear.heard.autoscaler)

    def text(self) -> str:
        facts = self.figure().facts
        return "\n".join([self.state(), *self.words(), facts])

    def html(self) -> str:
        figure = self.figure()
        image = picture(_url(figure.png(scale=2)), figure.facts, _WIDTH)
        return _paragraphs([self.state(), *self.words()]) + image

    def make_panel(self) -> Panel:
        panel = Panel(
            title=f"Autoscaling of {self.deployment}",
            controls=[
                slider("rate", "Load", self._wanted.rate, 1, self._highest, 1, "req/s"),
                toggle("on", "Stop the load", "Start the load"),
                button("end", "Keep this picture"),
            ],
            values=self._wanted._asdict(),
        )
        panel.on_values(self._turn)
        panel.on_press(lambda _: self.end("stopped"))
        self._renew()
        self.recorder.start()
        panel.words = _paragraphs(self.words())
        self._draw(panel)
        return panel

    # -- life -------------------------------------------------------------------------------------

    def begin(self) -> None:
        panel = self.panel
        self._background = Background(
            "autoscaling", lambda: self._follow(panel), self._seconds, lambda why: self.end(why)
        )
        self._background.start()

    def finish(self) -> None:
        self._background.stop()
        self._driver.stop()
        self.recorder.stop()

    def _turn(self, values: Mapping[str, Any]) -> None:
        self._wanted = Wanted(float(values["rate"]), bool(values["on"]))

    async def _follow(self, panel: Panel) -> None:
        """What is wanted twice a second, the words with it, the figure when it is time."""
        due = 0.0
        while True:
            self._drive(panel)
            panel.words = _paragraphs(self.words())
            began = time.perf_counter()
            if began >= due:
                self._draw(panel)
                # A tenth of the time of a machine that has a cluster to run.
                due = began + max(_EVERY, 10 * (time.perf_counter() - began))
            await asyncio.sleep(_LOOK)

    def _drive(self, panel: Panel) -> None:
        try:
            self._driver.reconcile(self._wanted)
            panel.note = f"{self.state()} {self._load_words()}"
        except LabkitError as error:
            self._wanted = self._wanted._replace(on=False)
            panel.values = self._wanted._asdict()
            panel.note = str(error)

    def _load_words(self) -> str:
        last = self._driver.last
        if last is None:
            return f"No load on {self.url} now."
        done = f"{last['completed']} answered, {last['errors']} failed"
        return f"Load in the last second: {last['offered']} sent, {done}."

    def _draw(self, panel: Panel) -> None:
        figure = self.figure()
        panel.picture = picture(_url(figure.png(scale=1)), figure.facts, _WIDTH)


def _paragraphs(lines: list[str]) -> str:
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def _url(png: bytes) -> str:
    return "data:image/png;base64," + b64encode(png).decode()
