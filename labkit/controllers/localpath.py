"""A provisioner of directories: what the StorageClass `standard` makes.

A claim that names this provisioner and the node that the scheduler has chosen gets a directory
below `root`, and a PersistentVolume for it that only that node may use.  When the claim is gone and
the volume's reclaim policy is Delete, both go.

Source: rancher's local-path-provisioner, which kind and k3s bring; sig-storage-lib-external-
provisioner for the Events.  Left out: a directory for each node (here they share the machine's
disk), helper Pods (the directory is made here), and, as there, any limit on what is stored.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import volume_decision as decision
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import objects, storage
from labkit.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES

PROVISIONER = "rancher.io/local-path"
_NODE = "local.path.provisioner/selected-node"
_CLAIM, _VOLUME = "claim:", "volume:"
_MODES = {"ReadWriteOnce", "ReadWriteOncePod"}


class LocalPathProvisioner(SharingController):
    """Makes and removes directories below `root`."""

    name = "local-path-provisioner"
    component = f"{PROVISIONER}_local-path-provisioner"

    def __init__(
        self, client: Client, clock: Clock, root: Path, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self.root = root
        self._claims = self.watch(PERSISTENT_VOLUME_CLAIMS, _keys_of_claim)
        self._volumes = self.watch(PERSISTENT_VOLUMES, _keys_of_volume)
        self._classes = self.watch(STORAGE_CLASSES, enqueue=False)

    async def reconcile(self, key: str) -> None:
        """Make the volume of one claim, or remove one volume."""
        kind, _, name = key.partition(":")
        if f"{kind}:" == _VOLUME:
            volume = self._volumes.store.get(name)
            if volume and is_to_go(volume):
                await self._remove(volume)
            return
        claim = self._claims.store.get(name)
        if claim is None or not is_asked_for(claim):
            return
        storage_class = self._classes.store.get(claim["spec"].get("storageClassName") or "")
        if storage_class and volume_name(claim) not in self._volumes.store:
            await self._make(claim, storage_class)

    async def _make(self, claim: Mapping, storage_class: Mapping) -> None:
        message = f'External provisioner is provisioning volume for claim "{objects.key(claim)}"'
        self.events.event(claim, NORMAL, "Provisioning", message)
        if why := refusal(claim):
            name = storage_class["metadata"]["name"]
            message = f'failed to provision volume with StorageClass "{name}": {why}'
            self.events.event(claim, WARNING, "ProvisioningFailed", message)
            return
        path = self.root / directory_name(claim)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)  # whoever a container runs as may write to it
        volume = volume_for(claim, storage_class, str(path))
        try:
            await self.client.create(PERSISTENT_VOLUMES, volume)
        except ApiError as error:
            if not error.already_exists:
                raise
            return
        message = f"Successfully provisioned volume {volume['metadata']['name']}"
        self.events.event(claim, NORMAL, "ProvisioningSucceeded", message)

    async def _remove(self, volume: Mapping) -> None:
        path = Path((volume["spec"].get("hostPath") or {}).get("path") or "/")
        if path.parent != self.root:
            message = f"{path} is no directory of this provisioner"
            self.events.event(volume, WARNING, "VolumeFailedDelete", message)
            return
        # What a container made as another user may not be ours to remove: it stays.
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        meta = volume["metadata"]
        try:
            await self.client.delete(PERSISTENT_VOLUMES, meta["name"], uid=meta["uid"])
        except ApiError as error:
            if not error.not_found:
                raise


def is_asked_for(claim: Mapping) -> bool:
    """Whether a claim waits for a volume of this provisioner."""
    asked = storage.annotation(claim, decision.PROVISIONER) == PROVISIONER
    return asked and not claim["spec"].get("volumeName") and not objects.is_deleting(claim)


def is_to_go(volume: Mapping) -> bool:
    """Whether a volume that was made here is of no use any more."""
    return (
        storage.annotation(volume, decision.PROVISIONED_BY) == PROVISIONER
        and (volume.get("status") or {}).get("phase") == "Released"
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and not objects.is_deleting(volume)
    )


def refusal(claim: Mapping) -> str:
    """Why no volume can be made for a claim, or an empty string."""
    spec = claim["spec"]
    if (spec.get("volumeMode") or "Filesystem") != "Filesystem":
        return "block volume provisioning is not supported"
    if spec.get("selector"):
        return "claim.Spec.Selector is not supported"
    if not set(spec.get("accessModes") or ()) <= _MODES:
        return "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes"
    if not storage.annotation(claim, storage.SELECTED_NODE):
        return "configuration error, no node was specified"
    return ""


def volume_name(claim: Mapping) -> str:
    """The name of a claim's volume."""
    return f"pvc-{claim['metadata']['uid']}"


def directory_name(claim: Mapping) -> str:
    """The name of a claim's directory."""
    meta = claim["metadata"]
    return f"{volume_name(claim)}_{meta['namespace']}_{meta['name']}"


def volume_for(claim: Mapping, storage_class: Mapping, path: str) -> dict:
    """The volume of a claim that has a node."""
    spec, node = claim["spec"], storage.annotation(claim, storage.SELECTED_NODE)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    reference = objects.object_reference(claim)
    return {
        "apiVersion": PERSISTENT_VOLUMES.api_version,
        "kind": PERSISTENT_VOLUMES.kind,
        "metadata": {
            "name": volume_name(claim),
            "annotations": {decision.PROVISIONED_BY: PROVISIONER, _NODE: node},
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "claimRef": reference,
            "hostPath": {"path": path, "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": "Filesystem",
        },
    }


def _keys_of_claim(claim: Mapping) -> Iterable[str]:
    return (_CLAIM + objects.key(claim),)


def _keys_of_volume(volume: Mapping) -> Iterable[str]:
    return (_VOLUME + objects.key(volume),)
