"""Server-side apply: what a live object and its owners become when a configuration is applied.

    live, entries, configuration → merge → prune → who owns what → conflicts?

The configuration's fields are merged in.  Fields that its applier named the last time and does not
name now are removed, unless somebody else owns them.  A field that another manager owns and whose
value would change is a conflict; with `force` it changes hands.

Source: sigs.k8s.io/structured-merge-diff merge (Updater.Apply), k8s.io/apimachinery
util/managedfields/internal (structuredmerge, skipnonapplied, lastappliedmanager,
lastappliedupdater, conflict).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from labkit.apiserver import managed_fields, statuses
from labkit.apiserver.managed_fields import UPDATE, Changes, Kind, Manager
from labkit.client.errors import ApiError, status_error
from labkit.kube import fieldset, structured_merge
from labkit.kube.fieldset import ElementError, Fields
from labkit.kube.schema import Type

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL = "kubectl"
_ANNOTATIONS_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Applied:
    """The object that an apply makes, still without its entries, and these."""

    obj: dict
    entries: list[dict]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another manager owns."""

    manager: Manager
    path: tuple[str, ...]

    @property
    def owner(self) -> str:
        """The manager as messages have it."""
        text = _quoted(self.manager.name)
        if self.manager.subresource:
            text += f" with subresource {_quoted(self.manager.subresource)}"
        if self.manager.operation == UPDATE:
            text += f" using {self.manager.api_version}"
        return text


class Conflicts(Exception):
    """An apply without force would take fields from others."""

    def __init__(self, found: list[Conflict]) -> None:
        super().__init__(_message(found))
        self.found = found

    def status(self) -> ApiError:
        """409, with a cause for each field."""
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f"conflict with {one.owner}",
                "field": fieldset.path_text(one.path),
            }
            for one in self.found
        ]
        return status_error(409, "Conflict", str(self), {"causes": causes})


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _message(found: list[Conflict]) -> str:
    if len(found) == 1:
        path = fieldset.path_text(found[0].path)
        return f"Apply failed with 1 conflict: conflict with {found[0].owner}: {path}"
    lines: dict[str, list[str]] = {}
    for one in found:
        lines.setdefault(one.owner, []).append(f"- {fieldset.path_text(one.path)}")
    text = [line for owner in sorted(lines) for line in (f"conflicts with {owner}:", *lines[owner])]
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(text)


def apply(
    kind: Kind, live: Mapping | None, config: Mapping, manager: Manager, *, force: bool, now: str
) -> Applied:
    """What is to be stored; `live` is None where there is nothing yet.

    Raises Conflicts; ApiError 400 for a configuration that does not fit the kind.
    """
    check(kind, config)
    entries = (live or {}).get("metadata", {}).get("managedFields") or []
    present = _without_entries(live) if live else {}
    if not entries and live:
        first = Manager(
            managed_fields.BEFORE_FIRST_APPLY, UPDATE, kind.api_version, manager.subresource
        )
        entries = managed_fields.created(kind, present, first, now)
    try:
        result = _apply(kind, present, config, entries, manager, force, now)
    except Conflicts as conflicts:
        _raise_what_is_left(kind, present, manager, conflicts)
        result = _apply(kind, present, config, entries, manager, True, now)
    except ElementError as error:
        raise statuses.bad_request(f"failed to merge config: {error}") from None
    if manager.name == _KUBECTL:
        _update_last_applied(result.obj, config)
    return result


def check(kind: Kind, config: Mapping) -> None:
    """Raises ApiError 400 for a configuration that does not fit the kind."""
    metadata = config.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise statuses.bad_request("metadata is not an object")
    if metadata.get("managedFields") is not None:
        raise statuses.bad_request("metadata.managedFields must be nil")
    try:
        structured_merge.check(kind.type, config)
    except structured_merge.MergeError as error:
        # A kube-apiserver says the same, but takes the blame: it answers 500.
        version, name = config.get("apiVersion", ""), metadata.get("name", "")
        version = version if "/" in version else f"/{version}"
        where = f"{metadata.get('namespace', '')}/{name}; {version}, Kind={config.get('kind')}"
        raise statuses.bad_request(
            f"failed to create typed patch object ({where}): {error}"
        ) from None


def _without_entries(obj: Mapping) -> dict:
    metadata = {key: item for key, item in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def _apply(
    kind: Kind,
    live: dict,
    config: Mapping,
    entries: list[dict],
    manager: Manager,
    force: bool,
    now: str,
) -> Applied:
    own = manager.identity
    last = next((entry for entry in entries if managed_fields.identity(entry) == own), None)
    others = [entry for entry in entries if entry is not last]
    named = _fields(kind, config)
    owned = managed_fields.strip(named)
    obj = structured_merge.merge(kind.type, live, config)
    if last is not None and fieldset.difference(last["fieldsV1"], owned):
        everyone = [(entry["apiVersion"], entry["fieldsV1"]) for entry in others]
        obj = _pruned(kind, obj, last, [*everyone, (kind.api_version, named)])
    changes = managed_fields.compare(kind, live, obj)
    if not force:
        _refuse_conflicts(kind, others, changes, live, obj)
    kept = managed_fields.without(kind, others, changes, live, obj)
    if owned:
        time = now if obj != live else (last or {}).get("time", "")
        kept = [*kept, managed_fields.entry_of(manager, owned, time)]
    return Applied(obj, managed_fields.ordered(kept))


def _fields(kind: Kind, config: Mapping) -> Fields:
    """The fields that a configuration names."""
    written = {key: item for key, item in config.items() if kind.writes(key)}
    return structured_merge.fields_of(kind.type, written)


def _refuse_conflicts(
    kind: Kind, others: list[dict], changes: Changes, live: Mapping, obj: Mapping
) -> None:
    """Raises Conflicts."""
    found = []
    for entry in sorted(others, key=managed_fields.identity):
        seen = managed_fields.changes_in(kind, entry["apiVersion"], changes, live, obj)
        taken = fieldset.intersection(entry["fieldsV1"], seen.changed) if seen else {}
        owner = managed_fields.manager_of(entry)
        found += [Conflict(owner, path) for path in fieldset.paths(taken)]
    if found:
        raise Conflicts(found)


def _pruned(kind: Kind, merged: dict, last: Mapping, entries: list[tuple[str, Fields]]) -> dict:
    """`merged` without what the applier's last configuration had and nobody names now.

    `entries` are (version, fields) of all managers as they are now.
    """
    version = last["apiVersion"]
    found = kind.in_version(merged, version)
    if found is None:
        return merged
    type, whole = found
    before = structured_merge.with_named(type, last["fieldsV1"])
    pruned = structured_merge.remove(type, whole, before) or {}
    for other, owned in _by_version(entries, version).items():
        if other == version:
            pruned = _with_owned(type, whole, pruned, owned)
        else:
            pruned = _with_owned_in(kind, other, whole, pruned, owned)
    # What the applier never named is not its to remove.
    gone = fieldset.difference(_named(type, whole), _named(type, pruned))
    pruned = structured_merge.remove(type, whole, fieldset.intersection(gone, before)) or {}
    return dict(kind.in_version(pruned, kind.api_version)[1])


def _by_version(entries: list[tuple[str, Fields]], first: str) -> dict[str, Fields]:
    owned: dict[str, Fields] = {first: {}}
    for version, fields in entries:
        owned[version] = fieldset.union(owned.get(version, {}), fields)
    return owned


def _with_owned(type: Type, whole: Mapping, pruned: Mapping, owned: Fields) -> dict:
    """`pruned` and what of `whole` somebody owns."""
    kept = fieldset.union(_named(type, pruned), structured_merge.with_named(type, owned))
    gone = fieldset.difference(_named(type, whole), kept)
    return structured_merge.remove(type, whole, gone) or {}


def _with_owned_in(kind: Kind, version: str, whole: dict, pruned: dict, owned: Fields) -> dict:
    """The same for owners in another version."""
    all_, rest = kind.in_version(whole, version), kind.in_version(pruned, version)
    if all_ is None or rest is None:
        return pruned
    result = _with_owned(all_[0], all_[1], rest[1], owned)
    return dict(kind.in_version(result, whole["apiVersion"])[1])


def _named(type: structured_merge.Type, value: object) -> Fields:
    return structured_merge.with_named(type, structured_merge.fields_of(type, value))


def _raise_what_is_left(kind: Kind, live: Mapping, manager: Manager, found: Conflicts) -> None:
    """Raises the conflicts that are none of kubectl with what it applied on the client's side."""
    if manager.name != _KUBECTL:
        raise found
    allowed = _last_applied(kind, live)
    left = [one for one in found.found if not fieldset.has(allowed, one.path)]
    if left or not allowed:
        raise Conflicts(left or found.found)


def _last_applied(kind: Kind, live: Mapping) -> Fields:
    """The fields of kubectl's annotation whose values are still those of the object."""
    text = (live.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        config = orjson.loads(text or "null")
        if not isinstance(config, dict) or config.get("apiVersion") != kind.api_version:
            return {}
        structured_merge.check(kind.type, config)
        fields = structured_merge.fields_of(kind.type, config)
        changed, removed = structured_merge.compare(kind.type, config, live)
    except (orjson.JSONDecodeError, structured_merge.MergeError, ElementError):
        return {}
    return fieldset.difference(fieldset.difference(fields, changed or {}), removed or {})


def _update_last_applied(obj: dict, config: Mapping) -> None:
    """Keep the annotation of a client that applied on its side before; others get none."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return
    config = {**config, "metadata": dict(config.get("metadata") or {})}
    named = config["metadata"].get("annotations")
    if named is not None:
        kept = {key: text for key, text in named.items() if key != LAST_APPLIED}
        config["metadata"]["annotations"] = kept
    text = orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    annotations = {**annotations, LAST_APPLIED: text}
    if sum(len(key) + len(value) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        del annotations[LAST_APPLIED]
    obj["metadata"] = {**obj["metadata"], "annotations": annotations}
