"""Whether a schema is structural: every field typed, combinations only restrict.

Structural is what lets a server prune and default without asking: the types of all fields are
outside of `allOf`, `anyOf`, `oneOf` and `not`, which may then say more of values, but never of
structure.

Source: k8s.io/apiextensions-apiserver pkg/apiserver/schema (validation.go, complete.go);
documentation "Specifying a structural schema".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from labkit.apiserver import fields
from labkit.apiserver.custom.structural import EMBEDDED, INT_OR_STRING, PRESERVE
from labkit.apiserver.fields import FieldError
from labkit.kube import regexps

_INT_OR_STRING_OPTIONS = [{"type": "integer"}, {"type": "string"}]
_TYPE_REQUIRED = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_FORBIDDEN_NESTED = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (PRESERVE, "must be false to be structural"),
    (EMBEDDED, "must be false to be structural"),
    (INT_OR_STRING, "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def validate(schema: Mapping, path: str) -> list[FieldError]:
    """What is not structural about a definition's schema, sorted as upstream sorts it."""
    errors = [*_invariants(schema, "root", path), *_complete(schema, schema, path, path)]
    return sorted(errors, key=str)


def _invariants(schema: Mapping, level: str, path: str) -> Iterator[FieldError]:
    items, more = schema.get("items"), schema.get("additionalProperties")
    if schema.get("type") == "array" and items is None:
        yield fields.required(f"{path}.items", "must be specified")
    if isinstance(items, Mapping):
        yield from _invariants(items, "item", f"{path}.items")
    for key, field in (schema.get("properties") or {}).items():
        yield from _invariants(field, "field", f"{path}.properties[{key}]")
    if more is not None and level == "root":
        yield fields.forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(more, Mapping):
        yield from _invariants(more, "field", f"{path}.additionalProperties")
    yield from _extensions(schema, path)
    yield from _value_validation(schema, level, path)
    yield from _types(schema, level, path)
    yield from _metadata(schema, level, path)


def _extensions(schema: Mapping, path: str) -> Iterator[FieldError]:
    for other in (PRESERVE, EMBEDDED):
        if schema.get(INT_OR_STRING) and schema.get(other):
            why = "must be false if x-kubernetes-int-or-string is true"
            yield fields.invalid(f"{path}.{other}", True, why)


def _types(schema: Mapping, level: str, path: str) -> Iterator[FieldError]:
    type, embedded = schema.get("type", ""), schema.get(EMBEDDED)
    place = f"{path}.type"
    if embedded and type != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        yield fields.invalid(place, type, why) if type else fields.required(place, why)
    elif not type and not schema.get(INT_OR_STRING) and not schema.get(PRESERVE):
        yield fields.required(place, _TYPE_REQUIRED[level])
    if embedded and schema.get("additionalProperties") is not None:
        why = "must not be used if x-kubernetes-embedded-resource is set"
        yield fields.forbidden(f"{path}.additionalProperties", why)
    if level == "root" and type and type != "object":
        yield fields.invalid(place, type, "must be object at the root")
    if embedded and not schema.get(PRESERVE) and not schema.get("properties"):
        why = "must not be empty if x-kubernetes-embedded-resource is true without "
        yield fields.required(f"{path}.properties", f"{why}{PRESERVE}")


def _metadata(schema: Mapping, level: str, path: str) -> Iterator[FieldError]:
    """A schema says nothing of `metadata` but of `name` and `generateName`."""
    known, resource = schema.get("properties") or {}, level == "root" or schema.get(EMBEDDED)
    for key in ("kind", "apiVersion"):
        if resource and key in known and known[key].get("type") != "string":
            place = f"{path}.properties[{key}].type"
            yield fields.invalid(place, known[key].get("type", ""), "must be string")
    metadata = known.get("metadata")
    if metadata is None or not resource:
        return
    place = f"{path}.properties[metadata]"
    if metadata.get("type") != "object":
        yield fields.invalid(f"{place}.type", metadata.get("type", ""), "must be object")
    said = {key for key, value in metadata.items() if value and key not in ("type", "description")}
    names = set(metadata.get("properties") or {})
    if level == "root" and (said - {"properties"} or names - {"name", "generateName"}):
        why = "must not specify anything other than name and generateName, but metadata is "
        yield fields.forbidden(place, why + "implicitly specified")


def _value_validation(
    schema: Mapping, level: str, path: str, *, skip_any: bool | None = None
) -> Iterator[FieldError]:
    """`skip_any` passes over an `anyOf` that spells out x-kubernetes-int-or-string."""
    any_of, all_of = schema.get("anyOf") or (), schema.get("allOf") or ()
    if skip_any is None:
        skip_any = any_of == _INT_OR_STRING_OPTIONS
    for index, one in enumerate(() if skip_any else any_of):
        yield from _nested(one, level, f"{path}.anyOf[{index}]")
    for index, one in enumerate(all_of):
        skip = index == 0 and one.get("anyOf") == _INT_OR_STRING_OPTIONS
        yield from _nested(one, level, f"{path}.allOf[{index}]", skip_any=skip)
    for index, one in enumerate(schema.get("oneOf") or ()):
        yield from _nested(one, level, f"{path}.oneOf[{index}]")
    if isinstance(schema.get("not"), Mapping):
        yield from _nested(schema["not"], level, f"{path}.not")
    try:
        regexps.compile(schema.get("pattern") or "")
    except re.error as error:
        why = f"must be a valid regular expression, but isn't: {error}"
        yield fields.invalid(f"{path}.pattern", schema["pattern"], why)


def _nested(
    schema: Mapping, level: str, path: str, *, skip_any: bool = False
) -> Iterator[FieldError]:
    yield from _value_validation(schema, level, path, skip_any=skip_any)
    if isinstance(schema.get("items"), Mapping):
        yield from _nested(schema["items"], level, f"{path}.items")
    known = schema.get("properties") or {}
    for key, field in known.items():
        yield from _nested(field, "field", f"{path}.properties[{key}]")
    for key, why in _FORBIDDEN_NESTED:
        if schema.get(key) or (key in ("default", "additionalProperties") and key in schema):
            yield fields.forbidden(f"{path}.{key}", why)
    if "metadata" in known:
        place = f"{path}.properties[metadata]"
        yield fields.forbidden(place, "must not be specified in a nested context")


def _complete(
    nested: Mapping, schema: Mapping | None, path: str, said: str
) -> Iterator[FieldError]:
    """What combinations (at `said`) restrict is a field of the schema itself (at `path`)."""
    for key in ("allOf", "anyOf", "oneOf"):
        for index, one in enumerate(nested.get(key) or ()):
            yield from _complete_nested(one, schema, path, f"{said}.{key}[{index}]")
    if isinstance(nested.get("not"), Mapping):
        yield from _complete_nested(nested["not"], schema, path, f"{said}.not")


def _complete_nested(
    nested: Mapping, schema: Mapping | None, path: str, said: str
) -> Iterator[FieldError]:
    if schema is None:
        yield fields.required(path, f"because it is defined in {said}")
        return
    yield from _complete(nested, schema, path, said)
    if isinstance(nested.get("items"), Mapping):
        items = schema.get("items")
        yield from _complete_nested(nested["items"], items, f"{path}.items", f"{said}.items")
    known = schema.get("properties") or {}
    for key, field in (nested.get("properties") or {}).items():
        place, there = f"{path}.properties[{key}]", f"{said}.properties[{key}]"
        yield from _complete_nested(field, known.get(key), place, there)
