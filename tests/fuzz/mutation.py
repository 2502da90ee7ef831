"""Small changes that make valid things odd.  All chance comes from the `Random` given."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random

_DEEP = [[[[[[[[{"a": [[[[[{"b": {}}]]]]]}]]]]]]]]
VALUES: tuple[object, ...] = (
    None, True, False, 0, 1, -1, 65536, 2**31, 2**63, -(2**63) - 1, 2**64, 10**400, 1.5, -0.0,
    1e308, "", " ", "a", "x1", "0", "-1", "1e9", "1.5.5", "10Ei", "999999999999999999999Gi", "1m",
    "-5%", "150%", "%", "null", "true", "a" * 300, "ü", "\u0000", "\ud7ff", "😀" * 70, "a/b",
    "../..", ".", "A_B", "a b", "a\nb", "1" * 64, "*", "[]", "{}", "$(A)", "{{.}}", "/", "//",
    "http", "Always", "2026-01-01T00:00:00Z", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z",
    "127.0.0.1", "::1", "127.0.0.1/33", "999.1.1.1", "AAAA", "====", "(", "[a-", "(a+)+$", "^" * 50,
    ".spec.size", ".[0]", [], {}, [None], [[]], [{}], {"": ""}, {"a": None}, [1, "a", None],
    {"a": {"b": {"c": 1}}}, _DEEP,
)  # fmt: skip
KEYS = (
    "", "a", "name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "uid",
    "generateName", "resourceVersion", "deletionTimestamp", "creationTimestamp", "managedFields",
    "generation", "spec", "status", "metadata", "kind", "apiVersion", "items", "data", "$patch",
    "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "$ref",
    "x-kubernetes-validations", "ü", "a.b/c", "template", "selector", "replicas", "ports", "type",
)  # fmt: skip
DIRECTIVES = ("replace", "merge", "delete", "retainKeys", "", "x", 1, None)


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all values inside of a value."""
    children: object = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def at(value: object, path: tuple) -> object:
    """What is at a path."""
    for key in path:
        value = value[key]
    return value


def mutated(value: dict, chance: Random, times: int) -> dict:
    """A copy with some changes, each at a place of its own."""
    value = copy.deepcopy(value)
    for _ in range(times):
        found = list(places(value))
        if not found:
            return value
        path = chance.choice(found)
        chance.choice((_set, _set, _set, _remove, _add, _repeat, _wrap, _move))(
            at(value, path[:-1]), path[-1], value, chance
        )
    return value


def nasty(chance: Random) -> object:
    """A value that few expect."""
    return copy.deepcopy(chance.choice(VALUES))


def _set(parent, key, whole, chance: Random) -> None:
    parent[key] = nasty(chance)


def _remove(parent, key, whole, chance: Random) -> None:
    del parent[key]


def _add(parent, key, whole, chance: Random) -> None:
    target = parent[key] if isinstance(parent[key], dict) else parent
    if isinstance(target, dict):
        new = chance.choice(KEYS)
        target[new] = chance.choice(DIRECTIVES) if new == "$patch" else nasty(chance)
    else:
        target.append(nasty(chance))


def _repeat(parent, key, whole, chance: Random) -> None:
    if isinstance(parent, list):
        parent.extend(copy.deepcopy(parent[key]) for _ in range(chance.choice((1, 2, 50))))
    elif isinstance(parent[key], str):
        parent[key] *= chance.choice((2, 100))


def _wrap(parent, key, whole, chance: Random) -> None:
    parent[key] = chance.choice(([parent[key]], {"a": parent[key]}, str(parent[key])))


def _move(parent, key, whole, chance: Random) -> None:
    path = chance.choice(list(places(whole)))
    parent[key] = copy.deepcopy(at(whole, path))


def corrupted(content: bytes, chance: Random) -> bytes:
    """Bytes that are no longer what they were."""
    change = chance.randrange(7)
    place = chance.randrange(len(content) + 1)
    if change == 0:
        return content[:place]
    if change == 1:
        return content[:place] + bytes(chance.randrange(256) for _ in range(4)) + content[place:]
    if change == 2:
        return content[:place] + b"\xff\xfe\xc3\x28" + content[place:]
    if change == 3:
        return content + chance.choice((b"{}", b"]", b"\n---\n{}", b"\x00"))
    if change == 4:
        return b"[" * chance.choice((10, 2000, 100_000)) + content
    if change == 5:
        depth = chance.choice((10, 300, 900, 2000))
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        return content.replace(b"{", b'{"data":' + deep + b",", 1)
    return chance.choice(
        (b"", b"null", b"[]", b'""', b"k8s\x00" + content, b"a: &a [*a]", b"1e999")
    )


def json_patch(obj: dict, chance: Random) -> list:
    """Operations on an object, most of which can be carried out."""
    found = list(places(obj))
    operations = []
    for _ in range(chance.choice((1, 1, 2, 5))):
        pointer = _pointer(chance.choice(found)) if found else "/metadata"
        operation: dict = {
            "op": chance.choice(("add", "remove", "replace", "move", "copy", "test", "test", "x")),
            "path": chance.choice(
                (pointer, pointer, pointer + "/-", pointer + "/0", "", "a", "/~2")
            ),
            "value": chance.choice((nasty(chance), at(obj, chance.choice(found)) if found else 1)),
        }
        if operation["op"] in ("move", "copy"):
            operation["from"] = _pointer(chance.choice(found)) if found else "/"
        operations.append(mutated(operation, chance, int(chance.random() < 0.1)))
    return operations


def _pointer(path: tuple) -> str:
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def part(obj: dict, chance: Random) -> dict:
    """Some of an object's fields: what a merge patch or an apply might send."""
    result: dict = {}
    for key, value in obj.items():
        if chance.random() < 0.3:
            continue
        deeper = isinstance(value, dict) and chance.random() < 0.6
        result[key] = part(value, chance) if deeper else copy.deepcopy(value)
    return result
