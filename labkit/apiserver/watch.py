"""One watch: a bounded buffer between the server, which never waits, and a client, which may.

What is to be seen comes from the audience to which the watch belongs.  While a watch with a sink
waits, its audience writes in its place.

Invariants: events come in revision order, each once; a client that reads too slowly gets one ERROR
(410 Expired: list again) and the end, and never holds the server up.

Source: k8s.io/apiserver storage/cacher (cacheWatcher).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import orjson

from labkit.apiserver.request import Encoded, WatchEvent
from labkit.apiserver.selection import Selection
from labkit.client.errors import ApiError, status_error

ADDED, MODIFIED, DELETED, BOOKMARK, ERROR = "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_BUFFER = 10_000  # events: what a controller that is busy for a second may fall behind in
_BUFFER_BYTES = 32 * 1024 * 1024  # of their objects' JSON, which others may have forgotten by then


class Event(NamedTuple):
    """One change of one object; `previous` is its state before, None if it is new."""

    revision: int
    type: str
    key: str
    item: Encoded
    previous: Encoded | None


def encode(obj: Mapping) -> Encoded:
    """An object with its JSON."""
    return Encoded(obj, orjson.dumps(obj))


class Sink(Protocol):
    """Where the events of a watch are written, if it has nothing of its own to tell."""

    def frame(self, events: Sequence[WatchEvent]) -> bytes:
        """The bytes of some events, the same for all sinks."""

    def write(self, content: bytes) -> bool:
        """Write what was framed; False if that would have to wait, and nothing was written."""


class Audience(Protocol):
    """The watchers of one selection (audience.py)."""

    def join(self, member: Watcher, sink: Sink) -> None: ...

    def leave(self, member: Watcher) -> None: ...


class Watcher:
    """The asynchronous iterator of one watch.  `convert` turns stored into served objects."""

    def __init__(
        self,
        selection: Selection,
        type: tuple[str, str] = ("", ""),
        *,
        bookmarks: bool = False,
        convert: Callable[[Encoded], Encoded] | None = None,
        buffer: int = _BUFFER,
    ) -> None:
        self.selection, self.bookmarks = selection, bookmarks
        self.type = type  # apiVersion and kind, for bookmarks
        self.audience: Audience | None = None  # while it follows what happens
        self.sink: Sink | None = None
        self._convert = convert
        self._limit, self._room = buffer, _BUFFER_BYTES
        self._events: deque[WatchEvent] = deque()
        self._waiter: asyncio.Future | None = None
        self._ended = False
        self.on_end: list[Callable[[Watcher], None]] = []

    def start_with(self, events: Iterable[WatchEvent]) -> None:
        """Queue the beginning, however long: the server has it in memory anyhow."""
        before = len(self._events)
        self._events.extend(events)
        self._limit += len(self._events) - before

    def offer(self, event: WatchEvent) -> None:
        """An event to be seen; ends the watch if the client has fallen too far behind."""
        if self._ended:
            return
        self._room -= len(event.item.json)
        if len(self._events) >= self._limit or self._room < 0:
            self._events.clear()
            self.fail(status_error(410, "Expired", "The watch fell too far behind its resource."))
            return
        self._events.append(event)
        self._wake()

    def push(self, event: WatchEvent) -> None:
        """An event that is for this watch alone."""
        self._leave()
        self.offer(event)

    def fail(self, error: ApiError) -> None:
        """Tell the client what went wrong, as the last event."""
        self._leave()
        self._events.append(WatchEvent(ERROR, encode(error.status)))
        self.end()

    def end(self) -> None:
        """No more events after those that are queued.  Safe to repeat."""
        if not self._ended:
            self._leave()
            self._ended = True
            for callback in self.on_end:
                callback(self)
            self._wake()

    @property
    def ended(self) -> bool:
        """Whether no more events will come after those that are queued."""
        return self._ended

    def _leave(self) -> None:
        if self.audience:
            self.audience.leave(self)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> WatchEvent:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            if self.audience and self.sink and not self._convert:
                self.audience.join(self, self.sink)
            try:
                await self._waiter
            finally:
                self._waiter = None
                self._leave()
        return self._next()

    def _next(self) -> WatchEvent:
        event = self._events.popleft()
        # What the watch began with took no room, hence gives none back.
        self._room = min(self._room + len(event.item.json), _BUFFER_BYTES)
        return self._served(event) if self._convert else event

    def _served(self, event: WatchEvent) -> WatchEvent:
        if event.type in (BOOKMARK, ERROR):
            return event
        return WatchEvent(event.type, self._convert(event.item))

    async def batch(self, most: int) -> list[WatchEvent]:
        """All events that there are, up to `most`, as soon as there is one; none at the end."""
        try:
            found = [await anext(self)]
        except StopAsyncIteration:
            return []
        return found + [self._next() for _ in range(min(most - 1, len(self._events)))]

    async def aclose(self) -> None:
        """End the watch from the client's side.  Safe to repeat."""
        self._events.clear()
        self.end()


def bookmark(api_version: str, kind: str, revision: int, *, initial: bool = False) -> WatchEvent:
    """An event that only says how far the watch has come."""
    metadata: dict = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial:
        metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
    obj = {"kind": kind, "apiVersion": api_version, "metadata": metadata}
    return WatchEvent(BOOKMARK, encode(obj))
