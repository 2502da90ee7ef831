"""The garbage collector: objects go when their owners have gone.

An object that names owners in `metadata.ownerReferences` lives as long as one of them does.  How
the deletion of an owner treats its dependents is the deletion's propagation policy:

    Background   the owner goes at once, the dependents afterwards (found here as ownerless)
    Foreground   finalizer `foregroundDeletion`: first the dependents that block (their reference
                 says `blockOwnerDeletion`), then the owner
    Orphan       finalizer `orphan`: the dependents lose their reference, then the owner goes

The watches only tell where to look.  Before anything is deleted both the object and its owners are
read from the API and compared by UID, for an owner of the same name may be another one.

Source: kube-controller-manager's garbagecollector; documentation "Garbage Collection", "Owners and
Dependents".  Left out: its graph of absent owners of unknown kinds; such references count as alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers.customresources import resource_of
from labkit.controllers.informers import InformerFactory, SharedInformer, SharingController
from labkit.kube import objects
from labkit.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_OWNERS = "owners"
_REMEMBERED = 500  # owners that have gone, whose kind may have gone too


class Owners(NamedTuple):
    """An object's owner references by the state of what they point to."""

    solid: list[Mapping]
    dangling: list[Mapping]
    waiting: list[Mapping]  # being deleted in the foreground, hence waiting for us


class GarbageCollector(SharingController):
    """Collects objects of `resources` and custom resources.

    Keys are `<resource name> <namespace>/<name>`.
    """

    name = "garbage-collector-controller"
    workers = 20  # --concurrent-gc-syncs

    def __init__(
        self,
        client: Client,
        clock: Clock,
        resources: Iterable[Resource],
        informers: InformerFactory | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self._kinds: dict[tuple[str, str], Resource] = {}
        self._caches: dict[str, tuple[Resource, SharedInformer]] = {}
        self._known: dict[str, str] = {}  # UID → key
        self._absent: dict[str, None] = {}  # UIDs of what has gone, the newest last
        for resource in resources:
            self._add(resource)
        self._ending: set[asyncio.Task] = set()
        definitions = self.watch(CUSTOM_RESOURCE_DEFINITIONS, enqueue=False)
        self.on_change(definitions, self._defined)

    def _add(self, resource: Resource) -> SharedInformer:
        self._kinds[resource.group, resource.kind] = resource
        informer = self.watch(resource, enqueue=False)
        informer.add_index(_OWNERS, owner_uids)
        self._caches[resource.name] = resource, informer
        self.on_change(informer, lambda old, new: self._changed(resource, old, new))
        return informer

    def _defined(self, old: Mapping | None, new: Mapping | None) -> None:
        """Begin and end to watch the instances of a CustomResourceDefinition."""
        resource = resource_of(new) if new else None
        name = (new or old)["metadata"]["name"]
        watched = self._caches[name][0] if name in self._caches else None
        if watched and watched != resource:
            self._drop(watched)
        if resource and watched != resource:
            self._add(resource).start()

    def _drop(self, resource: Resource) -> None:
        _, informer = self._caches.pop(resource.name)
        self._kinds.pop((resource.group, resource.kind), None)
        self.unwatch(informer)
        for obj in list(informer.store.values()):
            self._gone(obj)
        task = asyncio.create_task(self.informers.end(informer), name=f"{self.name} unwatch")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def reconcile(self, key: str) -> None:
        """Do what the object's owners, or its own deletion, ask for."""
        name, _, path = key.partition(" ")
        if name not in self._caches:
            return  # its definition has gone
        resource, informer = self._caches[name]
        cached = informer.store.get(path)
        obj = await self._read(resource, path, cached["metadata"]["uid"]) if cached else None
        if obj is None:
            return
        finalizers = obj["metadata"].get("finalizers") or ()
        if not objects.is_deleting(obj):
            await self._collect(resource, obj)
        elif ORPHAN in finalizers:
            await self._orphan(resource, obj)
        elif FOREGROUND in finalizers:
            await self._wait_for_dependents(resource, obj)

    # Where to look.

    def _changed(self, resource: Resource, old: Mapping | None, new: Mapping | None) -> None:
        key = f"{resource.name} {objects.key(new or old)}"
        if new is None:
            self._gone(old)
            return
        if old and old["metadata"]["uid"] != new["metadata"]["uid"]:
            self._gone(old)
        self._known[new["metadata"]["uid"]] = key
        if objects.is_deleting(new):
            if _collects_dependents(new):
                self.queue.add(key)
            if FOREGROUND in (new["metadata"].get("finalizers") or ()):
                self._look_at(self._dependents(new["metadata"]["uid"]))
            self._look_at_owners(new)
        elif any(uid not in self._known for uid in owner_uids(new)):
            self.queue.add(key)  # an owner that we do not know: perhaps there is none
        elif old is not None and _references(old) != _references(new):
            self.queue.add(key)

    def _gone(self, obj: Mapping) -> None:
        uid = obj["metadata"]["uid"]
        self._known.pop(uid, None)
        self._absent[uid] = None
        if len(self._absent) > _REMEMBERED:
            del self._absent[next(iter(self._absent))]
        self._look_at(self._dependents(uid))
        self._look_at_owners(obj)

    def _look_at_owners(self, obj: Mapping) -> None:
        """An owner that is being deleted in the foreground may have waited for this one."""
        for uid in owner_uids(obj):
            if key := self._known.get(uid):
                name, _, path = key.partition(" ")
                owner = self._caches[name][1].store.get(path) if name in self._caches else None
                if owner and objects.is_deleting(owner):
                    self.queue.add(key)

    def _look_at(self, found: Iterable[tuple[Resource, Mapping]]) -> None:
        for resource, obj in found:
            self.queue.add(f"{resource.name} {objects.key(obj)}")

    def _dependents(self, uid: str) -> list[tuple[Resource, Mapping]]:
        return [
            (resource, obj)
            for resource, informer in self._caches.values()
            for obj in informer.by_index(_OWNERS, uid)
        ]

    # What is done.

    async def _collect(self, resource: Resource, obj: Mapping) -> None:
        owners = await self._owners(obj)
        uid = obj["metadata"]["uid"]
        if not owners.dangling and not owners.waiting:
            return
        if owners.solid:
            gone = {each["uid"] for each in (*owners.dangling, *owners.waiting)}
            await self._drop_references(resource, obj, gone)
        elif owners.waiting and self._dependents(uid):
            await self._delete(resource, obj, "Foreground")
        else:
            await self._delete(resource, obj, _own_policy(obj))

    async def _wait_for_dependents(self, resource: Resource, obj: Mapping) -> None:
        uid = obj["metadata"]["uid"]
        blocking = [each for each in self._dependents(uid) if _blocks(each[1], uid)]
        if blocking:
            self._look_at(blocking)
        else:
            await self._drop_finalizer(resource, obj, FOREGROUND)

    async def _orphan(self, resource: Resource, obj: Mapping) -> None:
        uid = obj["metadata"]["uid"]
        for kind, dependent in self._dependents(uid):
            fresh = await self._read(kind, objects.key(dependent), dependent["metadata"]["uid"])
            if fresh:
                await self._drop_references(kind, fresh, {uid})
        await self._drop_finalizer(resource, obj, ORPHAN)

    # Through the API.

    async def _owners(self, obj: Mapping) -> Owners:
        found = Owners([], [], [])
        for reference in obj["metadata"].get("ownerReferences") or ():
            if reference["uid"] in self._absent:
                found.dangling.append(reference)
                continue
            group = reference["apiVersion"].rpartition("/")[0]
            resource = self._kinds.get((group, reference["kind"]))
            if resource is None:
                found.solid.append(reference)
                continue
            namespace = obj["metadata"].get("namespace") if resource.namespaced else None
            path = f"{namespace}/{reference['name']}" if namespace else reference["name"]
            owner = await self._read(resource, path, reference["uid"])
            if owner is None:
                found.dangling.append(reference)
            elif objects.is_deleting(owner) and FOREGROUND in (
                owner["metadata"].get("finalizers") or ()
            ):
                found.waiting.append(reference)
            else:
                found.solid.append(reference)
        return found

    async def _read(self, resource: Resource, path: str, uid: str) -> Mapping | None:
        """The object at `path` as the API has it, None unless it is the one with this UID."""
        namespace, name = objects.split_key(path)
        try:
            obj = await self.client.get(resource, name, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise
        typed = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        return typed if obj["metadata"]["uid"] == uid else None

    async def _delete(self, resource: Resource, obj: Mapping, policy: str) -> None:
        meta = obj["metadata"]
        try:
            await self.client.delete(
                resource,
                meta["name"],
                meta.get("namespace"),
                propagation_policy=policy,
                uid=meta["uid"],
            )
        except ApiError as error:
            if not error.not_found:
                raise

    async def _drop_references(self, resource: Resource, obj: Mapping, uids: set[str]) -> None:
        present = obj["metadata"].get("ownerReferences") or ()
        kept = [each for each in present if each["uid"] not in uids]
        await self._patch(resource, obj, {"ownerReferences": kept or None})

    async def _drop_finalizer(self, resource: Resource, obj: Mapping, finalizer: str) -> None:
        kept = [each for each in obj["metadata"]["finalizers"] if each != finalizer]
        await self._patch(resource, obj, {"finalizers": kept or None})

    async def _patch(self, resource: Resource, obj: Mapping, change: dict) -> None:
        """Change the metadata of exactly this version of the object."""
        meta = obj["metadata"]
        exact = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        patch = {"metadata": {**exact, **change}}
        try:
            await self.client.patch(resource, meta["name"], patch, meta.get("namespace"))
        except ApiError as error:
            if not error.not_found:
                raise


def owner_uids(obj: Mapping) -> list[str]:
    """The UIDs of all owners: an index function."""
    return [each["uid"] for each in obj["metadata"].get("ownerReferences") or ()]


def _references(obj: Mapping) -> list:
    return obj["metadata"].get("ownerReferences") or []


def _blocks(obj: Mapping, uid: str) -> bool:
    return any(each["uid"] == uid and each.get("blockOwnerDeletion") for each in _references(obj))


def _collects_dependents(obj: Mapping) -> bool:
    finalizers = obj["metadata"].get("finalizers") or ()
    return ORPHAN in finalizers or FOREGROUND in finalizers


def _own_policy(obj: Mapping) -> str:
    """What the object's own finalizers ask for its dependents, by default Background."""
    finalizers = obj["metadata"].get("finalizers") or ()
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"
