"""`metadata.managedFields`: who owns which fields, kept up with every write.

Every create, update and patch compares what was with what shall be, in the version of the request,
and gives the fields that it adds or changes to its manager (operation Update), taking them from all
others; fields that are gone belong to nobody.  Server-side apply (`apply`) works on the same
entries.  What is compared is the object as its author sent it, with defaults but without what
admission and the server add.

Invariants: an entry is never changed, only replaced, and stays the same object while its fields do;
equal sets are one object, for all Pods of a ReplicaSet have the same ones; an update that changes
nothing changes no entry, and so no time; an object without entries (its client emptied them) is
not tracked again before its first apply.

Source: k8s.io/apimachinery util/managedfields (FieldManager and the managers that it wraps),
sigs.k8s.io/structured-merge-diff merge (Updater).  Left out: fields that change from atomic to
granular or back between versions of Kubernetes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from labkit.kube import fieldset, structured_merge
from labkit.kube.encoding import compact
from labkit.kube.fieldset import Fields
from labkit.kube.schema import ANY, Type

APPLY, UPDATE = "Apply", "Update"
BEFORE_FIRST_APPLY, ANCIENT = "before-first-apply", "ancient-changes"
_MAX_UPDATERS = 10
_NAME_LENGTH = 128  # bytes
_INTERNED = 2048  # sets, some kilobytes each; those that name addresses or uids are never shared

_ROOT_STRIPPED = frozenset({"apiVersion", "kind"})
_STRIPPED = frozenset(
    {
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    }
)
# What an empty object of Kubernetes' own kinds has already: structs that are no pointers in Go,
# and lists that are never left out.  These are not "added" by whoever fills them.
_TEMPLATE: dict = {"metadata": {}, "spec": {"containers": []}}
_EMPTY: dict = {
    "metadata": {},
    "spec": {
        "containers": [],
        "jobTemplate": {"metadata": {}, "spec": {"template": _TEMPLATE}},
        "names": {},
        "scaleTargetRef": {},
        "strategy": {},
        "template": _TEMPLATE,
        "updateStrategy": {},
    },
    "status": {},
    "source": {},
}


class Manager(NamedTuple):
    """Who writes: what tells entries apart.  An applier's entry is the same in all versions."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Two entries with the same identity are one."""
        version = "" if self.operation == APPLY else self.api_version
        return self.operation, self.name, version, self.subresource


@dataclass(frozen=True, slots=True)
class Kind:
    """What there is to know of an object's kind in order to track its fields.

    `ignored` are top-level fields that this request does not write (the status, through the main
    resource); `only` is the one that it does write, if it is through `status`.  `in_version` turns
    an object of `api_version` into one of another version of the same kind, and its type; None
    where that version is not served any more.
    """

    api_version: str
    type: Type
    in_version: Callable[[Mapping, str], tuple[Type, Mapping] | None]
    built_in: bool = True
    ignored: frozenset[str] = frozenset()
    only: str = ""

    @property
    def empty(self) -> Mapping:
        """The object of this kind before there is any."""
        return _EMPTY if self.built_in else {}

    def writes(self, key: str) -> bool:
        """Whether the request is about this top-level field."""
        if self.only:
            return key == self.only
        return key not in _ROOT_STRIPPED and key not in self.ignored


class Changes(NamedTuple):
    """What is different between two objects: fields added or changed, and fields removed."""

    changed: Fields
    removed: Fields

    @property
    def all(self) -> Fields:
        """Both: what no other manager owns any longer."""
        return fieldset.union(self.changed, self.removed)


_interned: dict[bytes, Fields] = {}


def interned(fields: Fields) -> Fields:
    """The one set of all that are equal to this one."""
    key = compact(fields)
    found = _interned.get(key)
    if found is None:
        if len(_interned) >= _INTERNED:
            _interned.clear()
        _interned[key] = found = fields
    return found


def shared(obj: dict) -> dict:
    """An object that was just read, its sets replaced by the one of all that are equal."""
    for entry in obj["metadata"].get("managedFields") or ():
        if "fieldsV1" in entry:
            entry["fieldsV1"] = interned(entry["fieldsV1"])
    return obj


@lru_cache(maxsize=1024)
def manager_name(field_manager: str, user_agent: str) -> str:
    """The manager of a request: what it says, or who it comes from up to the first "/"."""
    if field_manager:
        return field_manager
    printable = "".join(filter(str.isprintable, user_agent.partition("/")[0]))
    return printable.encode()[:_NAME_LENGTH].decode(errors="ignore") or "unknown"


def identity(entry: Mapping) -> tuple[str, str, str, str]:
    """What tells this entry from others, as `Manager.identity`."""
    operation = entry["operation"]
    version = "" if operation == APPLY else entry["apiVersion"]
    return operation, entry.get("manager", ""), version, entry.get("subresource", "")


def manager_of(entry: Mapping) -> Manager:
    """Whose entry this is."""
    return Manager(
        entry.get("manager", ""),
        entry["operation"],
        entry["apiVersion"],
        entry.get("subresource", ""),
    )


def entry_of(manager: Manager, fields: Fields, time: str = "") -> dict:
    """An entry of managedFields."""
    entry: dict = {"manager": manager.name, "operation": manager.operation}
    entry["apiVersion"] = manager.api_version
    if time:
        entry["time"] = time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": interned(fields)}
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def compare(kind: Kind, old: Mapping, new: Mapping, type: Type | None = None) -> Changes:
    """What a request changes, as far as it is owned.  Raises ElementError."""
    type = type or kind.type
    changed: Fields = {}
    removed: Fields = {}
    for key in {**old, **new} if old.keys() != new.keys() else new:
        before, after = old.get(key), new.get(key)
        if before is after or not kind.writes(key):
            continue
        if key == "metadata":
            before, after = _owned_metadata(before), _owned_metadata(after)
        below = structured_merge.field_type(type, key) or ANY
        if kind.built_in:
            before = _EMPTY.get(key) if before is None else before
            after = _EMPTY.get(key) if after is None else after
        found = _compare_field(below, before, after)
        if found[0] is not None:
            changed[f"f:{key}"] = found[0]
        if found[1] is not None:
            removed[f"f:{key}"] = found[1]
    return Changes(changed, removed)


def _compare_field(type: Type, before: object, after: object) -> structured_merge.Changes:
    if before is None:
        return structured_merge.whole(type, after), None
    if after is None:
        return None, structured_merge.whole(type, before)
    return structured_merge.compare(type, before, after)


def _owned_metadata(metadata: Mapping | None) -> dict:
    return {key: value for key, value in (metadata or {}).items() if key not in _STRIPPED}


def created(kind: Kind, obj: Mapping, manager: Manager, now: str) -> list[dict]:
    """The entries of a new object.  Raises ElementError."""
    written = {key: value for key, value in obj.items() if kind.writes(key)}
    if "metadata" in written:
        written["metadata"] = _owned_metadata(written["metadata"])
    fields = strip(structured_merge.added(kind.type, kind.empty, written))
    return [entry_of(manager, fields, now)] if fields else []


def updated(
    kind: Kind, entries: list[dict], old: Mapping, new: Mapping, manager: Manager, now: str
) -> list[dict]:
    """The entries after an update; the same list if nobody's fields change."""
    changes = compare(kind, old, new)
    # What it changes it gets back in any case: so it may as well keep it.
    kept = without(kind, entries, changes, old, new, keeping=manager.identity)
    if not changes.changed:
        return kept
    return capped(with_fields(kept, manager, changes.changed, now))


def with_fields(entries: list[dict], manager: Manager, added: Fields, now: str) -> list[dict]:
    """The entries after `manager` has got more fields, at the time `now`."""
    own = manager.identity
    present = next((entry for entry in entries if identity(entry) == own), None)
    if present is None:
        return ordered([*entries, entry_of(manager, added, now)])
    fields = fieldset.union(present["fieldsV1"], added)
    if fields is not present["fieldsV1"]:
        joined = entry_of(manager, fields, now)
    elif present.get("time", "") == now:
        return entries
    else:
        joined = {**present, "time": now}
    return ordered([joined if entry is present else entry for entry in entries])


def without(
    kind: Kind,
    entries: list[dict],
    changes: Changes,
    old: Mapping,
    new: Mapping,
    keeping: tuple | None = None,
) -> list[dict]:
    """The entries without what changed; the same list where that is nothing of theirs.

    The manager with the identity `keeping` loses only what was removed.
    """
    kept, seen = [], {kind.api_version: changes.all}
    for entry in entries:
        version = entry["apiVersion"]
        if version not in seen:
            found = changes_in(kind, version, changes, old, new)
            seen[version] = found and found.all
        if seen[version] is None:
            continue
        lost = changes.removed if identity(entry) == keeping else seen[version]
        rest = fieldset.difference(entry["fieldsV1"], lost)
        if rest is entry["fieldsV1"]:
            kept.append(entry)
        elif rest:
            kept.append({**entry, "fieldsV1": interned(rest)})
    unchanged = len(kept) == len(entries) and all(map(operator.is_, kept, entries))
    return entries if unchanged else kept


def changes_in(
    kind: Kind, version: str, changes: Changes, old: Mapping, new: Mapping
) -> Changes | None:
    """The changes as another version sees them; None if that version is not served."""
    if version == kind.api_version:
        return changes
    before, after = kind.in_version(old, version), kind.in_version(new, version)
    if before is None or after is None:
        return None
    return compare(kind, before[1], after[1], after[0])


def ordered(entries: Sequence[dict]) -> list[dict]:
    """The order of managedFields: appliers first, then by time."""
    return sorted(
        entries,
        key=lambda entry: (
            entry["operation"],
            entry.get("time") or "",
            entry.get("manager", ""),
            entry["apiVersion"],
            entry.get("subresource", ""),
        ),
    )


def capped(entries: list[dict]) -> list[dict]:
    """At most ten updaters: the oldest of the same version become one, "ancient-changes"."""
    updaters = [entry for entry in entries if entry["operation"] == UPDATE]
    if len(updaters) <= _MAX_UPDATERS:
        return entries
    kept = {id(entry): entry for entry in entries}
    count, firsts = len(updaters), {}
    for entry in sorted(updaters, key=lambda e: (e.get("time") or "", identity(e))):
        if count <= _MAX_UPDATERS:
            break
        first = firsts.setdefault(entry["apiVersion"], entry)
        if first is entry:
            continue
        del kept[id(entry)]
        kept.pop(id(first), None)
        bucket = Manager(ANCIENT, UPDATE, entry["apiVersion"])
        fields = fieldset.union(first["fieldsV1"], entry["fieldsV1"])
        merged = entry_of(bucket, fields, entry.get("time", ""))
        firsts[entry["apiVersion"]] = kept[id(merged)] = merged
        count -= 1
    return ordered(list(kept.values()))


def chosen(sent: object, stored: list[dict]) -> list[dict]:
    """The entries to go on with: the client's own if it sent good ones, else the stored ones.

    An empty list, or a list of one empty entry, empties them.
    """
    if sent is None or sent == stored:
        return stored
    if sent in ([], [{}]):
        return []
    try:
        return [_parsed(entry) for entry in sent] or stored
    except (ValueError, TypeError, AttributeError, KeyError):
        return stored


def _parsed(entry: Mapping) -> dict:
    known = entry["operation"] in (APPLY, UPDATE) and entry["apiVersion"]
    if not known or entry["fieldsType"] != "FieldsV1":
        raise ValueError("not an entry of managedFields")
    return {**entry, "fieldsV1": interned(fieldset.parse(entry.get("fieldsV1")))}


def same_but_for_times(left: Sequence[Mapping], right: Sequence[Mapping]) -> bool:
    """Whether two lists of entries differ in nothing but their times."""
    return len(left) == len(right) and all(
        {**one, "time": None} == {**other, "time": None}
        for one, other in zip(left, right, strict=True)
    )


def strip(fields: Fields) -> Fields:
    """A set without the fields that nobody owns."""
    fields = {key: node for key, node in fields.items() if key[2:] not in _ROOT_STRIPPED}
    metadata = fields.pop("f:metadata", {})
    kept = {key: node for key, node in metadata.items() if key[2:] not in _STRIPPED and key != "."}
    return {"f:metadata": kept, **fields} if kept else fields
