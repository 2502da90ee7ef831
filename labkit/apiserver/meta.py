"""`metadata`: what the server sets by itself, and what nobody may change.

Source: k8s.io/apiserver registry/rest (BeforeCreate, BeforeUpdate) and k8s.io/apimachinery
api/validation (ValidateObjectMeta, ValidateObjectMetaUpdate).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.apiserver import fields, names
from labkit.apiserver.fields import FieldError
from labkit.apiserver.strategy import Strategy
from labkit.kube.names import generated, new_uid

_SYSTEM = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
)
# What an update cannot even ask to change: the stored object's are carried over.
_CARRIED = ("creationTimestamp", "generation", "resourceVersion", "selfLink")
# What an update may repeat or leave out, but not change.
_IMMUTABLE = ("name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds")
_ANNOTATIONS_LIMIT = 256 * 1024
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def begin(obj: dict, strategy: Strategy, now: str) -> None:
    """Fill in the metadata of a new object."""
    meta = obj["metadata"]
    for name in (*_SYSTEM, "managedFields"):
        meta.pop(name, None)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = generated(meta["generateName"])
    meta["uid"] = new_uid()
    meta["creationTimestamp"] = now
    if strategy.generation:
        meta["generation"] = 1


def carry_over(obj: dict, old: Mapping) -> None:
    """Put the server's own fields of the stored object into an update of it."""
    meta, before = obj["metadata"], old["metadata"]
    for name in _CARRIED:
        if name in before:
            meta[name] = before[name]
        else:
            meta.pop(name, None)
    meta["uid"] = meta.get("uid") or before["uid"]
    grace = "deletionGracePeriodSeconds"
    if grace in before and meta.get(grace) is None:
        meta[grace] = before[grace]
    if "deletionTimestamp" in before:
        meta["deletionTimestamp"] = before["deletionTimestamp"]
    meta.pop("managedFields", None)
    # An object that is being deleted may lose finalizers, not gain them: see `validate_update`.


def single_owners(obj: dict, *, patched: bool = False) -> list[str]:
    """Drop owner references that are there twice; the warning about that, if any."""
    owners = obj["metadata"].get("ownerReferences")
    if not owners or len(owners) == 1:
        return []
    kept, twice = [], []
    for owner in owners:
        (twice if owner in kept else kept).append(owner)
    if not twice:
        return []
    obj["metadata"]["ownerReferences"] = kept
    after = " after mutating admission happens" if patched else ""
    uids = ", ".join(owner.get("uid", "") for owner in twice)
    return [
        f".metadata.ownerReferences contains duplicate entries{after}; API server dedups owner "
        "references in 1.20+, and may reject such requests as early as 1.24; please fix your "
        f"requests; duplicate UID(s) observed: {uids}"
    ]


def bump_generation(obj: dict, old: Mapping, strategy: Strategy) -> None:
    """Count a change of what the strategy counts."""
    if any(_at(obj, path) != _at(old, path) for path in strategy.generation):
        obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _at(obj: Mapping, path: tuple[str, ...]) -> object:
    value: object = obj
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value or None  # absent and empty are the same


def validate(obj: Mapping, strategy: Strategy, namespaced: bool) -> list[FieldError]:
    """What is wrong with a whole `metadata`."""
    meta = obj["metadata"]
    errors = _validate_name(meta, strategy)
    if namespaced and (wrong := names.dns_label(meta.get("namespace", ""))):
        errors.append(fields.invalid("metadata.namespace", meta.get("namespace", ""), wrong))
    errors += validate_labels(meta.get("labels"), "metadata.labels")
    errors += _validate_annotations(meta.get("annotations"))
    errors += _validate_owners(meta.get("ownerReferences") or ())
    return errors + _validate_finalizers(meta.get("finalizers") or (), strategy)


def _validate_name(meta: Mapping, strategy: Strategy) -> list[FieldError]:
    name = meta.get("name")
    if not name:
        return [fields.required("metadata.name", "name or generateName is required")]
    wrong = (strategy.validate_name or names.dns_subdomain)(name)
    return [fields.invalid("metadata.name", name, wrong)] if wrong else []


def validate_labels(labels: Mapping | None, path: str) -> list[FieldError]:
    """What is wrong with a map of labels."""
    errors = []
    for key, value in (labels or {}).items():
        if wrong := names.qualified_name(key):
            errors.append(fields.invalid(path, key, wrong))
        if wrong := names.label_value(value):
            errors.append(fields.invalid(path, value, wrong))
    return errors


def _validate_annotations(annotations: Mapping | None) -> list[FieldError]:
    errors, size = [], 0
    for key, value in (annotations or {}).items():
        if wrong := names.qualified_name(key.lower()):
            errors.append(fields.invalid("metadata.annotations", key, wrong))
        size += len(key) + len(value)
    if size > _ANNOTATIONS_LIMIT:
        errors.append(fields.too_long("metadata.annotations", _ANNOTATIONS_LIMIT))
    return errors


def _validate_owners(owners: Sequence[Mapping]) -> list[FieldError]:
    """Upstream names the list and not the element, and an Event can own nothing."""
    path, errors, controller = "metadata.ownerReferences", [], ""
    for owner in owners:
        version = (owner.get("apiVersion") or "").rpartition("/")[2]
        if not version:
            why = "version must not be empty"
            errors.append(fields.invalid(f"{path}.apiVersion", owner.get("apiVersion", ""), why))
        for name in ("kind", "name", "uid"):
            if not owner.get(name):
                why = "must not be empty"
                errors.append(fields.invalid(f"{path}.{name}", owner.get(name, ""), why))
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            why = "/v1, Kind=Event is disallowed from being an owner"
            errors.append(fields.invalid(path, owner, why))
        if owner.get("controller"):
            this = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                why = "Only one reference can have Controller set to true. Found "
                why += f'"true" in references for {controller} and {this}'
                errors.append(fields.invalid(path, owners, why))
            controller = controller or this
    return errors


def _validate_finalizers(finalizers: Sequence[str], strategy: Strategy) -> list[FieldError]:
    path, errors = "metadata.finalizers", []
    for finalizer in finalizers:
        if wrong := names.qualified_name(finalizer):
            errors.append(fields.invalid(path, finalizer, wrong))
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        errors.append(fields.invalid(path, finalizers, why))
    for index, finalizer in enumerate(finalizers):
        bare = "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS
        if bare and not strategy.any_finalizer:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(fields.invalid(f"{path}[{index}]", finalizer, why))
    return errors


def validate_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """What an update may not change."""
    meta, before, errors = obj["metadata"], old["metadata"], []
    if before.get("deletionTimestamp"):
        added = sorted(set(meta.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            text = ", ".join(f'"{name}"' for name in added)
            why = "no new finalizers can be added if the object is being deleted, found new "
            why += f"finalizers []string{{{text}}}"
            errors.append(fields.forbidden("metadata.finalizers", why))
    for name in _IMMUTABLE:
        if meta.get(name) != before.get(name):
            why = "field is immutable"
            errors.append(fields.invalid(f"metadata.{name}", meta.get(name), why))
    return errors
