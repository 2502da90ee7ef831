"""What the server does by itself: bookmarks for watches, old Events go, backups.

Source: k8s.io/apiserver storage/cacher (bookmarks keep a resuming watch inside of the window) and
kube-apiserver's --event-ttl (one hour, from an Event's last change).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from itertools import count

from labkit.apiserver.request import Encoded
from labkit.apiserver.state import State
from labkit.apiserver.watch import bookmark
from labkit.client.errors import ApiError
from labkit.clock import Clock
from labkit.kube import times
from labkit.kube.resources import EVENTS

log = logging.getLogger(__name__)

_EVERY = 60.0  # seconds
_BACKUP_EVERY = 10  # rounds
EVENT_TTL = 3600.0  # seconds


class Housekeeping:
    """The server's own tasks; `stop` ends them all."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._clock = state, clock
        self._tasks: set[asyncio.Task] = set()

    def start(self) -> None:
        """Begin."""
        self.spawn(self._run())

    def spawn(self, coroutine: Coroutine) -> asyncio.Task:
        """Run something in the background, until it or the server ends."""
        task = asyncio.create_task(coroutine, name="apiserver housekeeping")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel and wait.  Safe to repeat."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        for number in count(1):
            await self._clock.sleep(_EVERY)
            self._send_bookmarks()
            if number % _BACKUP_EVERY == 0:
                self._state.back_up()
            try:
                await self._expire_events()
            except ApiError as error:
                # The store cannot write; whoever writes next is told, and old Events can wait.
                log.warning("events not expired error=%s", error)

    def _send_bookmarks(self) -> None:
        for collection in self._state.collections.values():
            for watcher in collection.watchers:
                if watcher.bookmarks:
                    watcher.push(bookmark(*watcher.type, self._state.revision))

    async def _expire_events(self) -> None:
        oldest = self._clock.now() - EVENT_TTL
        items = self._state.of(EVENTS).items
        for key in [key for key, item in items.items() if _last_change(item) < oldest]:
            await self._state.settled(EVENTS, key)
            if key in items:
                await self._state.commit(EVENTS, key, _copy(items[key]), deleted=True)


def _copy(item: Encoded) -> dict:
    return {**item.obj, "metadata": dict(item.obj["metadata"])}


def _last_change(item: Encoded) -> float:
    """Unix seconds; what has no readable time is as old as its creation."""
    event = item.obj
    latest = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp")
    try:
        return times.parse(latest or event.get("eventTime") or "")
    except ValueError:
        return times.parse(event["metadata"]["creationTimestamp"])
