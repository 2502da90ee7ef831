"""Rules of volumes, claims, StorageClasses and the objects of CSI drivers.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidatePersistentVolume,
ValidatePersistentVolumeClaim and their updates) and pkg/apis/storage/validation.  Left out: the
rules inside of the many sources of volumes that nothing here can mount.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from labkit.apiserver import names
from labkit.apiserver.fields import FieldError, forbidden, invalid, required, unsupported
from labkit.apiserver.validate_values import immutable, label_selector, positive_quantity
from labkit.kube.quantity import parse_quantity

_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_RECLAIM = ("Delete", "Recycle", "Retain")
_VOLUME_MODES = ("Block", "Filesystem")
_BINDING = ("Immediate", "WaitForFirstConsumer")
_FS_GROUP = ("ReadWriteOnceWithFSType", "File", "None")
_LIFECYCLE = ("Persistent", "Ephemeral")
# What a PersistentVolume's spec has besides its source.
_VOLUME_FIELDS = {
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
}
_CLAIM_RULE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName "
    "for bound claims"
)


def _access_modes(spec: Mapping, detail: str) -> list[FieldError]:
    modes, path = spec.get("accessModes") or [], "spec.accessModes"
    if not modes:
        return [required(path, detail)]
    errors = [unsupported(path, mode, _MODES) for mode in modes if mode not in _MODES]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        why = "may not use ReadWriteOncePod with other access modes"
        errors.append(forbidden(path, why))
    return errors


def _volume_mode(spec: Mapping) -> list[FieldError]:
    mode = spec.get("volumeMode", "Filesystem")
    return [] if mode in _VOLUME_MODES else [unsupported("spec.volumeMode", mode, _VOLUME_MODES)]


def _class_name(spec: Mapping) -> list[FieldError]:
    name = spec.get("storageClassName")
    wrong = names.dns_subdomain(name) if name else None
    return [invalid("spec.storageClassName", name, wrong)] if wrong else []


def volume(obj: Mapping) -> list[FieldError]:
    """What is wrong with a PersistentVolume."""
    spec = obj.get("spec") or {}
    errors = _access_modes(spec, "")
    capacity = spec.get("capacity") or {}
    if not capacity:
        errors.append(required("spec.capacity"))
    elif set(capacity) != {"storage"}:
        errors.append(unsupported("spec.capacity", capacity, ("storage",)))
    for name, amount in capacity.items():
        errors += positive_quantity(amount, f"spec.capacity[{name}]")
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy not in _RECLAIM:
        errors.append(unsupported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM))
    return errors + _source(spec) + _volume_mode(spec) + _class_name(spec)


def _source(spec: Mapping) -> list[FieldError]:
    sources = _sources(spec)
    if not sources:
        return [required("spec", "must specify a volume type")]
    errors = [
        forbidden(f"spec.{one}", "may not specify more than 1 volume type") for one in sources[1:]
    ]
    for name in ("hostPath", "local"):
        if name in spec and not spec[name].get("path"):
            errors.append(required(f"spec.{name}.path"))
    if "local" in spec and not spec.get("nodeAffinity"):
        errors.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    return errors


def _sources(spec: Mapping) -> list[str]:
    return [name for name in spec if name not in _VOLUME_FIELDS]


def volume_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A PersistentVolume keeps its source, its mode and, once it has one, its place."""
    spec, before, errors = obj["spec"], old["spec"], []
    if [(n, spec[n]) for n in _sources(spec)] != [(n, before[n]) for n in _sources(before)]:
        why = "spec.persistentvolumesource is immutable after creation"
        errors.append(forbidden("spec.persistentvolumesource", why))
    errors += immutable(spec.get("volumeMode"), before.get("volumeMode"), "volumeMode")
    if before.get("nodeAffinity") is not None:
        path = "spec.nodeAffinity"
        errors += immutable(spec.get("nodeAffinity"), before["nodeAffinity"], path)
    return errors


def claim(obj: Mapping) -> list[FieldError]:
    """What is wrong with a PersistentVolumeClaim."""
    spec = obj.get("spec") or {}
    errors = _access_modes(spec, "at least 1 access mode is required")
    if spec.get("selector"):
        errors += label_selector(spec["selector"], "spec.selector")
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" in requests:
        errors += positive_quantity(requests["storage"], "spec.resources[storage]")
    else:
        errors.append(required("spec.resources[storage]"))
    return errors + _class_name(spec) + _volume_mode(spec)


def claim_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A claim gets its volume and its class once; a bound one may grow."""
    spec, before, errors = dict(obj["spec"]), dict(old["spec"]), []
    wanted, was = _storage(spec), _storage(before)
    # Class and volume are given later to claims that were made without.
    for name in ("volumeName", "storageClassName"):
        if not before.get("volumeName") and name not in before:
            spec.pop(name, None)
    if (obj.get("status") or {}).get("phase") == "Bound":
        for one in (spec, before):
            one.pop("volumeAttributesClassName", None)
            one["resources"] = _without_requests(one.get("resources") or {})
    if spec != before:
        errors.append(forbidden("spec", _CLAIM_RULE))
    if wanted < was:
        errors += _shrinks(old, wanted)
    mode = before.get("volumeMode")
    return errors + immutable(spec.get("volumeMode"), mode, "volumeMode")


def _storage(spec: Mapping) -> Fraction:
    requests = (spec.get("resources") or {}).get("requests") or {}
    return parse_quantity(requests.get("storage", 0))


def _without_requests(resources: Mapping) -> dict:
    requests = {k: v for k, v in (resources.get("requests") or {}).items() if k != "storage"}
    return {**resources, "requests": requests}


def _shrinks(old: Mapping, wanted: Fraction) -> list[FieldError]:
    """A growth that has not happened may be taken back, the volume's true size may not."""
    capacity = ((old.get("status") or {}).get("capacity") or {}).get("storage", 0)
    if wanted > parse_quantity(capacity):
        return []
    why = "field can not be less than status.capacity"
    return [forbidden("spec.resources.requests.storage", why)]


def storage_class(obj: Mapping) -> list[FieldError]:
    """What is wrong with a StorageClass."""
    provisioner, errors = obj.get("provisioner") or "", []
    if not provisioner:
        errors.append(required("provisioner"))
    elif wrong := names.qualified_name(provisioner.lower()):
        errors.append(invalid("provisioner", provisioner, wrong))
    for key in obj.get("parameters") or ():
        if not key:
            errors.append(invalid("parameters", key, "field can not be empty."))
    policy, mode = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
    if policy not in ("Delete", "Retain"):
        errors.append(unsupported("reclaimPolicy", policy, ("Delete", "Retain")))
    if mode not in _BINDING:
        errors.append(unsupported("volumeBindingMode", mode, _BINDING))
    return errors


def storage_class_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A StorageClass is a promise: what it provides never changes."""
    errors: list[FieldError] = []
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        errors += immutable(obj.get(name) or None, old.get(name) or None, name)
    return errors


def csi_driver(obj: Mapping) -> list[FieldError]:
    """What is wrong with a CSIDriver."""
    spec, errors = obj.get("spec") or {}, []
    for name, allowed in (("fsGroupPolicy", _FS_GROUP),):
        if spec.get(name) not in allowed:
            errors.append(unsupported(f"spec.{name}", spec.get(name), allowed))
    for index, mode in enumerate(spec.get("volumeLifecycleModes") or ()):
        if mode not in _LIFECYCLE:
            path = f"spec.volumeLifecycleModes[{index}]"
            errors.append(unsupported(path, mode, _LIFECYCLE))
    return errors


def csi_driver_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A CSIDriver keeps how its volumes are attached and how long they live."""
    spec, before = obj["spec"], old["spec"]
    names = ("attachRequired", "volumeLifecycleModes")
    return [e for n in names for e in immutable(spec.get(n), before.get(n), f"spec.{n}")]


def csi_node(obj: Mapping) -> list[FieldError]:
    """What is wrong with a CSINode."""
    errors, seen = [], set()
    for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
        path, name = f"spec.drivers[{index}]", driver.get("name", "")
        errors += [required(f"{path}.{n}") for n in ("name", "nodeID") if not driver.get(n)]
        if name in seen:
            errors.append(
                FieldError("FieldValueDuplicate", f"{path}.name", f'Duplicate value: "{name}"')
            )
        seen.add(name)
    return errors


def volume_attachment(obj: Mapping) -> list[FieldError]:
    """What is wrong with a VolumeAttachment."""
    spec = obj.get("spec") or {}
    errors = [required(f"spec.{n}") for n in ("attacher", "nodeName") if not spec.get(n)]
    source = spec.get("source") or {}
    given = [n for n in ("inlineVolumeSpec", "persistentVolumeName") if n in source]
    if not given:
        why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        errors.append(required("spec.source", why))
    elif len(given) == 2:
        why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        errors.append(forbidden("spec.source", why))
    return errors


def volume_attachment_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A VolumeAttachment's spec never changes."""
    return immutable(obj.get("spec"), old.get("spec"), "spec")


def csi_storage_capacity(obj: Mapping) -> list[FieldError]:
    """What is wrong with a CSIStorageCapacity."""
    name, errors = obj.get("storageClassName") or "", []
    if wrong := names.dns_subdomain(name):
        errors.append(invalid("storageClassName", name, wrong))
    for field in ("capacity", "maximumVolumeSize"):
        if obj.get(field) is not None and parse_quantity(obj[field]) < 0:
            why = "must be greater than or equal to 0"
            errors.append(invalid(field, obj[field], why))
    return errors + label_selector(obj.get("nodeTopology") or {}, "nodeTopology")


def csi_storage_capacity_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """A CSIStorageCapacity keeps what and where it is about."""
    names = ("nodeTopology", "storageClassName")
    return [error for n in names for error in immutable(obj.get(n), old.get(n), n)]
