"""The PersistentVolume controller: claims and volumes find each other, one to one.

Claims and volumes are reconciled each on their own (keys `claim:namespace/name` and `volume:name`).
A claim takes the smallest volume that will do; where there is none, its StorageClass names who is
to make one, which is written on the claim for that provisioner to see.  A class with
WaitForFirstConsumer leaves the choice to the scheduler, which knows where the Pod goes.  A binding
is four writes: the volume's claim and its phase, the claim's volume and its phase; each look does
those that are missing.

Source: pkg/controller/volume/persistentvolume of kube-controller-manager; documentation "Persistent
Volumes".  Left out: volumes that controllers make or delete themselves (reclaimPolicy Recycle, and
Delete of what no provisioner made), growing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import volume_decision as decision
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import objects, storage
from labkit.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES

_CLAIM, _VOLUME = "claim:", "volume:"
_LOST = "Bound claim has lost {}PersistentVolume. Data on the volume is lost!"
_MISBOUND = "Two claims are bound to the same volume, this one is bound incorrectly"


class PersistentVolumeController(SharingController):
    """Binds claims to volumes."""

    name = "persistentvolume-binder-controller"
    component = "persistentvolume-controller"

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._claims = self.watch(PERSISTENT_VOLUME_CLAIMS, _keys_of_claim)
        self._volumes = self.watch(PERSISTENT_VOLUMES, self._keys_of_volume)
        self._classes = self.watch(STORAGE_CLASSES, self._keys_of_class)

    async def reconcile(self, key: str) -> None:
        """Bring one claim or one volume further."""
        kind, _, name = key.partition(":")
        if f"{kind}:" == _CLAIM:
            if (claim := self._claims.store.get(name)) and not objects.is_deleting(claim):
                await (self._bound(claim) if decision.is_bound(claim) else self._unbound(claim))
        elif volume := self._volumes.store.get(name):
            await self._settle(volume)

    # What changes.

    def _keys_of_volume(self, volume: Mapping) -> Iterable[str]:
        yield _VOLUME + objects.key(volume)
        if claimant := storage.claimant(volume):
            yield _CLAIM + claimant
        else:
            yield from self._waiting(volume["spec"].get("storageClassName"))

    def _keys_of_class(self, storage_class: Mapping) -> Iterable[str]:
        return self._waiting(storage_class["metadata"]["name"])

    def _waiting(self, storage_class: str | None) -> Iterable[str]:
        for key, claim in self._claims.store.items():
            same = (claim["spec"].get("storageClassName") or "") == (storage_class or "")
            if same and not decision.is_bound(claim):
                yield _CLAIM + key

    # Claims.

    async def _unbound(self, claim: Mapping) -> None:
        if name := claim["spec"].get("volumeName"):
            volume = self._volumes.store.get(name)
            if volume and self._is_obtainable(claim, volume):
                await self._bind(claim, volume)
            return
        kind = self._classes.store.get(claim["spec"].get("storageClassName") or "") or {}
        waits = (
            kind.get("volumeBindingMode") == storage.WAIT_FOR_FIRST_CONSUMER
            and not storage.annotation(claim, storage.SELECTED_NODE)
        )  # fmt: skip
        volume = decision.best_match(claim, self._volumes.store.values(), only_promised=waits)
        if volume:
            await self._bind(claim, volume)
        elif waits:
            message = "waiting for first consumer to be created before binding"
            self.events.event(claim, NORMAL, storage.WAIT_FOR_FIRST_CONSUMER, message)
        else:
            await self._provision(claim, kind)

    def _is_obtainable(self, claim: Mapping, volume: Mapping) -> bool:
        """Whether a claim can have the volume that it names."""
        if storage.claimant(volume):
            return decision.belongs_to(volume, claim)
        if why := storage.mismatch(volume, claim):
            message = f'Cannot bind to requested volume "{volume["metadata"]["name"]}": {why}'
            self.events.event(claim, WARNING, "VolumeMismatch", message)
        return not why

    async def _provision(self, claim: Mapping, storage_class: Mapping) -> None:
        """Write on the claim who is to make its volume, or say that nobody is."""
        wanted = claim["spec"].get("storageClassName")
        if not wanted:
            message = "no persistent volumes available for this claim and no storage class is set"
            self.events.event(claim, NORMAL, "FailedBinding", message)
            return
        if not storage_class:
            message = f'storageclass.storage.k8s.io "{wanted}" not found'
            self.events.event(claim, WARNING, "ProvisioningFailed", message)
            return
        provisioner = storage_class["provisioner"]
        if provisioner == storage.NO_PROVISIONER:
            return
        if storage.annotation(claim, decision.PROVISIONER) != provisioner:
            marks = {decision.PROVISIONER: provisioner, decision.PROVISIONER_BETA: provisioner}
            annotations = {**(claim["metadata"].get("annotations") or {}), **marks}
            fresh = {**claim, "metadata": {**claim["metadata"], "annotations": annotations}}
            await self.client.update(PERSISTENT_VOLUME_CLAIMS, fresh)
        message = (
            "Waiting for a volume to be created either by the external provisioner "
            f"'{provisioner}' or manually by the system administrator. If volume creation is "
            "delayed, please verify that the provisioner is running and correctly registered."
        )
        self.events.event(claim, NORMAL, "ExternalProvisioning", message)

    async def _bound(self, claim: Mapping) -> None:
        name = claim["spec"].get("volumeName")
        volume = self._volumes.store.get(name or "")
        if volume is None:
            await self._lose(claim, "ClaimLost", _LOST.format("its " if name else "reference to "))
        elif not storage.claimant(volume) or decision.belongs_to(volume, claim):
            await self._bind(claim, volume)
        else:
            await self._lose(claim, "ClaimMisbound", _MISBOUND)

    async def _lose(self, claim: Mapping, reason: str, message: str) -> None:
        if claim["status"].get("phase") == "Lost":
            return
        fresh = {**claim, "status": {"phase": "Lost"}}
        await self.client.update(PERSISTENT_VOLUME_CLAIMS, fresh, "status")
        self.events.event(claim, WARNING, reason, message)

    async def _bind(self, claim: Mapping, volume: Mapping) -> None:
        claimed = decision.claimed_volume(volume, claim)
        if claimed != volume:
            claimed = await self.client.update(PERSISTENT_VOLUMES, claimed)
        claimed = await self._set_phase(claimed, "Bound")
        bound = decision.bound_claim(claim, claimed)
        if bound != claim:
            bound = await self.client.update(PERSISTENT_VOLUME_CLAIMS, bound)
        status = decision.claim_status(bound, claimed)
        if status != bound.get("status"):
            fresh = {**bound, "status": status}
            await self.client.update(PERSISTENT_VOLUME_CLAIMS, fresh, "status")

    # Volumes.

    async def _settle(self, volume: Mapping) -> None:
        """Bring a volume's phase to what its claim tells."""
        reference = volume["spec"].get("claimRef") or {}
        if not reference.get("uid"):
            await self._set_phase(volume, "Available")
            return
        claim = await self._claim_of(reference)
        name = volume["metadata"]["name"]
        if claim is None:
            if (volume.get("status") or {}).get("phase") != "Failed":
                await self._set_phase(volume, "Released")
        elif claim["spec"].get("volumeName") == name:
            await self._set_phase(volume, "Bound")
        elif claim["spec"].get("volumeName"):
            await self._give_up(volume)
        else:
            self.queue.add(_CLAIM + objects.key(claim))

    async def _claim_of(self, reference: Mapping) -> Mapping | None:
        """The claim that a volume refers to, or None if it is gone for certain.

        The API is asked before that is believed: with the volume its data goes, and the cache may
        show a volume before its claim.
        """
        claim = self._claims.get(reference["name"], reference["namespace"])
        if claim is None or claim["metadata"]["uid"] != reference["uid"]:
            try:
                claim = await self.client.get(
                    PERSISTENT_VOLUME_CLAIMS, reference["name"], reference["namespace"]
                )
            except ApiError as error:
                if not error.not_found:
                    raise
                return None
        return claim if claim["metadata"]["uid"] == reference["uid"] else None

    async def _give_up(self, volume: Mapping) -> None:
        """A volume whose claim has another one is free again, or of no use if made for it."""
        spec = volume["spec"]
        made = storage.annotation(volume, decision.PROVISIONED_BY)
        if made and spec.get("persistentVolumeReclaimPolicy") == "Delete":
            await self._set_phase(volume, "Released")
        elif storage.annotation(volume, storage.BOUND_BY_CONTROLLER):
            meta = volume["metadata"]
            annotations = dict(meta["annotations"])
            del annotations[storage.BOUND_BY_CONTROLLER]
            free = {key: value for key, value in spec.items() if key != "claimRef"}
            fresh = {**volume, "metadata": {**meta, "annotations": annotations}, "spec": free}
            await self._set_phase(await self.client.update(PERSISTENT_VOLUMES, fresh), "Available")

    async def _set_phase(self, volume: Mapping, phase: str) -> Mapping:
        status = volume.get("status") or {}
        if status.get("phase") == phase:
            return volume
        since = self.clock.timestamp()
        fresh = {**volume, "status": {"phase": phase, "lastPhaseTransitionTime": since}}
        return await self.client.update(PERSISTENT_VOLUMES, fresh, "status")


def _keys_of_claim(claim: Mapping) -> Iterable[str]:
    yield _CLAIM + objects.key(claim)
    if name := claim["spec"].get("volumeName"):
        yield _VOLUME + name
