"""A local copy of a resource that list and watch keep true.

The informer lists, then watches from the list's revision; when the watch ends it resumes from the
last revision seen, and when that revision is gone (410), or the server has not come to it (504: it
was restored from a backup), it lists again and reports the differences.  Handlers are called in
revision order, with objects that are shared and read-only.

Source: client-go tools/cache (Reflector, SharedIndexInformer).  Left out: periodic resyncs, which
mend bugs of handlers rather than of the protocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from labkit.client.client import Client
from labkit.client.errors import ApiError
from labkit.clock import Clock
from labkit.kube import objects
from labkit.kube.resources import Resource

log = logging.getLogger(__name__)

Handler = Callable[[Mapping | None, Mapping | None], None]
IndexFunction = Callable[[Mapping], Iterable[str]]
_FIRST_RETRY, _LAST_RETRY = 0.05, 5.0


class Informer:
    """`store` maps keys (`namespace/name`) to objects; handlers get (old, new).

    A handler's `old` is None for a new object and its `new` is None for a deleted one.  Add
    handlers and indexes before `start`.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        clock: Clock,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self.client, self.resource, self.clock = client, resource, clock
        self._scope = {
            "namespace": namespace,
            "label_selector": label_selector,
            "field_selector": field_selector,
        }
        self.store: dict[str, Mapping] = {}
        self._handlers: list[Handler] = []
        self._index_functions: dict[str, IndexFunction] = {}
        self._indexes: dict[str, dict[str, set[str]]] = {}
        self._synced = asyncio.Event()
        self._revision = ""
        self._task: asyncio.Task | None = None

    def add_handler(self, handler: Handler) -> None:
        """Call `handler(old, new)` for every change, starting with the first list."""
        self._handlers.append(handler)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index: `function(obj)` gives the values under which `by_index` finds `obj`."""
        self._index_functions[name] = function
        self._indexes[name] = defaultdict(set)

    def get(self, name: str, namespace: str | None = None) -> Mapping | None:
        """The cached object, or None."""
        return self.store.get(f"{namespace}/{name}" if namespace else name)

    def by_index(self, name: str, value: str) -> list[Mapping]:
        """Objects for which the index function gave `value`, ordered by key."""
        return [self.store[key] for key in sorted(self._indexes[name].get(value, ()))]

    def start(self) -> None:
        """Begin to list and watch, in a task that `stop` ends."""
        self._task = asyncio.create_task(self._run(), name=f"informer {self.resource.name}")

    async def synced(self) -> None:
        """Return once the first list is in `store`."""
        await self._synced.wait()

    async def stop(self) -> None:
        """End the watch.  Safe to repeat."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        delay = _FIRST_RETRY
        while True:
            try:
                if not self._revision:
                    await self._list()
                async for event in self._watch():
                    self._apply(event)
                    delay = _FIRST_RETRY
            except ApiError as error:
                if error.expired or error.too_large_version:
                    self._revision = ""
                if error.expired:
                    continue
                log.warning("watch failed resource=%s error=%s", self.resource.name, error)
            except OSError as error:
                log.info("server unreachable resource=%s error=%s", self.resource.name, error)
            await self.clock.sleep(delay)
            delay = min(delay * 2, _LAST_RETRY)

    def _watch(self):
        return self.client.watch(self.resource, resource_version=self._revision, **self._scope)

    async def _list(self) -> None:
        answer = await self.client.list(self.resource, **self._scope)
        fresh = {}
        for item in answer["items"]:
            # Items of a list carry no type of their own on the wire.
            item.setdefault("apiVersion", self.resource.api_version)
            item.setdefault("kind", self.resource.kind)
            fresh[objects.key(item)] = item
        for key in [key for key in self.store if key not in fresh]:
            self._set(key, None)
        for key, obj in fresh.items():
            self._set(key, obj)
        self._revision = answer["metadata"]["resourceVersion"]
        self._synced.set()

    def _apply(self, event: Mapping) -> None:
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiError(obj)
        self._revision = obj["metadata"]["resourceVersion"]
        if kind != "BOOKMARK":
            self._set(objects.key(obj), None if kind == "DELETED" else obj)

    def _set(self, key: str, new: Mapping | None) -> None:
        old = self.store.get(key)
        if old is None and new is None:
            return
        if old and new and _revision(old) == _revision(new):
            return  # listed again, unchanged
        self._reindex(key, old, new)
        if new is None:
            del self.store[key]
        else:
            self.store[key] = new
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:  # one handler's bug must not end the cache that others rely on
                log.exception("handler failed resource=%s key=%s", self.resource.name, key)

    def _reindex(self, key: str, old: Mapping | None, new: Mapping | None) -> None:
        for name, function in self._index_functions.items():
            index = self._indexes[name]
            for value in function(old) if old else ():
                index[value].discard(key)
                if not index[value]:
                    del index[value]
            for value in function(new) if new else ():
                index[value].add(key)


def _revision(obj: Mapping) -> tuple[str | None, str | None]:
    meta = obj["metadata"]
    return meta.get("uid"), meta.get("resourceVersion")
