"""Definitions come to life: rows of the registry, conditions, and cleaning up behind them.

Two halves.  Whatever happens to a definition changes the registry at once, in the same turn of the
event loop in which the change becomes visible: what is established is served, and what is served
is what the definition says.  A task then does what takes time: it accepts names, keeps APIServices,
and empties definitions that are being deleted.

Source: k8s.io/apiextensions-apiserver pkg/apiserver (customresource_handler.go),
pkg/controller/status, .../establish, .../finalizer; kube-aggregator's autoregister controller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping

from labkit.apiserver import bootstrap, deletion
from labkit.apiserver.custom import kind, names
from labkit.apiserver.custom.definition import FINALIZER
from labkit.apiserver.registration import Registration
from labkit.apiserver.registry import Registry
from labkit.apiserver.request import Encoded
from labkit.apiserver.target import Call, Target
from labkit.apiserver.watch import DELETED, Event
from labkit.apiserver.writes import Writes, may_go
from labkit.client.errors import ApiError
from labkit.kube import conditions
from labkit.kube.resources import CUSTOM_RESOURCE_DEFINITIONS

log = logging.getLogger(__name__)

_AGAIN = 1.0  # seconds between looks at a definition whose instances are still going
_PRIORITY = (1000, 100)  # of a definition's group and versions among all APIServices


class CustomResources:
    """The custom resources of one API server; `spawn` runs a task until the server stops."""

    def __init__(
        self,
        registry: Registry,
        writes: Writes,
        spawn: Callable[[Coroutine], asyncio.Task],
    ) -> None:
        self._registry, self._writes, self._spawn = registry, writes, spawn
        self._state = writes.state
        self._served: dict[str, tuple] = {}  # what the rows of a definition were made from
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    def start(self) -> None:
        """Serve what is established, and begin to listen."""
        collection = self._state.of(CUSTOM_RESOURCE_DEFINITIONS)
        for name, item in collection.items.items():
            self._serve(name, item.obj, int(item.obj["metadata"]["resourceVersion"]))
            self._queue.put_nowait(name)
        collection.listeners.append(self._changed)
        self._spawn(self._work())

    # At once.

    def _changed(self, event: Event) -> None:
        gone = event.type == DELETED
        self._serve(event.key, None if gone else event.item.obj, event.revision)
        self._queue.put_nowait(event.key)
        if gone:
            self._reconsider_group(event.item.obj["spec"]["group"])

    def _reconsider_group(self, group: str) -> None:
        """Names have become free: perhaps another definition waits for them."""
        for name, item in self._definitions.items():
            if item.obj["spec"]["group"] == group:
                self._queue.put_nowait(name)

    def _serve(self, name: str, definition: Mapping | None, revision: int) -> None:
        wanted, known = _identity(definition), self._served.get(name, ())
        if wanted == known:
            return
        before = self._registry.owned(name)
        rows = kind.rows(definition, revision) if wanted else ()
        self._registry.put(name, rows)
        if wanted:
            self._served[name] = wanted
        else:
            self._served.pop(name, None)
        if before and wanted[:-1] != known[:-1]:
            # Who watches starts again and sees the objects as they are served now.
            for watcher in self._state.of(before[0].storage).watchers:
                watcher.end()

    # In time.

    @property
    def _definitions(self) -> Mapping[str, Encoded]:
        return self._state.of(CUSTOM_RESOURCE_DEFINITIONS).items

    async def _work(self) -> None:
        while True:
            name = await self._queue.get()
            try:
                await self._reconcile(name)
            except Exception as error:  # the next definition is not to blame
                if not isinstance(error, ApiError):
                    log.exception("reconcile failed definition=%s", name)
                self._spawn(self._later(name))

    async def _later(self, name: str) -> None:
        await self._writes.clock.sleep(_AGAIN)
        self._queue.put_nowait(name)

    async def _reconcile(self, name: str) -> None:
        item = self._definitions.get(name)
        if item is not None and item.obj["metadata"].get("deletionTimestamp"):
            await self._clean_up(name)
        elif item is not None:
            await self._set_status(name, self._with_names)
        await self._sync_api_services(name.partition(".")[2])

    def _with_names(self, definition: Mapping) -> dict:
        group = definition["spec"]["group"]
        others = [
            item.obj
            for item in self._definitions.values()
            if item.obj["spec"]["group"] == group and item.obj is not definition
        ]
        return names.status(definition, others, self._writes.clock.timestamp())

    async def _set_status(self, name: str, make: Callable[[Mapping], dict]) -> None:
        await self._state.settled(CUSTOM_RESOURCE_DEFINITIONS, name)
        item = self._definitions.get(name)
        if item is None or (status := make(item.obj)) == item.obj.get("status"):
            return
        freed = status.get("acceptedNames") != (item.obj.get("status") or {}).get("acceptedNames")
        obj = {**item.obj, "metadata": dict(item.obj["metadata"]), "status": status}
        await self._state.commit(CUSTOM_RESOURCE_DEFINITIONS, name, obj)
        if freed:
            self._reconsider_group(obj["spec"]["group"])

    # Deletion.

    async def _clean_up(self, name: str) -> None:
        """Delete all instances; let the definition go when there are none."""
        definition = self._definitions[name].obj
        if FINALIZER not in (definition["metadata"].get("finalizers") or ()):
            return
        await self._set_status(name, self._terminating)
        if conditions.is_true(definition, "Established"):
            row = kind.storage_row(definition)
            await self._delete_instances(row)
            if self._state.of(row.storage).items:
                self._spawn(self._later(name))
                return
        await self._drop_finalizer(name)

    def _terminating(self, definition: Mapping) -> dict:
        status = definition.get("status") or {}
        return {
            **status,
            "conditions": conditions.updated(
                status.get("conditions"),
                "Terminating",
                "True",
                "InstanceDeletionInProgress",
                "CustomResource deletion is in progress",
                self._writes.clock.timestamp(),
            ),
        }

    async def _delete_instances(self, row: Registration) -> None:
        for item in list(self._state.of(row.storage).items.values()):
            metadata = item.obj["metadata"]
            if metadata.get("deletionTimestamp"):
                continue
            target = Target(row, metadata.get("namespace", ""), metadata["name"])
            call = Call(target, bootstrap.SYSTEM, {}, None, "application/json", False)
            try:
                await deletion.delete(self._writes, call)
            except ApiError as error:
                if not error.not_found:
                    raise

    async def _drop_finalizer(self, name: str) -> None:
        await self._state.settled(CUSTOM_RESOURCE_DEFINITIONS, name)
        item = self._definitions.get(name)
        if item is None:
            return
        metadata = dict(item.obj["metadata"])
        kept = [one for one in metadata.pop("finalizers", ()) if one != FINALIZER]
        obj = {**item.obj, "metadata": {**metadata, **({"finalizers": kept} if kept else {})}}
        await self._state.commit(CUSTOM_RESOURCE_DEFINITIONS, name, obj, deleted=may_go(obj))

    # What the rest of the cluster sees of it.

    async def _sync_api_services(self, group: str) -> None:
        """One APIService for each served version of the group, and none for others."""
        await bootstrap.sync_api_services(
            self._writes,
            group,
            {row.resource.version for row in self._registry.rows if row.resource.group == group},
            _PRIORITY,
        )


def _identity(definition: Mapping | None) -> tuple:
    """What the rows of a definition depend on; nothing for one that is not served.

    The last part, whether it is being deleted, does not change what objects look like.
    """
    if definition is None or not conditions.is_true(definition, "Established"):
        return ()
    names_ = (definition.get("status") or {}).get("acceptedNames")
    deleting = bool(definition["metadata"].get("deletionTimestamp"))
    return definition["spec"], names_, deleting
