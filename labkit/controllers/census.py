"""How many Pods of each kind every owner has, counted as they change.

A ReplicaSet is looked at after every burst of Pods that it creates, and its status says no more of
them than numbers.  A look at all of its Pods each time would cost the square of their number, so
the numbers are kept from event to event: a look costs as much as there are kinds.

Invariant: the counts are those of the informer's store.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from labkit.kube import objects, pods, times


class Traits(NamedTuple):
    """All that a ReplicaSet's selector and status look at in a Pod."""

    labels: frozenset[tuple[str, str]]
    active: bool  # neither ended nor being deleted
    terminating: bool  # being deleted, and not ended yet
    ready: bool  # active, and its Ready condition is True
    since: str  # when it became Ready (RFC 3339); empty where nobody says

    def available_in(self, min_ready_seconds: int, now: float) -> float | None:
        """Seconds until such a Pod counts as available (0: it does), None if it is not ready."""
        if not self.ready:
            return None
        if not min_ready_seconds or not self.since:
            return 0.0
        return max(0.0, times.parse(self.since) + min_ready_seconds - now)


def traits(pod: Mapping) -> Traits:
    """What kind of Pod this is."""
    running, deleting = not pods.is_terminal(pod), objects.is_deleting(pod)
    active = running and not deleting
    ready = active and pods.is_ready(pod)
    since = (ready and pods.ready_since(pod)) or ""
    labels = frozenset(objects.labels(pod).items())
    return Traits(labels, active, running and deleting, ready, since)


class Census:
    """Counts the Pods whose controller is of one kind; `changed` is an informer's handler."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._counts: dict[str, Counter[Traits]] = defaultdict(Counter)
        self._places: dict[str, tuple[str, Traits]] = {}  # by key: the owner's UID, and which kind

    def of(self, uid: str) -> Counter[Traits]:
        """How many Pods of each kind the owner with this UID has now."""
        return Counter(self._counts.get(uid))

    def changed(self, old: Mapping | None, new: Mapping | None) -> None:
        """Count `new` in place of `old`."""
        key = objects.key(new or old)
        if place := self._places.pop(key, None):
            self._forget(*place)
        owner = objects.controller_of(new) if new else None
        if owner and owner["kind"] == self._kind:
            self._places[key] = place = (owner["uid"], traits(new))
            self._counts[place[0]][place[1]] += 1

    def _forget(self, uid: str, kind: Traits) -> None:
        counts = self._counts[uid]
        counts[kind] -= 1
        if not counts[kind]:
            del counts[kind]
        if not counts:
            del self._counts[uid]
