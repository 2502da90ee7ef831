"""Server-side apply of a Scale: one field of its object, seen under another name.

Whoever owns the object's replicas owns `spec.replicas` of the Scale; what is owned of the Scale
afterwards is owned of the object, through the subresource `scale`.

Source: k8s.io/apimachinery util/managedfields (ScaleHandler).
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import managed_fields, tracking
from labkit.apiserver.managed_fields import APPLY, Kind
from labkit.apiserver.target import Call
from labkit.kube import fieldset, schema

_VERSION = "autoscaling/v1"
_DEFINITION = "io.k8s.api.autoscaling.v1.Scale"
_REPLICAS = ("f:spec", "f:replicas")

Path = tuple[str, ...]


def to_scale(entries: list[dict], path: Path) -> list[dict]:
    """The entries of a Scale; `path` is where the object has its replicas."""
    return [
        {**entry, "apiVersion": _VERSION, "fieldsV1": fieldset.only(_REPLICAS)}
        for entry in entries
        if fieldset.has(entry["fieldsV1"], path)
    ]


def to_object(entries: list[dict], scale: list[dict], version: str, path: Path) -> list[dict]:
    """The object's entries after those of its Scale have become `scale`."""
    replicas = fieldset.only(path)
    owners = {_owner(entry): entry for entry in scale}
    kept = []
    for entry in entries:
        if not fieldset.has(entry["fieldsV1"], path) or owners.pop(_owner(entry), None):
            kept.append(entry)
        elif rest := fieldset.difference(entry["fieldsV1"], replicas):
            kept.append({**entry, "fieldsV1": managed_fields.interned(rest)})
    for entry in owners.values():
        kept.append({**entry, "apiVersion": version, "fieldsV1": replicas})
    return managed_fields.ordered(kept)


def _owner(entry: Mapping) -> tuple:
    return entry["operation"], entry.get("manager", ""), entry.get("subresource", "")


def applied(
    call: Call, obj: Mapping, scale: dict, config: dict, now: str, path: Path = _REPLICAS
) -> tuple[dict, list[dict]]:
    """The Scale that an apply makes of `scale`, and the entries of its object `obj` then.

    Raises ApiError 400, 409.
    """
    entries = obj["metadata"].get("managedFields") or []
    metadata = {**scale["metadata"], "managedFields": to_scale(entries, path)}
    manager = tracking.manager_of(call, APPLY)._replace(api_version=_VERSION)
    kind = Kind(_VERSION, schema.type_of(_DEFINITION), _same, ignored=frozenset({"status"}))
    live = {**scale, "metadata": metadata}
    found = tracking.applied_to(kind, call, live, config, manager, now)
    return found.obj, to_object(entries, found.entries, obj["apiVersion"], path)


def _same(scale: Mapping, version: str) -> tuple[schema.Type, Mapping] | None:
    """There is one version of Scales."""
    return (schema.type_of(_DEFINITION), scale) if version == _VERSION else None
