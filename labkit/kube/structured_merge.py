"""Structured merge: what a value's fields are, what differs between two, and how one merges in.

Three kinds of values, told apart by their type (`Type.relation`):

- granular: objects and maps; each field or key is owned by itself;
- associative: lists whose elements are told apart by keys ("map") or by their value ("set");
- atomic: everything else, all scalars too; owned and replaced as a whole.

What has no type (`any`) is deduced from its JSON: objects are granular, lists atomic.  An object
whose type has `items` takes fields that it does not declare, of that type.

All functions are pure and leave their arguments alone; results share parts of them.

Source: sigs.k8s.io/structured-merge-diff typed (validate, tofieldset, compare, merge, remove).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from operator import attrgetter

from labkit.kube.fieldset import MEMBER, ElementError, Fields, element, element_text
from labkit.kube.schema import ANY, Type

_GRANULAR = frozenset({"object", "map", "any"})
_CONTAINERS = frozenset({dict, list})
_class = attrgetter("__class__")


class MergeError(ValueError):
    """A value does not fit its type; the message names the path, as upstream's does."""


def _is_granular(type: Type) -> bool:
    return type.kind in _GRANULAR and type.relation != "atomic"


def _is_associative(type: Type) -> bool:
    return type.relation in ("map", "set")


def field_type(type: Type, key: str) -> Type | None:
    """The type of a field or key of a granular value; None if it is not declared."""
    if type.kind == "any":
        return ANY
    return type.fields.get(key) or type.items


def check(type: Type, value: object) -> None:
    """Raises MergeError for fields that are not declared, and for elements that are not unique."""
    for error in _errors(type, value, ""):
        raise MergeError(error)


def _errors(type: Type, value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict) and type.kind in _GRANULAR:
        for key, item in value.items():
            below = field_type(type, key)
            if below is None:
                yield f"{path}.{key}: field not declared in schema"
            else:
                yield from _errors(below, item, f"{path}.{key}")
    elif isinstance(value, list) and type.kind == "list":
        yield from _list_errors(type, value, path)
    elif value is not None and type.kind != "any":
        expected, classes = _EXPECTED[type.kind]
        if value.__class__ not in classes:
            yield f"{path}: expected {expected}, got {_shown(value)}"


_NUMBERS = (int, float)
_EXPECTED: dict[str, tuple[str, tuple]] = {
    "object": ("map", (dict,)),
    "map": ("map", (dict,)),
    "list": ("list", (list,)),
    "string": ("string", (str,)),
    "bytes": ("string", (str,)),
    "time": ("string", (str,)),
    "boolean": ("boolean", (bool,)),
    "integer": ("numeric (int or float)", _NUMBERS),
    "number": ("numeric (int or float)", _NUMBERS),
    "quantity": ("any scalar", (str, bool, *_NUMBERS)),
    "int-or-string": ("any scalar", (str, bool, *_NUMBERS)),
}
_GO_NAMES = {str: "string", bool: "bool", int: "int64", float: "float64"}


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "map" if isinstance(value, dict) else "list"
    return _GO_NAMES[value.__class__]


def _list_errors(type: Type, items: list, path: str) -> Iterator[str]:
    seen = set()
    for index, item in enumerate(items):
        below = f"{path}[{index}]"
        if _is_associative(type):
            try:
                name = element(type, item)
            except ElementError as error:
                yield f"{path}: element {index}: {error}"
                return
            if name in seen:
                yield f"{path}: duplicate entries for key {element_text(name)}"
            seen.add(name)
            below = path + element_text(name)
        yield from _errors(type.items or ANY, item, below)


def fields_of(type: Type, value: object) -> Fields:
    """The fields that a configuration names: its leaves, and the elements of its lists."""
    return _fields(type, value) or {}


def _fields(type: Type, value: object) -> Fields | None:
    """The node of a value; None if it has no member."""
    if isinstance(value, dict) and _is_granular(type):
        return _fields_of_map(type, value) if value else MEMBER
    if isinstance(value, list) and _is_associative(type):
        found = {}
        for name, items in _indexed(type, value).items():
            below = _fields(type.items, items[0]) if len(items) == 1 else None
            found[name] = _with_self(below)
        return found or None
    return MEMBER


def _fields_of_map(type: Type, value: dict) -> Fields | None:
    found = {}
    for key, item in value.items():
        below = field_type(type, key) or ANY
        node = _fields(below, item)
        if key not in type.fields:
            node = _with_self(node)
        if node is not None:
            found[f"f:{key}"] = node
    return found or None


def _with_self(node: Fields | None) -> Fields:
    return {".": MEMBER, **node} if node else MEMBER


def whole(type: Type, value: object) -> Fields:
    """The node of a value that was not there before: all that is in it, and it itself."""
    if value.__class__ is dict:
        if type.relation == "atomic" or type.kind not in _GRANULAR:
            return MEMBER
        if _CONTAINERS.isdisjoint(map(_class, value.values())):
            return _flat(tuple(value))
        found: Fields = {".": MEMBER}
        for key, item in value.items():
            # Most fields are scalars, which need no look at their types.
            if item.__class__ in _CONTAINERS:
                found["f:" + key] = whole(field_type(type, key) or ANY, item)
            else:
                found["f:" + key] = MEMBER
        return found
    if value.__class__ is list and value and _is_associative(type):
        return {".": MEMBER, **_elements(type, value)}
    return MEMBER


def _elements(type: Type, items: list) -> Fields:
    found = {element(type, item): whole(type.items, item) for item in items}
    if len(found) < len(items):
        found |= {name: MEMBER for name, same in _indexed(type, items).items() if len(same) > 1}
    return found


def added(type: Type, empty: Mapping, value: Mapping) -> Fields:
    """The fields of a new object; `empty` is what there was of it before (nested, without values).

    What is in `empty` is filled rather than added: it gives its fields, and not itself.
    """
    found: Fields = {}
    for key, item in value.items():
        below, before = field_type(type, key) or ANY, empty.get(key)
        if before is None or item.__class__ is not before.__class__:
            found["f:" + key] = whole(below, item)
        elif item:
            is_map = item.__class__ is dict and _is_granular(below)
            node = added(below, before, item) if is_map else whole(below, item)
            node = {name: sub for name, sub in node.items() if name != "."} or node
            found["f:" + key] = node
    return found


@lru_cache(maxsize=1024)
def _flat(keys: tuple[str, ...]) -> Fields:
    """The node of an object that has nothing but scalars."""
    return _with_self({f"f:{key}": MEMBER for key in keys})


def _indexed(type: Type, items: list) -> dict[str, list]:
    """The items of an associative list by their path elements; each a list, for duplicates."""
    found: dict[str, list] = {}
    for item in items:
        found.setdefault(element(type, item), []).append(item)
    return found


Changes = tuple[Fields | None, Fields | None]


def compare(type: Type, old: object, new: object) -> Changes:
    """(what was added or changed, what was removed) as nodes; None where there is nothing.

    Raises ElementError for a list's elements without identity.
    """
    if old == new:
        return None, None
    if _is_granular(type) and (isinstance(old, dict) or isinstance(new, dict)):
        if isinstance(old, dict | None) and isinstance(new, dict | None):
            return _compare_maps(type, old or {}, new or {})
    elif _is_associative(type) and isinstance(old, list | None) and isinstance(new, list | None):
        return _compare_lists(type, old or [], new or [])
    return MEMBER, None


def _compare_maps(type: Type, old: dict, new: dict) -> Changes:
    changed, removed = {}, {}
    for key, item in new.items():
        before = old.get(key)
        if before is item:
            continue
        below = field_type(type, key) or ANY
        if before is None and key not in old:
            changed[f"f:{key}"] = whole(below, item)
        else:
            _put(changed, removed, f"f:{key}", compare(below, before, item))
    for key, item in old.items():
        if key not in new:
            removed[f"f:{key}"] = whole(field_type(type, key) or ANY, item)
    return changed or None, removed or None


def _put(changed: Fields, removed: Fields, name: str, found: Changes) -> None:
    if found[0] is not None:
        changed[name] = found[0]
    if found[1] is not None:
        removed[name] = found[1]


def _compare_lists(type: Type, old: list, new: list) -> Changes:
    before, after = _indexed(type, old), _indexed(type, new)
    changed, removed = {}, {}
    for name, items in after.items():
        _put(changed, removed, name, _compare_elements(type, before.get(name, []), items))
    for name, items in before.items():
        if name not in after:
            removed[name] = whole(type.items, items[0]) if len(items) == 1 else MEMBER
    return changed or None, removed or None


def _compare_elements(type: Type, old: list, new: list) -> Changes:
    """One path element's items, usually one on each side; duplicates are atomic together."""
    if len(old) == 1 and len(new) == 1:
        return compare(type.items, old[0], new[0])
    if len(new) == 1:
        return whole(type.items, new[0]), (MEMBER if old else None)
    if len(old) == 1:
        return MEMBER, whole(type.items, old[0])
    return (None if old == new else MEMBER), None


def merge(type: Type, live: object, config: object) -> object:
    """`live` with all that `config` says.  Raises ElementError."""
    if isinstance(live, dict) and _is_granular(type):
        if config is None and live:
            return live
        if isinstance(config, dict):
            return _merge_maps(type, live, config)
    if isinstance(live, list) and _is_associative(type):
        if config is None and live:
            return live
        if isinstance(config, list):
            return _merge_lists(type, live, config)
    return config


def _merge_maps(type: Type, live: dict, config: dict) -> dict:
    result = dict(live)
    for key, item in config.items():
        if key in live:
            result[key] = merge(field_type(type, key) or ANY, live[key], item)
        else:
            result[key] = item
    return result


def _merge_lists(type: Type, live: list, config: list) -> list:
    """Elements of both in the order of `config`; those that only `live` has keep their place.

    That is before the next element of both, and new elements come where `config` has them.
    """
    mine, theirs = _indexed(type, live), _indexed(type, config)
    left, right = [(element(type, item), item) for item in live], [*theirs]
    shared = [name for name in right if name in mine][::-1]
    merged: set[str] = set()
    result, i, j = [], 0, 0
    while i < len(left) or j < len(right):
        name, item = left[i] if i < len(left) else ("", None)
        if i < len(left) and name not in theirs:
            result.append(item)
            i += 1
            continue
        wanted = shared[-1] if shared else None
        if i < len(left) and j < len(right) and name != right[j] and wanted not in (None, name):
            i += 1  # shared, but not the next one in the order of `config`
            continue
        if i < len(left) and (name in merged or (j < len(right) and name == right[j])):
            i += 1
        if j < len(right):
            result.append(_merged_element(type, mine.get(right[j], []), theirs[right[j]][0]))
            merged.add(right[j])
            if right[j] == wanted:
                shared.pop()
            j += 1
    return result


def _merged_element(type: Type, present: list, item: object) -> object:
    """Duplicates, which only a list of old can have, are not merged but replaced."""
    return merge(type.items, present[0], item) if len(present) == 1 else item


def remove(type: Type, value: object, fields: Fields) -> object:
    """`value` without what is in `fields`; None if nothing is left of it."""
    if isinstance(value, dict) and _is_granular(type):
        return _remove_from_map(type, value, fields)
    if isinstance(value, list) and _is_associative(type):
        return _remove_from_list(type, value, fields)
    return None


def _remove_from_map(type: Type, value: dict, fields: Fields) -> dict | None:
    result = {}
    for key, item in value.items():
        node = fields.get(f"f:{key}")
        if node is None:
            result[key] = item
        elif node and "." not in node:
            rest = remove(field_type(type, key) or ANY, item, node)
            if rest is not None:
                result[key] = rest
    return result or None


def _remove_from_list(type: Type, value: list, fields: Fields) -> list | None:
    result = []
    for item in value:
        node = fields.get(element(type, item))
        if node is None:
            result.append(item)
        elif node and "." not in node:
            rest = remove(type.items, item, node)
            if rest is not None:
                result.append(rest)
    return result or None


def with_named(type: Type, fields: Fields) -> Fields:
    """`fields` and every declared field on the way to them."""
    result = {}
    for key, node in fields.items():
        if key == ".":
            result[key] = node
            continue
        declared = key[:2] == "f:" and key[2:] in type.fields
        below = _below(type, key)
        node = with_named(below, node) if node and below else node
        result[key] = {".": MEMBER, **node} if declared and node else node
    return result


def _below(type: Type, key: str) -> Type | None:
    return field_type(type, key[2:]) if key[:2] == "f:" else type.items
