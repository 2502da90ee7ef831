"""Events: what happened to containers, images and networks, as `docker events` shows it.

The newest `KEPT` events are remembered for `since`; subscribers get each event through a bounded
queue, and one that does not keep up is cut off rather than allowed to fill the memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from labkit.clock import Clock
from labkit.engine.filters import Filters

KEPT = 256  # as dockerd
QUEUE = 1024


class Events:
    """The stream of one engine's events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._subscribers: set[asyncio.Queue[dict[str, Any] | None]] = set()

    def publish(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """`kind` is container, image or network; `actor` its id (an image's name)."""
        nanos = int(self._clock.now() * 1e9)
        event: dict[str, Any] = {
            "Type": kind,
            "Action": action,
            "Actor": {"ID": actor, "Attributes": dict(attributes)},
            "scope": "local",
            "time": nanos // 10**9,
            "timeNano": nanos,
        }
        if (
            kind == "container"
        ):  # the form of API 1.21 and before, which the docker SDK's users read
            event |= {"status": action, "id": actor, "from": attributes.get("image", "")}
        elif kind == "image":
            event |= {"status": action, "id": actor}
        self._kept.append(event)
        for queue in list(self._subscribers):
            if queue.full():
                self._subscribers.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    async def stream(
        self, filters: Filters, since: float, until: float
    ) -> AsyncIterator[dict[str, Any]]:
        """Past events from `since` on (Unix seconds; 0: none), then new ones until `until`."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(QUEUE)
        past = [event for event in self._kept if since and event["timeNano"] >= since * 1e9]
        self._subscribers.add(queue)
        try:
            for event in past:
                if (not until or event["timeNano"] <= until * 1e9) and allows(filters, event):
                    yield event
            while (event := await self._next(queue, until)) is not None:
                if allows(filters, event):
                    yield event
        finally:
            self._subscribers.discard(queue)

    async def _next(
        self, queue: asyncio.Queue[dict[str, Any] | None], until: float
    ) -> dict[str, Any] | None:
        if not until:
            return await queue.get()
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.now())):
                return await queue.get()
        except TimeoutError:
            return None


def allows(filters: Filters, event: Mapping[str, Any]) -> bool:
    """Whether `event` passes the filters of `GET /events`."""
    kind, actor = event["Type"], event["Actor"]
    attributes = actor["Attributes"]

    def of(wanted_kind: str, name: str):
        named = (actor["ID"], attributes.get("name"))
        return lambda want: (kind == wanted_kind and want in named) or attributes.get(name) == want

    return (
        filters.allows("type", lambda want: want == kind)
        and filters.allows("event", lambda want: event["Action"].partition(":")[0] == want)
        and filters.allows("container", of("container", "container"))
        and filters.allows("network", of("network", "network"))
        and filters.allows("image", of("image", "image"))
        and filters.allows_labels(attributes)
    )
