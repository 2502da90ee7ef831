"""Where writes meet `managed_fields`: what a request is to it, in which versions, by whom.

Source: k8s.io/apiserver endpoints (installer: one FieldManager for each resource and subresource)
and the ResetFieldsStrategy of each kind, by which the main resource does not own the status, and
`status` owns nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from labkit.apiserver import apply, convert, managed_fields, options
from labkit.apiserver.managed_fields import APPLY, UPDATE, Kind, Manager
from labkit.apiserver.registration import Registration
from labkit.apiserver.request import Encoded
from labkit.apiserver.target import Call
from labkit.client.transport import PATCH_TYPES
from labkit.kube.fieldset import ElementError
from labkit.kube.schema import Type

_STATUS = frozenset({"status"})

Find = Callable[[str, str, str], Registration | None]


def kind_of(row: Registration, subresource: str, find: Find) -> Kind:
    """What `managed_fields` needs to know about requests to a row or its subresource."""
    status = subresource == "status"
    return Kind(
        row.resource.api_version,
        row.type,
        partial(_in_version, row, find),
        built_in=not row.custom,
        ignored=_STATUS if "status" in row.subresources and not status else frozenset(),
        only="status" if status else "",
    )


def _served(row: Registration, obj: Mapping) -> Mapping:
    """A stored object as a row serves it; of a custom resource only its version is different."""
    if row.custom:
        return {**obj, "apiVersion": row.resource.api_version}
    return obj if row.storage is row.resource else convert.served(row, Encoded(obj, b"")).obj


def _in_version(
    row: Registration, find: Find, obj: Mapping, version: str
) -> tuple[Type, Mapping] | None:
    """An object that some version of a row serves, as another version does."""
    if obj.get("apiVersion") == version:
        return (_sibling(row, find, version) or row).type, obj
    here, there = _sibling(row, find, obj.get("apiVersion", "")), _sibling(row, find, version)
    if here is None or there is None:
        return None
    stored = convert.stored(here, {"metadata": {}, **obj})
    return there.type, _served(there, stored)


def _sibling(row: Registration, find: Find, version: str) -> Registration | None:
    """The row that serves the same objects in another version."""
    group, _, name = version.rpartition("/")
    found = find(group, name, row.resource.plural)
    return found if found is not None and found.storage == row.storage else None


def manager_of(call: Call, operation: str = UPDATE) -> Manager:
    """Who makes a request."""
    name = managed_fields.manager_name(call.params.get("fieldManager", ""), call.user_agent)
    subresource = call.target.subresource
    return Manager(name, operation, call.target.row.resource.api_version, subresource)


def is_apply(call: Call) -> bool:
    """Whether a patch is a configuration to apply."""
    return call.content_type == PATCH_TYPES["apply"]


def created(call: Call, find: Find, obj: dict, sent: object, now: str) -> None:
    """Give a new object its entries.  `obj` is as it is kept.

    `sent` is what came with the object: what an apply has found out, or the client's own.
    """
    if is_apply(call):
        return put(obj, sent)
    row = call.target.row
    kind = kind_of(row, "", find)
    new = _served(row, obj)
    entries = managed_fields.chosen(sent, [])
    manager = manager_of(call)
    with suppress(ElementError):  # validation will say what is wrong
        if entries:
            entries = managed_fields.updated(kind, entries, kind.empty, new, manager, now)
        else:
            entries = managed_fields.created(kind, new, manager, now)
    put(obj, entries)


def updated(call: Call, find: Find, old: Mapping, obj: dict, sent: object, now: str) -> None:
    """Give an updated object its entries; `old` and `obj` are as they are kept."""
    if is_apply(call):
        return put(obj, sent)
    stored = old["metadata"].get("managedFields") or []
    entries = managed_fields.chosen(None if call.target.subresource else sent, stored)
    if entries:
        row, part = call.target.row, call.target.subresource
        before, after = _served(row, old), _served(row, obj)
        # The times of changes of the scale do not come back from it, as upstream.
        now = "" if part == "scale" else now
        kind = kind_of(row, part, find)
        with suppress(ElementError):
            entries = managed_fields.updated(kind, entries, before, after, manager_of(call), now)
    put(obj, entries)


def keep_times(obj: dict, old: Mapping) -> None:
    """A write that changes nothing but the times of entries changes nothing."""
    entries = obj["metadata"].get("managedFields")
    before = old["metadata"].get("managedFields")
    if entries is before or not entries or not before:
        return
    if managed_fields.same_but_for_times(entries, before):
        same = {**obj, "metadata": {**obj["metadata"], "managedFields": before}}
        if same == old:
            obj["metadata"]["managedFields"] = before


def applied(
    call: Call, find: Find, live: Mapping | None, config: Mapping, now: str
) -> apply.Applied:
    """What an apply makes of the object as it is served.  Raises ApiError 400, 409."""
    kind = kind_of(call.target.row, call.target.subresource, find)
    return applied_to(kind, call, live, config, manager_of(call, APPLY), now)


def applied_to(
    kind: Kind, call: Call, live: Mapping | None, config: Mapping, manager: Manager, now: str
) -> apply.Applied:
    """The same for an object of another kind than the request's resource."""
    force = options.truth(call.params.get("force", "false"))
    try:
        return apply.apply(kind, live, config, manager, force=force, now=now)
    except apply.Conflicts as conflicts:
        raise conflicts.status() from None


def put(obj: dict, entries: list[dict]) -> None:
    """Set the entries of an object."""
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)
