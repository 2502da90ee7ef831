"""Protection of claims and volumes in use: they go when nobody uses them any more.

A finalizer on each claim holds it while a Pod that has a node names it, and one on each volume
while it is bound.

Source: kube-controller-manager's persistentvolumeclaim-protection and persistentvolume-protection
controllers; documentation "Storage Object in Use Protection".  The finalizers are put on here
alone, a moment after creation; upstream has an admission plugin for it as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import Client
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import objects, pods
from labkit.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, Resource

_CLAIM_USERS = "claim"


class _Protection(SharingController):
    """Puts a finalizer on every object of a kind, and takes it off what may go."""

    resource: Resource
    finalizer: str

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._objects = self.watch(self.resource)

    def _is_used(self, obj: Mapping) -> bool:
        raise NotImplementedError

    async def reconcile(self, key: str) -> None:
        """Protect one object, or let it go."""
        obj = self._objects.store.get(key)
        if obj is None:
            return
        present = obj["metadata"].get("finalizers") or []
        if not objects.is_deleting(obj):
            if self.finalizer not in present:
                await self._write(obj, [*present, self.finalizer])
        elif self.finalizer in present and not self._is_used(obj):
            await self._write(obj, [each for each in present if each != self.finalizer])

    async def _write(self, obj: Mapping, finalizers: list[str]) -> None:
        fresh = {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}}
        await self.client.update(self.resource, fresh)


class ClaimProtection(_Protection):
    """Holds claims that Pods use."""

    name = "persistentvolumeclaim-protection-controller"
    resource = PERSISTENT_VOLUME_CLAIMS
    finalizer = "kubernetes.io/pvc-protection"

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(_CLAIM_USERS, _claims_of)
        self.on_change(self._pods, self._pod_changed)

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        """A Pod that has gone may have been the last that used its claims."""
        for key in _claims_of(old) if new is None else ():
            self.queue.add(key)

    def _is_used(self, obj: Mapping) -> bool:
        """A Pod without a node does not count: no kubelet would start it with this claim."""
        return any(map(pods.node_name, self._pods.by_index(_CLAIM_USERS, objects.key(obj))))


def _claims_of(pod: Mapping) -> Iterable[str]:
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            yield f"{pod['metadata']['namespace']}/{claim['claimName']}"


class VolumeProtection(_Protection):
    """Holds volumes that are bound."""

    name = "persistentvolume-protection-controller"
    resource = PERSISTENT_VOLUMES
    finalizer = "kubernetes.io/pv-protection"

    def _is_used(self, obj: Mapping) -> bool:
        return (obj.get("status") or {}).get("phase") == "Bound"
