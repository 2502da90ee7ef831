"""Sets of fields, as `metadata.managedFields` writes them down (FieldsV1).

A set is a tree of dicts, and the JSON of the API is that tree as it is:

    {"f:spec": {"f:replicas": {}, "f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}}

Keys are path elements: `f:` a field's name, `k:` the keys of an element of a list, `v:` an element
of a set of values.  A node without content is a member; a node with `.` is a member that has
members below; a node without `.` is only on the way to them.  The root is no member of anything:
an empty root is the empty set.

Sets are values: no function changes its arguments, results share parts of them, and an operation
that has no effect returns its argument itself, so that `is` tells whether anything changed.

Source: sigs.k8s.io/structured-merge-diff fieldpath (Set, PathElement).  Left out: elements by
index (`i:`), which Kubernetes' objects never have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

import orjson

from labkit.kube.schema import Type

Fields = dict[str, dict]
MEMBER: Fields = {}
"""The node of a member without members below; one for all, since most nodes are this one."""
_SELF = "."


class ElementError(ValueError):
    """An element of a list has no identity: it lacks the keys, or is of the wrong kind."""


def element(type: Type, item: object) -> str:
    """The path element of a list's item.  `type` is the list's.  Raises ElementError."""
    if type.relation == "map":
        return _keyed(type, item)
    if item is None or isinstance(item, dict | list):
        raise ElementError(f"associative list without keys has an element that's {_what(item)}")
    return _value(item.__class__, item)


def _what(item: object) -> str:
    if item is None:
        return "an explicit null"
    return "a map type" if isinstance(item, dict) else "a list type"


def _keyed(type: Type, item: object) -> str:
    if not isinstance(item, dict):
        what = "a null element" if item is None else "non-map elements"
        raise ElementError(f"associative list with keys may not have {what}")
    keys = type.list_keys
    value = item.get(keys[0]) if len(keys) == 1 else None
    if value is not None and not isinstance(value, dict | list):
        return _key(keys[0], value, value.__class__)
    found = {key: item.get(key, type.key_defaults.get(key)) for key in sorted(keys)}
    found = {key: value for key, value in found.items() if value is not None}
    if not found:
        names = " ".join(f'"{key}"' for key in keys)
        raise ElementError(
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)"
        )
    return "k:" + orjson.dumps(found).decode()


# The value's class is part of what is remembered, for 1 == 1.0 == True.
@lru_cache(maxsize=4096)
def _key(key: str, value: object, _: type) -> str:
    return "k:" + orjson.dumps({key: value}).decode()


@lru_cache(maxsize=4096)
def _value(_: type, value: object) -> str:
    return "v:" + orjson.dumps(value).decode()


def _is_member(node: Mapping) -> bool:
    return not node or _SELF in node


def _node(member: bool, children: Fields) -> Fields | None:
    """A node; None if there is nothing in it."""
    if not member:
        return children or None
    return {_SELF: MEMBER, **children} if children else MEMBER


def union(left: Fields, right: Fields) -> Fields:
    """What is in either set."""
    if not left or not right:
        return left or right
    return _union(left, right)


def _union(left: Fields, right: Fields) -> Fields:
    """Looks at `right` alone: usually few fields join many."""
    if left is right:
        return left
    result = left
    if _is_member(right) and not _is_member(left):
        result = {_SELF: MEMBER, **left}
    for key, below in right.items():
        present = left.get(key)
        if key == _SELF:
            continue
        joined = below if present is None else _union(present, below)
        if joined is not present:
            if result is left:
                result = dict(left) if left else {_SELF: MEMBER}
            result[key] = joined
    return result


def difference(left: Fields, right: Fields) -> Fields:
    """What is in `left` and not in `right`; members below a removed member stay."""
    if not left or not right:
        return left
    return _difference(left, right) or {}


def _difference(left: Fields, right: Fields) -> Fields | None:
    """Looks at `right` alone: usually few fields leave many."""
    member = _is_member(left)
    result = left
    if member and _is_member(right):
        result = {key: below for key, below in left.items() if key != _SELF}
    for key, other in right.items():
        below = left.get(key)
        if below is None or key == _SELF:
            continue
        rest = _difference(below, other)
        if rest is below:
            continue
        if result is left:
            result = dict(left)
        if rest is None:
            del result[key]
        else:
            result[key] = rest
    if result is left:
        return left
    if _SELF in result and len(result) == 1:
        return MEMBER
    return result or None


def intersection(left: Fields, right: Fields) -> Fields:
    """What is in both sets."""
    if not left or not right:
        return {}
    return _intersection(left, right) or {}


def _intersection(left: Fields, right: Fields) -> Fields | None:
    children = {}
    for key, below in left.items():
        other = right.get(key)
        if other is not None and key != _SELF:
            both = _intersection(below, other)
            if both is not None:
                children[key] = both
    return _node(_is_member(left) and _is_member(right), children)


def has(fields: Fields, path: tuple[str, ...]) -> bool:
    """Whether the path is a member."""
    if not fields:
        return False
    for part in path:
        found = fields.get(part)
        if found is None:
            return False
        fields = found
    return _is_member(fields)


def only(path: tuple[str, ...]) -> Fields:
    """The set of one path."""
    node = MEMBER
    for part in reversed(path):
        node = {part: node}
    return node


def paths(fields: Fields, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All members: of each node first its own, then those below, each in order."""
    children = sorted(key for key in fields if key != _SELF)
    for key in children:
        if _is_member(fields[key]):
            yield (*before, key)
    for key in children:
        yield from paths(fields[key], (*before, key))


def path_text(path: tuple[str, ...]) -> str:
    """A path as messages have it: `.spec.containers[name="web"].image`."""
    return "".join(map(element_text, path))


def element_text(part: str) -> str:
    """One element of a path as messages have it."""
    kind, _, content = part.partition(":")
    if kind == "f":
        return f".{content}"
    if kind == "v":
        return f"[={content}]"
    keys = orjson.loads(content)
    return "[" + ",".join(f"{name}={orjson.dumps(keys[name]).decode()}" for name in keys) + "]"


def parse(tree: object) -> Fields:
    """A set that somebody else wrote down, in the form of this module.  Raises ValueError."""
    return {} if not tree else _parse(tree)


def _parse(tree: object) -> Fields:
    if not isinstance(tree, dict):
        raise ValueError(f"a set of fields is a JSON object, not {tree!r}")
    children = {}
    for key, below in tree.items():
        if key == _SELF:
            continue
        _check_element(key)
        if key[:2] in ("f:", "k:", "v:"):
            children[key] = _parse(below or {})
    return _node(_is_member(tree), children) or MEMBER


def _check_element(key: str) -> None:
    if key[1:2] != ":":
        raise ValueError(f"missing colon: {key}")
    if key[0] in "kv":
        content = orjson.loads(key[2:])
        if key[0] == "k" and not isinstance(content, dict):
            raise ValueError(f"not the keys of a list's element: {key}")
