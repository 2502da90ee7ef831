"""The watchers of one selection: what one of them sees, all of them see.

An event is compared with the selection once, not once for each watcher.  And those who have seen
everything, and whose readers keep up, are *together*: at the end of the loop's turn what has
happened is framed once, and their connections get it one after the other.  Nothing else of them is
touched, no queue and no task, which is most of what a hundred watchers cost.

A watcher whose reader does not keep up, or that has something of its own to tell (a bookmark, its
end), takes along what is not yet written and goes on alone, until it waits again.

Invariants: a watcher is either together or alone; it gets each event once and in order, whichever
of the two it was; what is posted is written, or taken along, before anybody else joins.

Source: k8s.io/apiserver storage/cacher (cacheWatcher.convertToWatchEvent; the encoding that
watchers share is its cachingObject).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from labkit.apiserver.request import Encoded, WatchEvent
from labkit.apiserver.selection import Selection
from labkit.apiserver.watch import ADDED, DELETED, MODIFIED, Event, Sink, encode


class Member(Protocol):
    """A watcher, as an audience knows it."""

    def offer(self, event: WatchEvent) -> None: ...


class Audience:
    """The watchers of `selection`."""

    def __init__(self, selection: Selection) -> None:
        self._predicate = selection.predicate()
        self._alone: dict[Member, None] = {}  # in the order in which they came
        self._together: dict[Member, Sink] = {}
        self._posted: list[WatchEvent] = []

    def __bool__(self) -> bool:
        return bool(self._alone or self._together)

    @property
    def members(self) -> list[Member]:
        """All of them."""
        return [*self._alone, *self._together]

    def add(self, member: Member) -> None:
        """Somebody new, alone at first."""
        self._alone[member] = None

    def remove(self, member: Member) -> None:
        """Somebody who is alone, and has ended."""
        self._alone.pop(member, None)

    def offer(self, event: Event, whole: WatchEvent) -> None:
        """A new event; `whole` is what a watch of everything sees of it."""
        seen = seen_by(self._predicate, event, whole)
        if seen is None:
            return
        if self._together:
            if not self._posted:
                asyncio.get_running_loop().call_soon(self._write)
            self._posted.append(seen)
        # Offering may end a watcher, who then leaves.
        for member in tuple(self._alone):
            member.offer(seen)

    def join(self, member: Member, sink: Sink) -> None:
        """Somebody who has seen everything gets what comes together with the others."""
        self._write()
        del self._alone[member]
        self._together[member] = sink

    def leave(self, member: Member) -> None:
        """Somebody goes on alone.  Safe to repeat."""
        if self._together.pop(member, None) is None:
            return
        self._alone[member] = None
        for event in self._posted:
            member.offer(event)

    def _write(self) -> None:
        if self._posted and self._together:
            sinks = self._together.items()
            content = next(iter(self._together.values())).frame(self._posted)
            for member in [member for member, sink in sinks if not sink.write(content)]:
                self.leave(member)
        self._posted.clear()


def seen_by(
    predicate: Callable[[Mapping], bool] | None, event: Event, whole: WatchEvent
) -> WatchEvent | None:
    """What a watch with this predicate (None: everything) sees of an event.

    With selectors an object may enter or leave the selection without being made or deleted: the
    watch then sees ADDED or DELETED.
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


def left(event: Event) -> Encoded:
    """The object of a DELETED event that a watch sees when the object leaves its selection."""
    previous = event.previous.obj
    metadata = {**previous["metadata"], "resourceVersion": str(event.revision)}
    return encode({**previous, "metadata": metadata})


def past(selection: Selection, events: Sequence[Event]) -> list[WatchEvent]:
    """What a watch that resumes has missed."""
    predicate = selection.predicate()
    seen = (seen_by(predicate, one, WatchEvent(one.type, one.item)) for one in events)
    return [one for one in seen if one]
