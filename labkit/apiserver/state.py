"""The state of the cluster: every object in memory, every change through the store.

A write is evaluated against what is visible, gets the next revision, goes to the store, and becomes
visible to reads and watches when the store says that it is durable.  While a write of an object is
under way, the next write of the same object waits; writes of different objects overlap freely, and
so share the store's group commits.

Invariants: one write is one revision, and the object's resourceVersion; revisions only grow;
changes become visible in revision order.

In place of etcd and its watch cache.  Left out: several servers over one store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial

import orjson

from labkit.apiserver import managed_fields, statuses
from labkit.apiserver.collection import WINDOW, Collection
from labkit.apiserver.registry import REGISTRATIONS
from labkit.apiserver.request import Encoded
from labkit.apiserver.store import ALL, Contents, Record, Store, StoreFull
from labkit.apiserver.watch import ADDED, DELETED, MODIFIED, Event
from labkit.kube.encoding import compact
from labkit.kube.resources import Resource

_TRIM_BATCH = 500  # superseded records: rare enough to cost nothing, small enough for one group


class State:
    """All collections over one store.  For one event loop."""

    def __init__(self, store: Store, window: int = WINDOW) -> None:
        self._store, self._window = store, window
        self.collections: dict[str, Collection] = {}
        self.revision = 0  # of the newest visible change
        self._assigned = 0  # of the newest change that was handed to the store
        self._pending: dict[tuple[str, str], asyncio.Future] = {}
        self._superseded: dict[str, list[int]] = {}
        self._floor = 0  # of collections that the store knew nothing of
        self._indexes = {row.storage.name: row.strategy.index for row in REGISTRATIONS}

    async def open(self) -> None:
        """Read the store.  Raises what the store's `open` raises."""
        self._load(await asyncio.get_running_loop().run_in_executor(None, self._store.open))

    def back_up(self) -> None:
        """Have the store backed up, if it has changed since the last time."""
        self._store.back_up()

    async def close(self) -> None:
        """End all watches and close the store when everything is durable."""
        for collection in self.collections.values():
            for watcher in collection.watchers:
                watcher.end()
        await asyncio.get_running_loop().run_in_executor(None, self._store.close)

    def _load(self, contents: Contents) -> None:
        items: dict[str, dict[str, Encoded]] = {}
        events: dict[str, list[Event]] = {}
        self._floor = contents.floors.get(ALL, 0)
        floors = {name: max(floor, self._floor) for name, floor in contents.floors.items()}
        for record in contents.records:
            present = items.setdefault(record.resource, {})
            item = Encoded(managed_fields.shared(orjson.loads(record.value)), record.value)
            previous = present.pop(record.key, None)
            if not record.deleted:
                present[record.key] = item
            kind = DELETED if record.deleted else MODIFIED if previous else ADDED
            event = Event(record.revision, kind, record.key, item, previous)
            if record.revision > floors.get(record.resource, self._floor):
                events.setdefault(record.resource, []).append(event)
            else:
                self._superseded.setdefault(record.resource, []).extend(_no_longer_needed(event))
        for name, present in items.items():
            collection = self._collection(name, floors.get(name, self._floor))
            collection.load(present.items(), events.get(name, ()))
        self.revision = self._assigned = contents.revision

    def _collection(self, name: str, floor: int) -> Collection:
        index = self._indexes.get(name, "")
        collection = self.collections[name] = Collection(index, floor, self._window)
        return collection

    def of(self, resource: Resource) -> Collection:
        """The collection of a storage resource."""
        return self.collections.get(resource.name) or self._collection(resource.name, self._floor)

    async def settled(self, resource: Resource, key: str) -> None:
        """Return when no write of this object is under way."""
        while pending := self._pending.get((resource.name, key)):
            await asyncio.wait((pending,))

    async def commit(
        self, resource: Resource, key: str, obj: Mapping, *, deleted: bool = False
    ) -> Encoded:
        """Write one object whose last write has `settled`; its new, durable form.

        `obj` becomes the state's own: the caller gives it away.  Raises ApiError 507 if there is no
        room for it, 500 if it cannot be made durable otherwise; then nothing has changed.
        """
        collection = self.of(resource)
        previous = collection.items.get(key)
        self._assigned += 1
        obj["metadata"]["resourceVersion"] = str(self._assigned)
        item = Encoded(obj, compact(obj))
        kind = DELETED if deleted else MODIFIED if previous else ADDED
        event = Event(self._assigned, kind, key, item, previous)
        record = Record(event.revision, resource.name, key, deleted, item.json)
        future = self._store.append(record)
        if future is None:
            self._apply(collection, resource.name, event)
            return item
        self._pending[resource.name, key] = future
        future.add_done_callback(partial(self._durable, collection, resource.name, event))
        # The write goes on when its caller is gone.
        try:
            await asyncio.shield(future)
        except StoreFull as error:
            raise statuses.insufficient_storage(str(error)) from error
        except OSError as error:
            raise statuses.internal(str(error)) from error
        return item

    def _durable(
        self, collection: Collection, name: str, event: Event, future: asyncio.Future
    ) -> None:
        del self._pending[name, event.key]
        if not future.cancelled() and not future.exception():
            self._apply(collection, name, event)

    def _apply(self, collection: Collection, name: str, event: Event) -> None:
        self.revision = event.revision
        for gone in collection.apply(event):
            self._supersede(collection, name, gone)

    def _supersede(self, collection: Collection, name: str, gone: Event) -> None:
        """Once an event has left the window nobody needs what it replaced."""
        batch = self._superseded.setdefault(name, [])
        batch.extend(_no_longer_needed(gone))
        if len(batch) >= _TRIM_BATCH:
            self._store.trim(name, collection.floor, batch)
            self._superseded[name] = []


def _no_longer_needed(event: Event) -> Iterator[int]:
    """The revisions of the records that only watches from before this event would need."""
    if event.previous:
        yield int(event.previous.obj["metadata"]["resourceVersion"])
    if event.type == DELETED:
        yield event.revision
