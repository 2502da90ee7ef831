"""`metadata`: what the server sets by itself, and what nobody may change.

Source: k8s.io/apiserver registry/rest (BeforeCreate, BeforeUpdate) and k8s.io/apimachinery
api/validation (ValidateObjectMeta, ValidateObjectMetaUpdate).
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from labkit.apiserver import fields, names
from labkit.apiserver.fields import FieldError
from labkit.apiserver.strategy import Strategy
from labkit.kube.names import generated

# What belongs to the server: an update carries these over from the stored object.
_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
    "generateName",
)
_ANNOTATIONS_LIMIT = 256 * 1024


def begin(obj: dict, strategy: Strategy, now: str) -> None:
    """Fill in the metadata of a new object."""
    meta = obj["metadata"]
    for name in (*_OWNED[:-1], "managedFields"):
        meta.pop(name, None)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = generated(meta["generateName"])
    meta["uid"] = str(uuid4())
    meta["creationTimestamp"] = now
    if strategy.generation:
        meta["generation"] = 1


def carry_over(obj: dict, old: Mapping) -> None:
    """Put the server's own fields of the stored object into an update of it."""
    meta, before = obj["metadata"], old["metadata"]
    for name in _OWNED:
        if name in before:
            meta[name] = before[name]
        else:
            meta.pop(name, None)
    meta.pop("managedFields", None)
    # An object that is being deleted may lose finalizers, not gain them: see `validate_update`.


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
    for index, owner in enumerate(meta.get("ownerReferences") or ()):
        errors += _validate_owner(owner, f"metadata.ownerReferences[{index}]")
    controllers = [o for o in meta.get("ownerReferences") or () if o.get("controller")]
    if len(controllers) > 1:
        why = "Only one reference can have Controller set to true. Found "
        why += '"true" in references for {} and {}'.format(
            *(f"{o.get('kind')}/{o.get('name')}" for o in controllers[:2])
        )
        errors.append(fields.invalid("metadata.ownerReferences", meta["ownerReferences"], why))
    for finalizer in meta.get("finalizers") or ():
        errors += _validate_finalizer(finalizer, strategy)
    return errors


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


def _validate_owner(owner: Mapping, path: str) -> list[FieldError]:
    errors = []
    for name in ("apiVersion", "kind", "name", "uid"):
        if not owner.get(name):
            detail = "must not be empty" if name != "apiVersion" else "version must not be empty"
            errors.append(fields.invalid(f"{path}.{name}", owner.get(name, ""), detail))
    return errors


def _validate_finalizer(finalizer: str, strategy: Strategy) -> list[FieldError]:
    if wrong := names.qualified_name(finalizer):
        return [fields.invalid("metadata.finalizers", finalizer, wrong)]
    if "/" not in finalizer and finalizer not in ("orphan", "foregroundDeletion", "kubernetes"):
        why = "name is neither a standard finalizer name nor is it fully qualified"
        return [fields.invalid("metadata.finalizers", finalizer, why)]
    return []


def validate_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """What an update may not change."""
    errors = []
    if old["metadata"].get("deletionTimestamp"):
        before = set(old["metadata"].get("finalizers") or ())
        added = sorted(set(obj["metadata"].get("finalizers") or ()) - before)
        if added:
            text = ", ".join(f'"{name}"' for name in added)
            why = "no new finalizers can be added if the object is being deleted, found new "
            why += f"finalizers []string{{{text}}}"
            errors.append(fields.forbidden("metadata.finalizers", why))
    return errors
