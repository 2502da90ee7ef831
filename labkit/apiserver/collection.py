"""All objects of one resource in memory, their recent history, and who watches them.

Objects are kept in the order of their keys (`namespace/name`), which is the order of lists.  The
window is the last events; it answers resumed watches, and it turns the present back into the past
for lists that are continued.  What falls out of it is gone: older revisions are Expired.

Invariants: `apply` is called in revision order; `floor` is the newest revision that is no longer
in the window, so that every event above it is there.

Source: k8s.io/apiserver storage/cacher (watchCache).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator

from labkit.apiserver import statuses
from labkit.apiserver.audience import Audience
from labkit.apiserver.request import Encoded, WatchEvent
from labkit.apiserver.selection import Selection, field_value
from labkit.apiserver.watch import DELETED, Event, Watcher

WINDOW = 4096  # events
_WINDOW_BYTES = 64 * 1024 * 1024  # of their objects' JSON: big objects have a shorter history


class Collection:
    """The objects of one resource.  `index` is the path of the indexed field, or empty."""

    def __init__(self, index: str = "", floor: int = 0, window: int = WINDOW) -> None:
        self.items: dict[str, Encoded] = {}
        self.floor = floor
        self.revision = 0  # of the last change while the server ran
        self._keys: list[str] = []
        self._index = index
        self._indexed: dict[str, set[str]] = defaultdict(set)
        self._window: deque[Event] = deque()
        self._size, self._bytes = window, 0
        self.listeners: list[Callable[[Event], None]] = []  # called in the turn of each event
        # By the value of the indexed field that they ask for, if they do.
        self._audiences: dict[str | None, dict[Selection, Audience]] = defaultdict(dict)

    def load(self, keys: Iterable[tuple[str, Encoded]], events: Iterable[Event]) -> None:
        """Start with objects and history that a store had kept."""
        self.items = dict(sorted(keys, key=lambda pair: pair[0]))
        self._keys = list(self.items)
        self._window.extend(events)
        self._bytes = sum(len(event.item.json) for event in self._window)
        for key, item in self.items.items():
            self._reindex(key, None, item)

    def apply(self, event: Event) -> list[Event]:
        """Make an event visible to reads and watches; the events that left the window."""
        key, self.revision = event.key, event.revision
        if event.type == DELETED:
            del self.items[key]
            del self._keys[bisect_left(self._keys, key)]
        else:
            if event.previous is None:
                insort(self._keys, key)
            self.items[key] = event.item
        self._reindex(key, event.previous, None if event.type == DELETED else event.item)
        self._window.append(event)
        self._bytes += len(event.item.json)
        self._dispatch(event)
        return self._evict()

    def _reindex(self, key: str, old: Encoded | None, new: Encoded | None) -> None:
        if not self._index:
            return
        before = old and field_value(old.obj, self._index)
        after = new and field_value(new.obj, self._index)
        if before == after:
            return
        if before is not None:
            self._indexed[before].discard(key)
            if not self._indexed[before]:
                del self._indexed[before]
        if after is not None:
            self._indexed[after].add(key)

    def _evict(self) -> list[Event]:
        gone = []
        while len(self._window) > self._size or self._bytes > _WINDOW_BYTES:
            gone.append(self._window.popleft())
            self._bytes -= len(gone[-1].item.json)
            self.floor = gone[-1].revision
        return gone

    def _dispatch(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)
        if not self._audiences:
            return
        whole = WatchEvent(event.type, event.item)
        for value in self._values(event):
            for audience in tuple(self._audiences.get(value, {}).values()):
                audience.offer(event, whole)

    def _values(self, event: Event) -> Iterable[str | None]:
        """The values of the indexed field that watchers of an event may have asked for."""
        if not self._index:
            return (None,)
        seen = (item for item in (event.item, event.previous) if item)
        return dict.fromkeys((None, *(field_value(item.obj, self._index) for item in seen)))

    def select(self, selection: Selection) -> Iterator[tuple[str, Encoded]]:
        """The present objects of a selection, in key order."""
        predicate = selection.predicate(placed=selection.index_value is None)
        for key in self._candidates(selection):
            item = self.items[key]
            if predicate is None or predicate(item.obj):
                yield key, item

    def _candidates(self, selection: Selection) -> Iterable[str]:
        if selection.index_value is not None:
            return sorted(self._indexed.get(selection.index_value, ()))
        if not selection.namespace:
            return tuple(self._keys)
        if selection.name:
            key = f"{selection.namespace}/{selection.name}"
            return (key,) if key in self.items else ()
        start = bisect_left(self._keys, selection.namespace + "/")
        end = bisect_left(self._keys, selection.namespace + "0")  # "0" comes after "/"
        return self._keys[start:end]

    def at(self, revision: int, selection: Selection) -> Iterator[tuple[str, Encoded]]:
        """The objects of a selection as they were at `revision`.  Raises ApiError 410."""
        if revision < self.floor:
            raise statuses.expired(self._too_old(revision))
        past: dict[str, Encoded | None] = {}
        for event in self._after(revision):
            past.setdefault(event.key, event.previous)
        if not past:
            yield from self.select(selection)
            return
        predicate = selection.predicate()
        for key in sorted(self.items.keys() | past.keys()):
            item = past[key] if key in past else self.items[key]
            if item and (predicate is None or predicate(item.obj)):
                yield key, item

    def since(self, revision: int) -> list[Event]:
        """The events after `revision`.  Raises ApiError 410 if they are no longer all there."""
        if revision < self.floor:
            raise statuses.expired(self._too_old(revision))
        return self._after(revision)

    def _too_old(self, revision: int) -> str:
        return f"too old resource version: {revision} ({self.floor})"

    def _after(self, revision: int) -> list[Event]:
        found = []
        for event in reversed(self._window):
            if event.revision <= revision:
                break
            found.append(event)
        return found[::-1]

    def watch(self, watcher: Watcher) -> None:
        """Offer all further events to `watcher`, until it ends."""
        selection = watcher.selection
        audiences = self._audiences[selection.index_value]
        audience = audiences.get(selection) or audiences.setdefault(selection, Audience(selection))
        audience.add(watcher)
        watcher.audience = audience
        watcher.on_end.append(self._forget)

    def _forget(self, watcher: Watcher) -> None:
        selection, audience = watcher.selection, watcher.audience
        audience.remove(watcher)
        watcher.audience = None
        audiences = self._audiences[selection.index_value]
        if not audience and audiences.get(selection) is audience:
            del audiences[selection]
        if not audiences:
            del self._audiences[selection.index_value]

    @property
    def watchers(self) -> list[Watcher]:
        """All present watchers."""
        groups = self._audiences.values()
        return [one for group in groups for audience in group.values() for one in audience.members]
