"""How endpoints are packed into EndpointSlices: a pure function from what is to what shall be.

Endpoints with the same ports share slices, at most a hundred in each.  An endpoint stays in its
slice as long as it lives, new ones fill the fullest slice that has room, and an empty slice goes:
so the change of one Pod rewrites one slice.  A Service without endpoints keeps one empty slice, so
that who watches can tell "none" from "not looked at yet".

Source: reconciler.go of the endpointslice controller (reconcileByPortMapping).  Left out: its
packing of a partly filled slice into another one, and topology hints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.controllers.backends import Port

MOST = 100  # --max-endpoints-per-slice

Ports = tuple[Port, ...]


class Group(NamedTuple):
    """What slices are made for: one type of addresses, one set of ports."""

    address_type: str
    ports: Ports


@dataclass(slots=True)
class Changes:
    """Slices to create (their group and endpoints), to update (their new endpoints), to delete."""

    create: list[tuple[Group, list[dict]]] = field(default_factory=list)
    update: list[tuple[Mapping, list[dict]]] = field(default_factory=list)
    delete: list[Mapping] = field(default_factory=list)


def group_of(slice_: Mapping) -> Group:
    """The group of an existing slice."""
    ports = [
        Port(
            port.get("name") or "",
            port.get("protocol") or "TCP",
            port.get("port") or 0,
            port.get("appProtocol") or "",
        )
        for port in slice_.get("ports") or ()
    ]
    return Group(slice_["addressType"], tuple(sorted(ports)))


def changes(
    desired: Mapping[Group, Sequence[dict]], existing: Iterable[Mapping], most: int = MOST
) -> Changes:
    """How `existing` slices become the `desired` endpoints."""
    found = Changes()
    present: dict[Group, list[Mapping]] = {}
    for slice_ in existing:
        present.setdefault(group_of(slice_), []).append(slice_)
    for group in present.keys() - desired.keys():
        found.delete += present[group]
    for group, endpoints in desired.items():
        _pack(found, group, endpoints, present.get(group, []), most)
    return found


def _pack(
    found: Changes, group: Group, endpoints: Sequence[dict], present: list[Mapping], most: int
) -> None:
    homeless = {_identity(each): each for each in endpoints}
    contents = []
    for slice_ in present:
        kept = [_identity(each) for each in slice_.get("endpoints") or ()]
        contents.append([homeless.pop(each) for each in kept if each in homeless])
    waiting = list(homeless.values())
    for place in sorted(range(len(present)), key=lambda index: -len(contents[index])):
        room = most - len(contents[place])
        contents[place] += waiting[:room]
        del waiting[:room]
    fresh = [waiting[start : start + most] for start in range(0, len(waiting), most)]
    if not endpoints and not present:
        fresh = [[]]
    found.create += [(group, each) for each in fresh]
    _keep_or_drop(found, present, contents, keep_empty=not endpoints)


def _keep_or_drop(
    found: Changes, present: list[Mapping], contents: list[list[dict]], *, keep_empty: bool
) -> None:
    for slice_, content in zip(present, contents, strict=True):
        if not content and not keep_empty:
            found.delete.append(slice_)
            continue
        keep_empty = False
        if content != (slice_.get("endpoints") or []):
            found.update.append((slice_, content))


def _identity(endpoint: Mapping) -> tuple:
    reference = endpoint.get("targetRef") or {}
    return tuple(endpoint["addresses"]), reference.get("uid")
