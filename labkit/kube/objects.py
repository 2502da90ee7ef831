"""What every part says about any object: its key, its owner, its labels.

Keys are `namespace/name`, or `name` for cluster-scoped objects, as client-go's
MetaNamespaceKeyFunc makes them.
"""

from __future__ import annotations

from collections.abc import Mapping


def key(obj: Mapping) -> str:
    """`namespace/name`, or `name` without a namespace."""
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]


def split_key(text: str) -> tuple[str | None, str]:
    """The reverse of `key`: (namespace or None, name)."""
    namespace, _, name = text.rpartition("/")
    return namespace or None, name


def labels(obj: Mapping) -> Mapping[str, str]:
    """The object's labels, never None."""
    return obj["metadata"].get("labels") or {}


def is_deleting(obj: Mapping) -> bool:
    """Whether deletion has begun (`metadata.deletionTimestamp` is set)."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def controller_of(obj: Mapping) -> dict | None:
    """The owner reference with `controller: true`, or None."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return owner
    return None


def controller_reference(owner: Mapping) -> dict:
    """The owner reference by which a controller marks an object as its own."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def object_reference(obj: Mapping) -> dict:
    """The ObjectReference of an Event's `involvedObject`."""
    meta = obj["metadata"]
    reference = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"]}
    for field in ("namespace", "uid", "resourceVersion"):
        if meta.get(field):
            reference[field] = meta[field]
    return reference
