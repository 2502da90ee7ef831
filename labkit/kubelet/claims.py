"""What a Pod's claims stand for: the directory of the PersistentVolume that each is bound to.

Source: kubelet's desired_state_of_world_populator (getPVCExtractPV).  Left out: all volumes but
`hostPath` and `local`, which need drivers.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.kubelet.sources import Sources
from labkit.kubelet.volume_content import VolumeError


async def host_path(sources: Sources, namespace: str, volume: Mapping) -> dict:
    """The `hostPath` volume in place of one that names a claim.  Raises VolumeError, ApiError."""
    name = volume["persistentVolumeClaim"]["claimName"]
    where = f"error processing PVC {namespace}/{name}"
    claim = await sources.fetch("PersistentVolumeClaim", namespace, name)
    if claim is None:
        why = f'persistentvolumeclaims "{name}" not found'
        raise VolumeError(f"{where}: failed to fetch PVC from API server: {why}")
    if claim["metadata"].get("deletionTimestamp"):
        raise VolumeError(f"{where}: PVC is being deleted")
    bound_to = claim["spec"].get("volumeName")
    if (claim.get("status") or {}).get("phase") != "Bound" or not bound_to:
        raise VolumeError(f"{where}: PVC is not bound")
    found = await sources.fetch("PersistentVolume", "", bound_to)
    reference = ((found or {}).get("spec") or {}).get("claimRef") or {}
    if reference.get("uid") != claim["metadata"]["uid"]:
        raise VolumeError(f"{where}: PV {bound_to} is not bound to it")
    read_only = bool(volume["persistentVolumeClaim"].get("readOnly"))
    source = _source(bound_to, found["spec"])
    return {"name": volume["name"], "hostPath": source, "readOnly": read_only}


def _source(name: str, spec: Mapping) -> dict:
    if "hostPath" in spec:
        return spec["hostPath"]
    if "local" in spec:
        return {"path": spec["local"]["path"], "type": "Directory"}
    raise VolumeError(
        f"the PersistentVolume {name} needs a driver that this kubelet does not have. It mounts "
        "volumes of the types hostPath and local. Use the StorageClass standard, or a real cluster."
    )
