"""Who owns what: the adoption and release of objects by a controller that selects by labels.

An object with a controller reference to us stays ours while our selector matches it, and is
released when it no longer does.  An object without any controller is adopted when the selector
matches.  An object with another controller is left alone, whatever its labels say.

Source: ControllerRefManager of kube-controller-manager; documentation "ReplicaSet", section
"Non-Template Pod acquisitions".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.client import ApiError, Client
from labkit.kube import objects, selectors
from labkit.kube.resources import REPLICATION_CONTROLLERS, Resource


def selector_of(owner: Mapping) -> selectors.Selector | None:
    """The selector of a workload; that of a ReplicationController is a plain map of labels."""
    selector = owner["spec"].get("selector")
    if selector and owner["kind"] == REPLICATION_CONTROLLERS.kind:
        selector = {"matchLabels": selector}
    return selectors.from_label_selector(selector)


class Claims(NamedTuple):
    """`owned` are ours already; `adopt` shall become ours; `release` shall no longer be ours."""

    owned: list[Mapping]
    adopt: list[Mapping]
    release: list[Mapping]


def claims(
    owner: Mapping, selector: selectors.Selector | None, candidates: Iterable[Mapping]
) -> Claims:
    """Sort `candidates` by what `owner` has to do with them."""
    result = Claims([], [], [])
    for obj in candidates:
        controller = objects.controller_of(obj)
        matches = selectors.matches(selector, objects.labels(obj))
        if controller:
            if controller["uid"] == owner["metadata"]["uid"]:
                (result.owned if matches else result.release).append(obj)
        elif matches and not objects.is_deleting(obj):
            result.adopt.append(obj)
    return result


async def claim(
    client: Client,
    resource: Resource,
    owner_resource: Resource,
    owner: Mapping,
    candidates: Iterable[Mapping],
    finalizer: str = "",
) -> list[Mapping]:
    """Adopt and release through the API; the objects that are `owner`'s afterwards.

    What is adopted gets the `finalizer`, if one is given.

    The owner is read from the API before the first adoption: the cache may not know yet that it
    is being deleted, and an adopted Pod would die with it.
    """
    sorted_out = claims(owner, selector_of(owner), candidates)
    owned = list(sorted_out.owned)
    if objects.is_deleting(owner):
        return owned
    for obj in sorted_out.release:
        await _release(client, resource, owner, obj)
    if sorted_out.adopt and await _may_adopt(client, owner_resource, owner):
        for obj in sorted_out.adopt:
            if adopted := await _adopt(client, resource, owner, obj, finalizer):
                owned.append(adopted)
    return owned


async def _may_adopt(client: Client, resource: Resource, owner: Mapping) -> bool:
    meta = owner["metadata"]
    try:
        fresh = await client.get(resource, meta["name"], meta.get("namespace"))
    except ApiError as error:
        if error.not_found:
            return False
        raise
    return fresh["metadata"]["uid"] == meta["uid"] and not objects.is_deleting(fresh)


async def _adopt(
    client: Client, resource: Resource, owner: Mapping, obj: Mapping, finalizer: str
) -> Mapping | None:
    others = obj["metadata"].get("ownerReferences") or []
    present = obj["metadata"].get("finalizers") or []
    more = {"finalizers": [*present, finalizer]} if finalizer and finalizer not in present else {}
    return await _write_owners(
        client, resource, obj, [*others, objects.controller_reference(owner)], more
    )


async def _release(client: Client, resource: Resource, owner: Mapping, obj: Mapping) -> None:
    uid = owner["metadata"]["uid"]
    others = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != uid]
    await _write_owners(client, resource, obj, others or None)


async def _write_owners(
    client: Client,
    resource: Resource,
    obj: Mapping,
    owners: list[Mapping] | None,
    more: Mapping | None = None,
) -> Mapping | None:
    """Replace the owners of exactly this version of `obj`; None where it is gone."""
    meta = obj["metadata"]
    patch = {
        "metadata": {
            "uid": meta["uid"],
            "resourceVersion": meta.get("resourceVersion"),
            "ownerReferences": owners,
            **(more or {}),
        }
    }
    try:
        return await client.patch(resource, meta["name"], patch, meta.get("namespace"))
    except ApiError as error:
        if error.not_found:
            return None
        raise
