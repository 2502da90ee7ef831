"""Lists that are sets or maps (`x-kubernetes-list-type`) have no duplicates.

Source: k8s.io/apiextensions-apiserver pkg/apiserver/schema/listtype.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import orjson

from labkit.apiserver import fields
from labkit.apiserver.custom.structural import child, occurs
from labkit.apiserver.fields import FieldError


def validate(obj: Mapping, schema: Mapping) -> list[FieldError]:
    """The duplicates of a whole object."""
    return list(_validate(obj, schema, ""))


def occur(schema: object) -> bool:
    """Whether a schema has sets or maps."""
    return occurs(schema, lambda each: "x-kubernetes-list-type" in each)


def _validate(value: object, schema: Mapping | None, path: str) -> Iterator[FieldError]:
    if not schema:
        return
    if isinstance(value, Mapping):
        known = schema.get("properties") or {}
        for key, item in value.items():
            if isinstance(item, dict | list):
                below = f"{path}.{key}" if path else key
                yield from _validate(
                    item, child(schema, key), below if key in known else f"{path}[{key}]"
                )
    elif isinstance(value, list):
        yield from _list(value, schema, path)
        for index, item in enumerate(value):
            yield from _validate(item, schema.get("items"), f"{path}[{index}]")


def _list(values: list, schema: Mapping, path: str) -> Iterator[FieldError]:
    match schema.get("x-kubernetes-list-type"):
        case "set":
            keys = values
        case "map":
            for index, item in enumerate(values):
                if item is not None and not isinstance(item, Mapping):
                    why = "must be an object for an array of list-type map"
                    yield fields.invalid(f"{path}[{index}]", item, why)
                    return
            names = schema.get("x-kubernetes-list-map-keys") or ()
            keys = [{name: item[name] for name in names if name in (item or ())} for item in values]
        case _:
            return
    for index in _repeated(keys):
        yield fields.duplicate(f"{path}[{index}]", keys[index])


def _repeated(keys: list) -> Iterator[int]:
    """The index of the second appearance of each key."""
    seen: Counter[bytes] = Counter()
    for index, key in enumerate(keys):
        text = orjson.dumps(key, option=orjson.OPT_SORT_KEYS)
        seen[text] += 1
        if seen[text] == 2:
            yield index
