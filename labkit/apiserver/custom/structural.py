"""What a structural schema does to an object: it drops what it does not know, and fills in.

The schema is the definition's own `openAPIV3Schema`, as decoded JSON; the objects are changed in
place.  A schema of None knows nothing.  `apiVersion`, `kind` and `metadata` of the object itself,
and of each embedded resource (`x-kubernetes-embedded-resource`), are left alone by pruning.

Source: k8s.io/apiextensions-apiserver pkg/apiserver/schema/pruning and .../defaulting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

META_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
PRESERVE, EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
_NOTHING: Mapping = {}


def child(schema: Mapping, key: str) -> Mapping | None:
    """The schema of a field or of a map's value, None where it is not specified."""
    found = (schema.get("properties") or _NOTHING).get(key)
    if found is not None:
        return found
    more = schema.get("additionalProperties")
    return more if isinstance(more, Mapping) else None


def occurs(schema: object, test: Callable[[Mapping], object]) -> bool:
    """Whether `test` holds for a schema or for one inside of it."""
    if not isinstance(schema, Mapping):
        return False
    below = (schema.get("items"), schema.get("additionalProperties"))
    known = (schema.get("properties") or _NOTHING).values()
    return bool(test(schema)) or any(occurs(each, test) for each in (*below, *known))


def specifies(schema: Mapping, key: str) -> bool:
    """Whether a field may be there at all."""
    return key in (schema.get("properties") or _NOTHING) or bool(schema.get("additionalProperties"))


def prune(obj: dict, schema: Mapping) -> list[str]:
    """Drop what the schema of a whole resource does not specify; the paths of it, sorted."""
    return prune_value(obj, {**schema, EMBEDDED: True})


def prune_value(value: object, schema: Mapping) -> list[str]:
    """Drop what the schema of any value does not specify; the paths of it, sorted."""
    unknown: list[str] = []
    _prune(value, schema, "", unknown)
    return sorted(unknown)


def _prune(value: object, schema: Mapping | None, path: str, unknown: list[str]) -> None:
    if isinstance(value, dict):
        _prune_map(value, schema or _NOTHING, path, unknown)
    elif isinstance(value, list):
        items = schema.get("items") if schema else None
        if schema and schema.get(PRESERVE):
            items = {**(items or _NOTHING), PRESERVE: True}
        for index, item in enumerate(value):
            _prune(item, items, f"{path}[{index}]", unknown)


def _prune_map(value: dict, schema: Mapping, path: str, unknown: list[str]) -> None:
    preserve, embedded = schema.get(PRESERVE), schema.get(EMBEDDED)
    for key in list(value):
        if embedded and key in META_FIELDS:
            continue
        below = f"{path}.{key}" if path else key
        if specifies(schema, key):
            _prune(value[key], child(schema, key), below, unknown)
        elif not preserve:
            unknown.append(below)
            del value[key]


def drop_nulls(value: object, schema: Mapping | None) -> None:
    """Drop nulls of fields that are not nullable and have no default (else they get it)."""
    if isinstance(value, dict):
        for key in list(value):
            below = child(schema, key) if schema else None
            if value[key] is not None:
                drop_nulls(value[key], below)
            elif below is not None and not below.get("nullable") and below.get("default") is None:
                del value[key]
    elif isinstance(value, list):
        items = schema.get("items") if schema else None
        for item in value:
            drop_nulls(item, items)


def has_defaults(schema: Mapping | None) -> bool:
    """Whether there is a default anywhere."""
    if not isinstance(schema, Mapping):
        return False
    below = (schema.get("items"), schema.get("additionalProperties"))
    fields = (schema.get("properties") or _NOTHING).values()
    return "default" in schema or any(map(has_defaults, (*below, *fields)))


def default(value: object, schema: Mapping | None) -> None:
    """Fill in defaults where a field is missing, or null without being nullable."""
    if not schema:
        return
    if isinstance(value, dict):
        for key, field in (schema.get("properties") or _NOTHING).items():
            missing = key not in value or _is_unset(value[key], field)
            if missing and field.get("default") is not None:
                value[key] = deepcopy(field["default"])
        for key, item in value.items():
            below = child(schema, key)
            if _is_unset(item, below) and key not in (schema.get("properties") or _NOTHING):
                value[key] = item = deepcopy(below.get("default"))
            default(item, below)
    elif isinstance(value, list):
        items = schema.get("items")
        for index, item in enumerate(value):
            if _is_unset(item, items):
                value[index] = item = deepcopy(items.get("default"))
            default(item, items)


def _is_unset(value: object, schema: Mapping | None) -> bool:
    return value is None and schema is not None and not schema.get("nullable")
