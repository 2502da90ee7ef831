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

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharedInformer, SharingController
from labkit.kube import objects
from labkit.kube.resources import Resource

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_OWNERS = "owners"


class Owners(NamedTuple):
    """An object's owner references by the state of what they point to."""

    solid: list[Mapping]
    dangling: list[Mapping]
    waiting: list[Mapping]  # being deleted in the foreground, hence waiting for us


class GarbageCollector(SharingController):
    """Collects objects of `resources`; keys are `<resource name> <namespace>/<name>`."""

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
        for resource in resources:
            self._kinds[resource.group, resource.kind] = resource
            self._add(resource)

    def _add(self, resource: Resource) -> None:
        informer = self.watch(resource, enqueue=False)
        informer.add_index(_OWNERS, owner_uids)
        self._caches[resource.name] = resource, informer
        self.on_change(informer, lambda old, new: self._changed(resource, old, new))

    async def reconcile(self, key: str) -> None:
        """Do what the object's owners, or its own deletion, ask for."""
        name, _, path = key.partition(" ")
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
        self._look_at(self._dependents(uid))
        self._look_at_owners(obj)

    def _look_at_owners(self, obj: Mapping) -> None:
        """An owner that is being deleted in the foreground may have waited for this one."""
        for uid in owner_uids(obj):
            if key := self._known.get(uid):
                name, _, path = key.partition(" ")
                owner = self._caches[name][1].store.get(path)
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
