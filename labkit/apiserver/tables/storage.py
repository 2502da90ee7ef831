"""Rows of volumes, claims, StorageClasses and the objects of CSI drivers.

Source: the functions of the same names in pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.apiserver.tables import format
from labkit.apiserver.tables.format import AGE, NAME, NONE, UNSET, Column, Printer, wide

_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _modes(modes: Iterable[str] | None) -> str:
    given = set(modes or ())
    return ",".join(short for mode, short in _MODES.items() if mode in given)


def _class(obj: Mapping) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    return annotations.get(_CLASS) or obj["spec"].get("storageClassName") or ""


def _phase(obj: Mapping) -> str:
    gone = obj["metadata"].get("deletionTimestamp")
    return "Terminating" if gone else (obj.get("status") or {}).get("phase", "")


def _volume(obj: Mapping, now: float) -> list:
    spec, claim = obj["spec"], obj["spec"].get("claimRef")
    return [
        obj["metadata"]["name"],
        (spec.get("capacity") or {}).get("storage", "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class(obj),
        spec.get("volumeAttributesClassName", UNSET),
        (obj.get("status") or {}).get("reason", ""),
        format.age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def _claim(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    volume = spec.get("volumeName", "")
    return [
        obj["metadata"]["name"],
        _phase(obj),
        volume,
        (status.get("capacity") or {}).get("storage", "0") if volume else "",
        _modes(status.get("accessModes")) if volume else "",
        _class(obj),
        spec.get("volumeAttributesClassName", UNSET),
        format.age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def _storage_class(obj: Mapping, now: float) -> list:
    annotations = obj["metadata"].get("annotations") or {}
    default = any(annotations.get(key) == "true" for key in _DEFAULT)
    return [
        obj["metadata"]["name"] + (" (default)" if default else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        format.age(obj, now),
    ]


def _driver(obj: Mapping, now: float) -> list:
    spec = obj["spec"]
    tokens = spec.get("tokenRequests")
    audiences = [one.get("audience", "") for one in tokens or ()]
    return [
        obj["metadata"]["name"],
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        UNSET if tokens is None else ",".join(audiences),
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes") or ()) or NONE,
        format.age(obj, now),
    ]


def _node(obj: Mapping, now: float) -> list:
    drivers = (obj.get("spec") or {}).get("drivers") or ()
    return [obj["metadata"]["name"], len(drivers), format.age(obj, now)]


def _attachment(obj: Mapping, now: float) -> list:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("attacher", ""),
        (spec.get("source") or {}).get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        (obj.get("status") or {}).get("attached", False),
        format.age(obj, now),
    ]


PERSISTENT_VOLUME = Printer(
    (
        NAME,
        Column("Capacity"),
        Column("Access Modes"),
        Column("Reclaim Policy"),
        Column("Status"),
        Column("Claim"),
        Column("StorageClass"),
        Column("VolumeAttributesClass"),
        Column("Reason"),
        AGE,
        wide("VolumeMode"),
    ),
    _volume,
)
PERSISTENT_VOLUME_CLAIM = Printer(
    (
        NAME,
        Column("Status"),
        Column("Volume"),
        Column("Capacity"),
        Column("Access Modes"),
        Column("StorageClass"),
        Column("VolumeAttributesClass"),
        AGE,
        wide("VolumeMode"),
    ),
    _claim,
)
STORAGE_CLASS = Printer(
    (
        NAME,
        Column("Provisioner"),
        Column("ReclaimPolicy"),
        Column("VolumeBindingMode"),
        Column("AllowVolumeExpansion"),
        AGE,
    ),
    _storage_class,
)
CSI_DRIVER = Printer(
    (
        NAME,
        Column("AttachRequired", "boolean"),
        Column("PodInfoOnMount", "boolean"),
        Column("StorageCapacity", "boolean"),
        Column("TokenRequests"),
        Column("RequiresRepublish", "boolean"),
        Column("Modes"),
        AGE,
    ),
    _driver,
)
CSI_NODE = Printer((NAME, Column("Drivers", "integer"), AGE), _node)
VOLUME_ATTACHMENT = Printer(
    (
        NAME,
        Column("Attacher", format="name"),
        Column("PV"),
        Column("Node"),
        Column("Attached", "boolean"),
        AGE,
    ),
    _attachment,
)
