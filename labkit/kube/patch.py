"""Patches: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge patch.

All three change the object that they are given, which the caller owns, and return the result.

A strategic merge patch is a merge patch that knows types: lists whose type has a merge key are
merged element by element (a Pod's containers by `name`), other lists are replaced.  Directives in
the patch say what cannot be said by values:

    $patch: delete | replace            on a map, or on an element of a merged list
    $retainKeys: [a, b]                 drop all other keys of this map
    $deleteFromPrimitiveList/finalizers: [x]
    $setElementOrder/containers: [{name: a}, {name: b}]

Source: Kubernetes documentation, "Update API Objects in Place Using kubectl patch", and the design
"strategic-merge-patch"; order of merged lists: k8s.io/apimachinery util/strategicpatch
(normalizeElementOrder), which puts new elements before those that the patch does not name.
"""

from __future__ import annotations

from collections.abc import Callable

import jsonpatch
import jsonpointer

from labkit.kube.schema import ANY, Type

_PATCH, _RETAIN = "$patch", "$retainKeys"
_DELETE_PREFIX = "$deleteFromPrimitiveList/"
_ORDER_PREFIX = "$setElementOrder/"


class PatchError(ValueError):
    """The patch cannot be understood, or does not fit the object."""


def json_patch(obj: object, operations: object) -> object:
    """Apply RFC 6902 operations.  Raises PatchError, also for a `test` that fails."""
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise PatchError(f"not a JSON patch: {operations!r}")
    for operation in operations:
        try:
            obj = jsonpatch.JsonPatch([_lenient(obj, operation)]).apply(obj, in_place=True)
        except jsonpatch.JsonPatchTestFailed:
            raise PatchError(f"testing value {operation['path']} failed: test failed") from None
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            raise PatchError(_misfit(obj, operation) or str(error)) from None
        except (TypeError, KeyError, AttributeError) as error:
            raise PatchError(f"not a JSON patch: {error}") from None
    return obj


def _lenient(obj: object, operation: dict) -> dict:
    """RFC 6902 demands that what is replaced exists.  Kubernetes does not, in a map."""
    if operation.get("op") != "replace" or not operation.get("path"):
        return operation
    parent = jsonpointer.JsonPointer(operation["path"].rpartition("/")[0])
    if isinstance(parent.resolve(obj, None), dict):
        return {**operation, "op": "add"}
    return operation


# What has no place, or nothing in its place; words of github.com/evanphx/json-patch.
_NO_PLACE = {
    "add": 'add operation does not apply: doc is missing path: "{path}": missing value',
    "remove": 'remove operation does not apply: doc is missing path: "{path}": missing value',
    "replace": "replace operation does not apply: doc is missing path: {path}: missing value",
}
_NOTHING_THERE = {
    "remove": "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: "
    "missing value",
}


def _misfit(obj: object, operation: dict) -> str:
    """Why an operation on a field does not fit; empty where there is no better word for it."""
    name, path = operation.get("op"), operation.get("path")
    if not (isinstance(name, str) and name in _NO_PLACE and isinstance(path, str)):
        return ""
    parent, _, key = path.rpartition("/")
    try:
        found = jsonpointer.resolve_pointer(obj, parent)
    except jsonpointer.JsonPointerException:
        return _NO_PLACE[name].format(path=path)
    return _NOTHING_THERE.get(name, "").format(path=path, key=key) * isinstance(found, dict)


def merge_patch(obj: object, patch: object) -> object:
    """Apply an RFC 7386 merge patch."""
    if not isinstance(patch, dict):
        return patch
    result = obj if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge(obj: dict, patch: dict, type: Type) -> dict:
    """Apply a strategic merge patch to an object of `type`.  Raises PatchError."""
    directive = patch.get(_PATCH)
    if directive == "replace":
        return _plain({key: value for key, value in patch.items() if key != _PATCH})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise PatchError(f"unknown patch type found: {directive}")
    if _RETAIN in patch:
        _retain(obj, patch)
    orders = _with_prefix(patch, _ORDER_PREFIX)
    for key, values in _with_prefix(patch, _DELETE_PREFIX).items():
        if isinstance(obj.get(key), list):
            obj[key] = [value for value in obj[key] if value not in values]
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(obj, key, value, _child(type, key), orders.pop(key, None))
    for key, order in orders.items():
        if isinstance(obj.get(key), list):
            obj[key] = _ordered(obj[key], order, obj[key], _child(type, key).merge_key)
    return obj


def _with_prefix(patch: dict, prefix: str) -> dict[str, list]:
    found = {key[len(prefix) :]: value for key, value in patch.items() if key.startswith(prefix)}
    for key, value in found.items():
        if not isinstance(value, list):
            raise PatchError(f"{prefix}{key} is not a list")
    return found


def _retain(obj: dict, patch: dict) -> None:
    kept = patch[_RETAIN]
    if not isinstance(kept, list):
        raise PatchError(f"{_RETAIN} is not a list")
    for key, value in patch.items():
        if not key.startswith("$") and value is not None and key not in kept:
            raise PatchError(f"{_RETAIN} does not name {key}, which the patch sets")
    for key in [key for key in obj if key not in kept]:
        del obj[key]


def _child(type: Type, key: str) -> Type:
    if type.kind == "map":
        return type.items or ANY
    return type.fields.get(key, ANY)


def _merge_field(obj: dict, key: str, value: object, type: Type, order: list | None) -> None:
    if value is None:
        obj.pop(key, None)
        return
    present = obj.get(key)
    if isinstance(value, dict) and isinstance(present, dict) and "replace" not in type.strategies:
        obj[key] = strategic_merge(present, value, type)
    elif isinstance(value, list) and isinstance(present, list) and "merge" in type.strategies:
        obj[key] = _merge_list(present, value, type, order)
    elif _is_directed(value):
        obj.pop(key, None)  # there is nothing that could be replaced or deleted
    else:
        obj[key] = _plain(value)
        if order is not None and isinstance(value, list):
            obj[key] = _ordered(obj[key], order, obj[key], type.merge_key)


def _plain(value: object) -> object:
    """A patch's value as an object's value: without nulls in maps, and without directives and
    what they stand in.
    """
    if isinstance(value, dict):
        return {
            key: _plain(item)
            for key, item in value.items()
            if item is not None and not key.startswith("$") and not _is_directed(item)
        }
    if isinstance(value, list):
        return [_plain(item) for item in value if not _is_directed(item)]
    return value


def _is_directed(value: object) -> bool:
    return isinstance(value, dict) and _PATCH in value


def _merge_list(present: list, patch: list, type: Type, order: list | None) -> list:
    items = type.items or ANY
    if not type.merge_key or not all(isinstance(item, dict) for item in (*present, *patch)):
        merged = [*present, *(item for item in patch if item not in present)]
        return _ordered(merged, patch if order is None else order, present, "")
    return _merge_elements(present, patch, type.merge_key, items, order)


def _merge_elements(
    present: list[dict], patch: list[dict], merge_key: str, type: Type, order: list | None
) -> list:
    """Merge a list of maps by its merge key."""
    replaces = any(item.get(_PATCH) == "replace" for item in patch)
    if replaces:
        return [_plain(item) for item in patch if _PATCH not in item]
    merged = list(present)
    for item in patch:
        if merge_key not in item:
            raise PatchError(f"map: {item} does not contain declared merge key: {merge_key}")
        at = _index(merged, item[merge_key], merge_key)
        if item.get(_PATCH) == "delete":
            merged = [one for one in merged if one.get(merge_key) != item[merge_key]]
        elif at < 0:
            merged.append(_plain(item))
        else:
            merged[at] = strategic_merge(merged[at], item, type)
    if order is None:
        named = [item for item in patch if item.get(_PATCH) != "delete"]
        return _ordered(merged, named, present, merge_key)
    # Upstream orders by a list that it has changed in place meanwhile: new elements have taken the
    # places of deleted ones.
    return _ordered(merged, order, merged[: len(present)], merge_key)


def _index(items: list, value: object, merge_key: str) -> int:
    for index, item in enumerate(items):
        if (item.get(merge_key) if merge_key and isinstance(item, dict) else item) == value:
            return index
    return -1


def _ordered(merged: list, wanted: list, before: list, merge_key: str) -> list:
    """`merged` in the order `wanted`; what that does not name keeps its place as in `before`.

    An unnamed element comes before the first remaining named one that it preceded before.
    """
    place = _places(wanted, merge_key)
    was = _places(before, merge_key)
    key = _key_function(merge_key)
    named = sorted((item for item in merged if key(item) in place), key=lambda i: place[key(i)])
    others = sorted(
        (item for item in merged if key(item) not in place),
        key=lambda item: was.get(key(item), len(was)),
    )
    result = []
    for item in named:
        while others and _precedes(was, key(others[0]), key(item)):
            result.append(others.pop(0))
        result.append(item)
    return result + others


def _precedes(was: dict, left: object, right: object) -> bool:
    return left in was and right in was and was[left] < was[right]


def _places(items: list, merge_key: str) -> dict:
    key = _key_function(merge_key)
    places: dict = {}
    for index, item in enumerate(items):
        places.setdefault(key(item), index)
    return places


def _key_function(merge_key: str) -> Callable[[object], object]:
    """What identifies an element, hashable (numbers and strings stay apart)."""

    def key(item: object) -> object:
        value = item.get(merge_key) if merge_key and isinstance(item, dict) else item
        return (value.__class__, value if isinstance(value, str | int | float) else repr(value))

    return key
