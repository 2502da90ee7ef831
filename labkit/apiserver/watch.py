"""One watch: a bounded buffer between the server, which never waits, and a client, which may.

The server offers each event of a resource to its watchers; a watcher keeps what its selection lets
through.  With selectors an object may enter or leave the selection without being made or deleted:
the watcher then sees ADDED or DELETED, as upstream's watch cache does.

Invariants: events come in revision order, each once; a client that reads too slowly gets one ERROR
(410 Expired: list again) and the end, and never holds the server up.

Source: k8s.io/apiserver storage/cacher (cacheWatcher.convertToWatchEvent).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

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


def left(event: Event) -> Encoded:
    """The object of a DELETED event that a watch sees when the object leaves its selection."""
    previous = event.previous.obj
    metadata = {**previous["metadata"], "resourceVersion": str(event.revision)}
    return encode({**previous, "metadata": metadata})


def seen_by(
    predicate: Callable[[Mapping], bool] | None, event: Event, whole: WatchEvent
) -> WatchEvent | None:
    """What a watch with this predicate (None: everything) sees of an event.

    That is mostly `whole`, what a watch of everything sees, and then the very same object.
    """
    if predicate is None:
        return whole
    before = event.previous is not None and predicate(event.previous.obj)
    if event.type == DELETED:
        return whole if before else None
    if predicate(event.item.obj):
        type = MODIFIED if before else ADDED
        return whole if type == event.type else WatchEvent(type, event.item)
    return WatchEvent(DELETED, left(event)) if before else None


class Watcher:
    """The asynchronous iterator of one watch.  `convert` turns stored into served objects."""

    # A hundred of these are touched for one event: what is nearer together is quicker to reach.
    __slots__ = (
        "_convert",
        "_ended",
        "_events",
        "_limit",
        "_predicate",
        "_room",
        "_waiter",
        "bookmarks",
        "on_end",
        "on_events",
        "selection",
        "type",
    )

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
        self._predicate = selection.predicate()
        self._convert = convert
        self._limit, self._room = buffer, _BUFFER_BYTES
        self._events: deque[WatchEvent] = deque()
        self._waiter: asyncio.Future | None = None
        self._ended = False
        self.on_end: list[Callable[[Watcher], None]] = []
        self.on_events: Callable[[], None] | None = None  # called in place of waking who waits

    def start_with(self, events: Iterable[WatchEvent]) -> None:
        """Queue the beginning, however long: the server has it in memory anyhow."""
        before = len(self._events)
        self._events.extend(events)
        self._limit += len(self._events) - before

    def replay(self, events: Iterable[Event]) -> None:
        """Queue the past that a resuming client has missed."""
        seen = (seen_by(self._predicate, one, WatchEvent(one.type, one.item)) for one in events)
        self.start_with(filter(None, seen))

    def offer(self, event: Event, whole: WatchEvent) -> None:
        """A new event; ends the watch if the client has fallen too far behind."""
        predicate = self._predicate
        seen = whole if predicate is None else seen_by(predicate, event, whole)
        if seen is not None:
            self.push(seen)

    def push(self, event: WatchEvent) -> None:
        """Queue an event whatever the selection is."""
        if self._ended:
            return
        events = self._events
        self._room -= len(event.item.json)
        if len(events) >= self._limit or self._room < 0:
            events.clear()
            self.fail(status_error(410, "Expired", "The watch fell too far behind its resource."))
            return
        events.append(event)
        if len(events) > 1 or self._waiter is None:
            return  # whoever takes the events has been told of the first
        if self.on_events:
            self.on_events()
        else:
            self.wake()

    def fail(self, error: ApiError) -> None:
        """Tell the client what went wrong, as the last event."""
        self._events.append(WatchEvent(ERROR, encode(error.status)))
        self.end()

    def end(self) -> None:
        """No more events after those that are queued.  Safe to repeat."""
        if not self._ended:
            self._ended = True
            for callback in self.on_end:
                callback(self)
            self.wake()

    @property
    def ended(self) -> bool:
        """Whether no more events will come after those that are queued."""
        return self._ended

    @property
    def waiting(self) -> bool:
        """Whether somebody waits in `batch` or for the next event."""
        return self._waiter is not None

    def wake(self) -> None:
        """Have who waits go on."""
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
            try:
                await self._waiter
            finally:
                self._waiter = None
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

    @property
    def size(self) -> int:
        """Bytes of the objects' JSON that wait to be taken, the watch's beginning aside."""
        return _BUFFER_BYTES - self._room

    def take(self) -> list[WatchEvent]:
        """All events that there are, without waiting."""
        found = list(self._events)
        self._events.clear()
        self._room = _BUFFER_BYTES
        return [self._served(event) for event in found] if self._convert else found

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
