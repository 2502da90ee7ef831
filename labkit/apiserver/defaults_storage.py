"""The defaults of volumes, claims and what provides them.

Source: k8s.io/kubernetes pkg/apis/core/v1/defaults.go and pkg/apis/storage/v1/defaults.go.  Every
function fills in only what is missing; running it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.defaults_pod import fill, quantities, volume_source
from labkit.kube.quantity import canonical

_VOLUME = {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}
_STORAGE_CLASS = {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}
_CSI_DRIVER = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}


def volume(obj: dict) -> None:
    """core/v1 PersistentVolume."""
    spec = obj.setdefault("spec", {})
    fill(spec, _VOLUME)
    quantities(spec.get("capacity"))
    volume_source(spec)
    fill(obj.setdefault("status", {}), {"phase": "Pending"})


def claim_spec(spec: dict) -> None:
    """A claim's spec, also inside of an ephemeral volume."""
    fill(spec, {"volumeMode": "Filesystem"})
    resources = spec.get("resources") or {}
    quantities(resources.get("requests"))
    quantities(resources.get("limits"))


def claim(obj: dict) -> None:
    """core/v1 PersistentVolumeClaim, also inside of a StatefulSet."""
    claim_spec(obj.setdefault("spec", {}))
    status = obj.setdefault("status", {})
    fill(status, {"phase": "Pending"})
    quantities(status.get("capacity"))


def storage_class(obj: dict) -> None:
    """storage.k8s.io/v1 StorageClass."""
    fill(obj, _STORAGE_CLASS)


def csi_driver(obj: dict) -> None:
    """storage.k8s.io/v1 CSIDriver."""
    spec = obj.setdefault("spec", {})
    fill(spec, _CSI_DRIVER)
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def csi_node(obj: dict) -> None:
    """storage.k8s.io/v1 CSINode: a node without drivers has none."""
    obj.setdefault("spec", {}).setdefault("drivers", [])


def csi_storage_capacity(obj: dict) -> None:
    """storage.k8s.io/v1 CSIStorageCapacity: its amounts in their canonical form."""
    for name in ("capacity", "maximumVolumeSize"):
        if obj.get(name) is not None:
            obj[name] = canonical(obj[name])


def limit_range(obj: dict) -> None:
    """core/v1 LimitRange: a container's limit is its maximum, its request is its limit."""
    for item in (obj.get("spec") or {}).get("limits") or ():
        for name in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
            quantities(item.get(name))
        if item.get("type") == "Container":
            _container_limits(item)


def _container_limits(item: dict) -> None:
    limits, requests = dict(item.get("default") or {}), dict(item.get("defaultRequest") or {})
    fill(limits, item.get("max") or {})
    for amounts in (limits, item.get("min") or {}):
        fill(requests, amounts)
    _put(item, "default", limits)
    _put(item, "defaultRequest", requests)


def _put(item: dict, name: str, amounts: Mapping) -> None:
    if amounts:
        item[name] = amounts


def resource_quota(obj: dict) -> None:
    """core/v1 ResourceQuota: its amounts in their canonical form."""
    status = obj.get("status") or {}
    for amounts in ((obj.get("spec") or {}).get("hard"), status.get("hard"), status.get("used")):
        quantities(amounts)
