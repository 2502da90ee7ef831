"""Whether the schema of a CustomResourceDefinition's version is right.

Source: k8s.io/apiextensions-apiserver pkg/apis/apiextensions/validation
(ValidateCustomResourceDefinitionOpenAPISchema), pkg/apiserver/schema/defaulting (ValidateDefaults).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace

from labkit.apiserver import fields
from labkit.apiserver.custom import definition_structure, formats, rules, structural
from labkit.apiserver.custom.structural import EMBEDDED, META_FIELDS, PRESERVE
from labkit.apiserver.custom.values import Validator
from labkit.apiserver.fields import FieldError

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LIST_TYPE, _LIST_KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
_MAP_TYPE, _RULES = "x-kubernetes-map-type", "x-kubernetes-validations"
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_UNSUPPORTED = (
    ("id", "id is not supported"),
    ("additionalItems", "additionalItems is not supported"),
    ("patternProperties", "patternProperties is not supported"),
    ("definitions", "definitions is not supported"),
    ("dependencies", "dependencies is not supported"),
    ("$ref", "$ref is not supported"),
)


@dataclass(frozen=True)
class _Place:
    """Where in the schema: `no_default` says why there may be no defaults, if there may not."""

    path: str
    root: bool = False
    no_default: str | None = None
    in_metadata: bool = False


def validate(schema: Mapping, path: str) -> list[FieldError]:
    """What is wrong with an `openAPIV3Schema`."""
    errors = []
    if schema.get("nullable"):
        errors.append(fields.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    errors += definition_structure.validate(schema, path) or _defaults(schema, path)
    errors += _schema(schema, _Place(path, root=True))
    return errors or list(_rules(schema, path))


def _rules(schema: Mapping, path: str) -> Iterator[FieldError]:
    """The expressions, which are looked at where all else is right."""
    for index, rule in enumerate(schema.get(_RULES) or ()):
        yield from rules.wrong(rule, f"{path}.{_RULES}[{index}]")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from _rules(schema[key], f"{path}.{key}")
    for key, field in (schema.get("properties") or {}).items():
        yield from _rules(field, f"{path}.properties[{key}]")


def warnings(schema: Mapping) -> Iterator[str]:
    """What is right but will not do what its author may expect."""
    for one in _all(schema):
        name, type = one.get("format"), one.get("type", "")
        if name and not formats.known(name, type):
            yield f'unrecognized format "{name}"'


def _all(schema: object) -> Iterator[Mapping]:
    if not isinstance(schema, Mapping):
        return
    yield schema
    for key in ("items", "not", "additionalProperties"):
        yield from _all(schema.get(key))
    for key in ("allOf", "anyOf", "oneOf"):
        for one in schema.get(key) or ():
            yield from _all(one)
    for one in (schema.get("properties") or {}).values():
        yield from _all(one)


def _defaults(schema: Mapping, path: str) -> list[FieldError]:
    """Defaults are what the schema itself would accept."""
    errors = []
    if schema.get("default") is not None:
        errors += _default(schema, schema["default"], f"{path}.default")
    if isinstance(schema.get("items"), Mapping):
        errors += _defaults(schema["items"], f"{path}.items")
    for key, field in (schema.get("properties") or {}).items():
        errors += _defaults(field, f"{path}.properties[{key}]")
    return errors


def _default(schema: Mapping, value: object, path: str) -> list[FieldError]:
    pruned = deepcopy(value)
    structural.prune_value(pruned, schema)
    errors = []
    if pruned != value:
        errors.append(fields.invalid(path, value, "must not have unknown fields"))
    return errors + Validator(schema, path).errors(value)


def _schema(schema: Mapping, at: _Place) -> Iterator[FieldError]:
    yield from _standard(schema, at)
    yield from _properties(schema, at)
    for key in ("allOf", "anyOf", "oneOf"):
        for index, one in enumerate(schema.get(key) or ()):
            yield from _schema(one, replace(at, path=f"{at.path}.{key}[{index}]", root=False))
    for key in ("not", "items"):
        if isinstance(schema.get(key), Mapping):
            yield from _schema(schema[key], replace(at, path=f"{at.path}.{key}", root=False))
    if schema.get(PRESERVE) is False:
        yield fields.invalid(f"{at.path}.{PRESERVE}", False, "must be true or undefined")
    yield from _map_type(schema, at.path)
    yield from _list_type(schema, at.path)
    for index, rule in enumerate(schema.get(_RULES) or ()):
        yield from _rule(rule, f"{at.path}.{_RULES}[{index}]")


def _standard(schema: Mapping, at: _Place) -> Iterator[FieldError]:
    path, type = at.path, schema.get("type", "")
    if type and type not in _TYPES:
        yield fields.unsupported(f"{path}.type", type, _TYPES)
    if schema.get("default") is not None and at.no_default is not None:
        yield fields.forbidden(f"{path}.default", f"must not be set {at.no_default}".strip())
    for key, why in _UNSUPPORTED:
        if schema.get(key) or (key in ("additionalItems", "dependencies") and key in schema):
            yield fields.forbidden(f"{path}.{key}", why)
    if type == "null":
        why = "type cannot be set to null, use nullable as an alternative"
        yield fields.forbidden(f"{path}.type", why)
    if not isinstance(schema.get("items", {}), Mapping):
        yield fields.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if not isinstance(schema.get("additionalProperties", {}), Mapping | bool):
        yield fields.forbidden(f"{path}.additionalProperties", "must be a schema or a boolean")
    if at.in_metadata and schema.get(EMBEDDED):
        yield fields.forbidden(f"{path}.{EMBEDDED}", "must not be used inside of resource meta")
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield fields.forbidden(f"{path}.uniqueItems", why)


def _properties(schema: Mapping, at: _Place) -> Iterator[FieldError]:
    more, known = schema.get("additionalProperties"), schema.get("properties") or {}
    if more is not None and known and more is not True:
        why = "additionalProperties and properties are mutual exclusive"
        yield fields.forbidden(f"{at.path}.additionalProperties", why)
    if isinstance(more, Mapping):
        below = replace(at, path=f"{at.path}.additionalProperties", root=False)
        if at.in_metadata:
            why = "inside additionalProperties applying to object metadata"
            below = replace(below, no_default=why)
        yield from _schema(more, below)
    for key, field in known.items():
        below = replace(at, path=f"{at.path}.properties[{key}]", root=False)
        if (at.root or schema.get(EMBEDDED)) and key in META_FIELDS:
            no_default = f"in top-level {key}" if at.root else at.no_default
            below = replace(below, in_metadata=True, no_default=no_default)
        yield from _schema(field, below)


def _map_type(schema: Mapping, path: str) -> Iterator[FieldError]:
    kind, type = schema.get(_MAP_TYPE), schema.get("type", "")
    if kind is None:
        return
    if type != "object":
        why = f"must be object if {_MAP_TYPE} is specified"
        place = f"{path}.type"
        yield fields.invalid(place, type, why) if type else fields.required(place, why)
    if kind not in ("atomic", "granular"):
        yield fields.unsupported(f"{path}.{_MAP_TYPE}", kind, ("atomic", "granular"))


def _list_type(schema: Mapping, path: str) -> Iterator[FieldError]:
    kind, type = schema.get(_LIST_TYPE), schema.get("type", "")
    keys, items = schema.get(_LIST_KEYS) or (), schema.get("items")
    if kind is not None and type != "array":
        why = f"must be array if {_LIST_TYPE} is specified"
        place = f"{path}.type"
        yield fields.invalid(place, type, why) if type else fields.required(place, why)
    elif kind == "set" and isinstance(items, Mapping):
        yield from _set_items(items, f"{path}.items")
    if kind is not None and kind not in ("atomic", "set", "map"):
        choices = ("atomic", "set", "map")
        yield fields.unsupported(f"{path}.{_LIST_TYPE}", kind, choices, in_order=True)
    if keys and kind != "map":
        why = f"must be map if {_LIST_KEYS} is non-empty"
        place = f"{path}.{_LIST_TYPE}"
        yield fields.required(place, why) if kind is None else fields.invalid(place, kind, why)
    if kind == "map":
        yield from _map_keys(keys, items, path)
    if kind in ("set", "map") and isinstance(items, Mapping) and items.get("nullable"):
        why = f"cannot be nullable when {_LIST_TYPE} is {kind}"
        yield fields.forbidden(f"{path}.items.nullable", why)


def _set_items(items: Mapping, path: str) -> Iterator[FieldError]:
    why = f"must be atomic as item of a list with {_LIST_TYPE}=set"
    if items.get("type") == "array" and items.get(_LIST_TYPE, "atomic") != "atomic":
        yield fields.invalid(f"{path}.{_LIST_TYPE}", items[_LIST_TYPE], why)
    if items.get("type") == "object" and items.get(_MAP_TYPE) != "atomic":
        yield fields.invalid(f"{path}.{_MAP_TYPE}", items.get(_LIST_TYPE), why)


def _map_keys(keys: list, items: object, path: str) -> Iterator[FieldError]:
    place = f"{path}.{_LIST_KEYS}"
    if not keys:
        yield fields.required(place, f"must not be empty if {_LIST_TYPE} is map")
    if not isinstance(items, Mapping):
        if items is None:
            why = f"must have a schema if {_LIST_TYPE} is map"
            yield fields.required(f"{path}.items", why)
        return
    if items.get("type") != "object":
        why = f"must be object if parent array's {_LIST_TYPE} is map"
        yield fields.invalid(f"{path}.items.type", items.get("type", ""), why)
        return
    known, needed = items.get("properties") or {}, items.get("required") or ()
    for index, key in enumerate(keys):
        field = known.get(key)
        at = f"{path}.items.properties[{key}]"
        if field is None:
            yield fields.invalid(place, list(keys), "entries must all be names of item properties")
        elif field.get("type") in ("array", "object"):
            why = f"must be a scalar type if parent array's {_LIST_TYPE} is map"
            yield fields.invalid(f"{at}.type", items["type"], why)
        if key in keys[:index]:
            yield fields.invalid(place, list(keys), "must not contain duplicate entries")
        if field is not None and key not in needed and field.get("default") is None:
            why = f"this property is in {_LIST_KEYS}, so it must have a default or be a required "
            yield fields.required(f"{at}.default", f"{why}property")
        if field is not None and field.get("nullable"):
            why = f"this property is in {_LIST_KEYS}, so it cannot be nullable"
            yield fields.forbidden(f"{at}.nullable", why)


def _rule(rule: Mapping, path: str) -> Iterator[FieldError]:
    """The form of a validation rule; what its expression means is another matter."""
    text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
    if not text:
        yield fields.required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield fields.invalid(f"{path}.message", message, "must be non-empty if specified")
    elif _has_newlines(message.strip()):
        yield fields.invalid(f"{path}.message", message, "must not contain line breaks")
    elif _has_newlines(text) and not message.strip():
        why = "message must be specified if rule contains line breaks"
        yield fields.required(f"{path}.message", why)
    expression = rule.get("messageExpression") or ""
    if expression and not expression.strip():
        why = "messageExpression must be non-empty if specified"
        yield fields.required(f"{path}.messageExpression", why)
    if rule.get("reason") is not None and rule["reason"] not in _REASONS:
        yield fields.unsupported(f"{path}.reason", rule["reason"], _REASONS)
    place = rule.get("fieldPath") or ""
    if place and not place.strip():
        yield fields.invalid(f"{path}.fieldPath", place, "must be non-empty if specified")
    if _has_newlines(place):
        yield fields.invalid(f"{path}.fieldPath", place, "must not contain line breaks")


def _has_newlines(text: str) -> bool:
    return "\n" in text or "\r" in text
