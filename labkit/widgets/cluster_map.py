"""`ClusterMap`: nodes, Pods by state, Services and their traffic, as they are now.

Four watches keep it true while it is open; it draws at most twice a second, only what has changed,
and only when something has.  The traffic is asked for once a second, through the API server.
"""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from labkit.client import ApiError, Client, Informer
from labkit.client.http import HttpTransport
from labkit.clock import Clock
from labkit.kube.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from labkit.widgets import map_svg, map_words
from labkit.widgets.background import Background, Pace, once
from labkit.widgets.map_layout import WIDTH, layout
from labkit.widgets.map_state import MapState, Objects, map_state
from labkit.widgets.panel import Panel, button, choice
from labkit.widgets.traffic import Counters, Rates, Traffic, read
from labkit.widgets.view import View, picture

_RESOURCES = (NODES, PODS, SERVICES, ENDPOINT_SLICES)
_PROXY_METRICS = "/api/v1/nodes/{}:10249/proxy/metrics"
_ASKED = 5  # nodes, until one is found where the traffic is counted
ALL = "all but the cluster's own"


class ClusterMap(View):
    """The map of the cluster that `connect()` makes a client of.

    namespace   the one whose Pods and Services are shown; "" is all but the cluster's own
    seconds     after how long it stops by itself
    """

    kind = "map"

    def __init__(
        self,
        connect: Callable[[], Client],
        *,
        namespace: str = "",
        seconds: float = 1800.0,
    ) -> None:
        super().__init__()
        self._connect, self._namespace, self._seconds = connect, namespace, seconds
        self._clock = Clock()
        self._objects: Objects | None = None
        self._traffic, self._rates = Traffic(), Rates()
        self._proxy_at = ""
        self._background: Background | None = None
        self._pace: Pace | None = None

    # -- faces ------------------------------------------------------------------------------------

    def state(self) -> MapState:
        """What there is to show: as last seen by the open map, else as the API server says now."""
        if self._background is None or self._objects is None:
            self._objects = once(self._ask)
        return map_state(self._objects, self._clock.now(), self._namespace)

    def text(self) -> str:
        return map_words.facts(self.state(), self._traffic)

    def html(self) -> str:
        state = self.state()
        data = map_svg.image(layout(state), self._note(), self._traffic)
        return picture(data, map_words.facts(state, self._traffic), round(WIDTH))

    def make_panel(self) -> Panel:
        state = self.state()
        panel = Panel(
            title="Cluster map",
            controls=self._controls(state),
            values={"namespace": self._namespace or ALL},
            note=self._life(),
        )
        panel.on_values(self._choose)
        panel.on_press(lambda _: self.end("stopped"))
        self._draw(panel, state)
        return panel

    def _controls(self, state: MapState) -> list[Any]:
        names = [ALL, *state.namespaces]
        return [choice("namespace", "Namespace", names), button("stop", "Stop")]

    def _note(self) -> str:
        if self._traffic.known:
            return "n/s: new connections per second through a Service"
        return "the traffic of Services is not counted here"

    # -- life -------------------------------------------------------------------------------------

    def begin(self) -> None:
        panel = self.panel
        self._background = Background(
            "map", lambda: self._follow(panel), self._seconds, lambda why: self.end(why)
        )
        self._background.start()

    def finish(self) -> None:
        self._background.stop()

    def end(self, why: str = "stopped") -> None:
        super().end(why)
        self._background = None  # whoever asks from now on gets what is true then

    def _choose(self, values: dict[str, Any]) -> None:
        chosen = values["namespace"]
        self._namespace = "" if chosen == ALL else chosen
        if self._background is not None:
            self._background.call(self._news)

    def _news(self, *_: object) -> None:
        if self._pace is not None:
            self._pace.news()

    async def _follow(self, panel: Panel) -> None:
        """Draw whenever there is news."""
        self._pace = Pace()
        async with AsyncExitStack() as stack:
            client = self._connect()
            stack.push_async_callback(client.close)
            informers = [Informer(client, resource, self._clock) for resource in _RESOURCES]
            for informer in informers:
                informer.add_handler(self._news)
                informer.start()
                stack.push_async_callback(informer.stop)
            await asyncio.gather(*(informer.synced() for informer in informers))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._count(panel, client.transport))
                group.create_task(self._redraw(panel, informers))

    async def _redraw(self, panel: Panel, informers: list[Informer]) -> None:
        took = 0.0
        while True:
            await self._pace.wait(took)
            began = time.perf_counter()
            self._objects = Objects(*(tuple(informer.store.values()) for informer in informers))
            self._draw(panel, self.state())
            took = time.perf_counter() - began

    async def _count(self, panel: Panel, transport: HttpTransport) -> None:
        """Ask for the counters each second; where nobody counts, look again now and then."""
        while True:
            try:
                counters = await self._counters(transport)
                panel.note = self._life()
            except OSError:
                counters = None
                panel.note = "The API server does not answer: this is what it said last."
            fresh = self._rates.add(self._clock.monotonic(), counters)
            if fresh != self._traffic:
                self._traffic = fresh
                self._news()
            await self._clock.sleep(1.0 if fresh.known else 5.0)

    async def _counters(self, transport: HttpTransport) -> Counters | None:
        """What the Service proxy says, at the node where it is; OSError if nobody answers."""
        names = [node["metadata"]["name"] for node in self._objects.nodes]
        for name in [self._proxy_at] if self._proxy_at in names else names[:_ASKED]:
            try:
                if found := read(await transport.text(_PROXY_METRICS.format(name))):
                    self._proxy_at = name
                    return found
            except ApiError:
                pass  # nothing listens there
        self._proxy_at = ""
        return None

    def _life(self) -> str:
        return f"Live; it stops by itself after {self._seconds / 60:.0f} minutes."

    def _draw(self, panel: Panel, state: MapState) -> None:
        plan = layout(state)
        with panel.hold_sync():
            panel.words = html.escape(map_words.finding(state))
            panel.picture = map_svg.standing(plan, self._note())
            panel.overlay = map_svg.moving(plan, self._traffic)
            panel.controls = self._controls(state)

    async def _ask(self) -> Objects:
        """What the API server says, asked once."""
        client = self._connect()
        try:
            lists = await asyncio.gather(*(client.list(resource) for resource in _RESOURCES))
        finally:
            await client.close()
        return Objects(*(tuple(answer["items"]) for answer in lists))
