"""Kubernetes' own schemas as types: what may be where, and how lists merge.

The definitions are those of Kubernetes 1.36 in the package `kubernetes-validate`; nothing is
written by hand.  A `Type` is one Go type as it appears in JSON.  From it come

- `accepts`: a compiled check (jsonschema-rs) that an object needs no second look: all fields known,
  all values of the right type, no nulls, nothing empty;
- `decode`: the second look, which drops unknown fields, nulls and what is empty, and words what is
  wrong as Go's JSON decoder does;
- the merge keys of strategic merge patch (`labkit.kube.patch`).

Types are made on first use.  Left out: the schema's `required` and `enum`, since a kube-apiserver's
decoder does not know them either: its validation does, with better words.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import jsonschema_rs
import orjson

from labkit.kube import quantity, times

_FILE = "kubernetes-json-schema/v1.36.0-local/_definitions.json"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_OPEN = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"
_JSON_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_WRITTEN_EMPTY = {
    "v1.EndpointSlice": ("ports",),
    "v1.Role": ("rules",),
    "v1.ClusterRole": ("rules",),
    "v2.HorizontalPodAutoscalerStatus": ("currentMetrics",),
    "v1.ObjectMeta": ("managedFields",),  # not written, but an empty list asks for a new start
}
_INTEGERS = {"int32": 2**31, "int64": 2**63}
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"
# The published schemas leave out defaults; this is the only one that is part of a list's keys.
_KEY_DEFAULTS = {"protocol": "TCP"}
_AMOUNT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
_BYTES = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


@dataclass(frozen=True, slots=True, eq=False)
class Type:
    """One type.

    `kind` is object, map, list, string, integer, number, boolean, quantity, int-or-string, time,
    bytes or any.  `name` is the Go type.  `fields` are an object's, `items` a list's or a map's
    elements, or of what may be anything the type that it has if it is an object.  `merge_key` and
    `strategies` (merge, replace, retainKeys) tell how patches merge.

    `relation` tells how server-side apply merges: "atomic" is owned as a whole, a "set" by its
    values, a "map" by the elements that `list_keys` tell apart, where `key_defaults` stand in for
    a key that an element leaves out; "" is granular for objects and maps and atomic for lists.

    `keeps` are an object's lists and maps that are written even when they are empty; of all others
    Go makes no difference between empty and absent.
    """

    kind: str
    name: str = ""
    fields: dict[str, Type] = field(default_factory=dict)
    items: Type | None = None
    merge_key: str = ""
    strategies: frozenset[str] = frozenset()
    relation: str = ""
    list_keys: tuple[str, ...] = ()
    key_defaults: Mapping[str, object] = field(default_factory=dict)
    keeps: frozenset[str] = frozenset()


ANY = Type("any", "interface {}")


class DecodeError(ValueError):
    """A value has the wrong type; the message is Go's."""


def path() -> Path:
    """The file with the definitions; found without importing its package, which takes a second."""
    return Path(find_spec("kubernetes_validate").origin).parent / _FILE


@cache
def definitions() -> dict[str, dict]:
    """All definitions by name, without their descriptions.  Raises OSError if they are missing."""
    found = orjson.loads(path().read_bytes())["$defs"]
    for definition in found.values():
        definition.pop("description", None)
        for schema in definition.get("properties", {}).values():
            schema.pop("description", None)
    return found


@cache
def type_of(definition: str) -> Type:
    """The type of a definition, such as `io.k8s.api.apps.v1.Deployment`.  Raises KeyError."""
    return _definition(definition, {})


_made: dict[str, Type] = {}


def _definition(name: str, making: dict[str, Type]) -> Type:
    if name in _made:
        return _made[name]
    if name in making:
        return making[name]
    schema = definitions()[name]
    if name == _QUANTITY:
        result = Type("quantity", "resource.Quantity")
    elif name == _INT_OR_STRING:
        result = Type("int-or-string", "intstr.IntOrString")
    elif name.startswith(_JSON_SCHEMA + "Or"):  # a schema, or a boolean, or a list
        result = Type("any", _go_name(name), items=_definition(_JSON_SCHEMA, making))
    elif name == _OPEN or ("properties" not in schema and schema.get("format") is None):
        result = ANY if "additionalProperties" not in schema else _inline(schema, making)
    elif schema.get("format"):
        result = _scalar(schema)
    else:
        relation = "atomic" if schema.get("x-kubernetes-map-type") == "atomic" else ""
        keeps = frozenset((*schema.get("required", ()), *_WRITTEN_EMPTY.get(_go_name(name), ())))
        result = making[name] = Type("object", _go_name(name), relation=relation, keeps=keeps)
        for key, value in schema["properties"].items():
            result.fields[key] = _inline(value, making)
    _made[name] = result
    return result


def _go_name(definition: str) -> str:
    return ".".join(definition.split(".")[-2:])


def _inline(schema: Mapping, making: dict[str, Type]) -> Type:
    """The type of a property, with what the property itself says about merging."""
    if "$ref" in schema:
        result = _definition(schema["$ref"].removeprefix("#/$defs/"), making)
    elif "items" in schema:
        items = _inline(schema["items"], making)
        result = Type("list", f"[]{items.name}", items=items)
    elif "additionalProperties" in schema:
        items = _inline(schema["additionalProperties"], making)
        result = Type("map", f"map[string]{items.name}", items=items)
    else:
        result = _scalar(schema)
    strategy = schema.get("x-kubernetes-patch-strategy")
    strategies = frozenset(strategy.split(",")) if strategy else frozenset()
    relation, keys = _relation(schema, result, strategies)
    if not strategies and relation == result.relation:
        return result
    return Type(
        result.kind,
        result.name,
        result.fields,
        result.items,
        schema.get("x-kubernetes-patch-merge-key", ""),
        strategies,
        relation,
        keys,
        {key: _KEY_DEFAULTS[key] for key in keys if key in _KEY_DEFAULTS},
        result.keeps,
    )


def _relation(
    schema: Mapping, type: Type, strategies: frozenset[str]
) -> tuple[str, tuple[str, ...]]:
    """How server-side apply merges a property (k8s.io/kube-openapi pkg/schemaconv), and its keys.

    A list that says nothing of its own but has a merge key for patches is a map by that key.
    """
    if type.kind != "list":
        atomic = schema.get("x-kubernetes-map-type") == "atomic"
        return ("atomic" if atomic else type.relation), ()
    declared = schema.get("x-kubernetes-list-type")
    keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
    if declared or "merge" not in strategies:
        return ("" if declared == "atomic" else declared or ""), keys
    merge_key = schema.get("x-kubernetes-patch-merge-key")
    return ("map", (merge_key,)) if merge_key else ("set", ())


def _scalar(schema: Mapping) -> Type:
    kinds = schema.get("type", ())
    kind = next((k for k in ([kinds] if isinstance(kinds, str) else kinds) if k != "null"), "any")
    format = schema.get("format")
    if format == "date-time":
        return Type("time", "v1.Time")
    if format == "byte":
        return Type("bytes", "[]uint8")
    if kind == "integer":
        return Type("integer", format or "int64")
    names = {"string": "string", "boolean": "bool", "number": "float64", "object": "interface {}"}
    return Type(kind, names[kind]) if kind in names and kind != "object" else ANY


@cache
def _validator(definition: str):
    defs: dict[str, dict] = {}
    schema = _json_schema(type_of(definition), defs)
    return jsonschema_rs.validator_for({**schema, "$defs": defs})


def accepts(definition: str, obj: object) -> bool:
    """Whether `decode` would find nothing to drop and nothing wrong."""
    return _validator(definition).is_valid(obj)


def _json_schema(type: Type, defs: dict[str, dict]) -> dict:
    match type.kind:
        case "object":
            # One definition for each Go type, whichever way patches merge it.
            key = f"{type.name}-{id(type.fields)}"
            if key not in defs:
                defs[key] = {}
                properties = {
                    name: _json_schema(t, defs) | ({} if name in type.keeps else _some(t))
                    for name, t in type.fields.items()
                }
                defs[key] = {
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": False,
                }
            return {"$ref": f"#/$defs/{key}"}
        case "list":
            return {"type": "array", "items": _json_schema(type.items, defs)}
        case "map":
            return {"type": "object", "additionalProperties": _json_schema(type.items, defs)}
        case "integer":
            limit = _INTEGERS[type.name]
            return {"type": "integer", "minimum": -limit, "maximum": limit - 1}
        case "quantity":
            return {"anyOf": [{"type": "string", "pattern": _AMOUNT}, {"type": "number"}]}
        case "int-or-string":
            return {"type": ["integer", "string"]}
        case "time":
            return {"type": "string", "pattern": _TIME}
        case "bytes":
            return {"type": "string", "pattern": _BYTES}
        case "any" if type.items:
            return {"anyOf": [{"not": {"type": "object"}}, _json_schema(type.items, defs)]}
        case "any":
            return {}
    return {"type": type.kind}


def _some(type: Type) -> dict:
    """The schema's word for a list or a map that is not empty."""
    return {"list": {"minItems": 1}, "map": {"minProperties": 1}}.get(type.kind, {})


def decode(definition: str, obj: Mapping) -> tuple[dict, list[str]]:
    """`obj` without nulls and unknown fields, and the paths of the latter.  Raises DecodeError."""
    unknown: list[str] = []
    return _decode(type_of(definition), obj, "", "", "", unknown), unknown


def _decode(type: Type, value: object, path: str, field: str, struct: str, unknown: list) -> object:
    """`path` has list indexes, for unknown fields; `field` has none, as in Go's errors."""
    match type.kind:
        case "any":
            if type.items and isinstance(value, Mapping):
                return _decode(type.items, value, path, field, struct, [])
            return value
        case "object":
            _demand(isinstance(value, Mapping), value, type, field, struct)
            return _decode_object(type, value, path, field, unknown)
        case "map":
            _demand(isinstance(value, Mapping), value, type, field, struct)
            return {
                key: _decode(type.items, item, f"{path}.{key}", field, struct, unknown)
                for key, item in value.items()
                if item is not None
            }
        case "list":
            _demand(isinstance(value, list | tuple), value, type, field, struct)
            return [
                _decode(type.items, item, f"{path}[{index}]", field, struct, unknown)
                for index, item in enumerate(value)
                if item is not None or type.items.kind == "any"
            ]
    _check_scalar(type, value, field, struct)
    return value


def _decode_object(type: Type, value: Mapping, path: str, field: str, unknown: list) -> dict:
    result, name = {}, type.name.rpartition(".")[2]
    for key, item in value.items():
        inner = f"{path}.{key}" if path else key
        known = type.fields.get(key)
        if known is None:
            unknown.append(inner)
        elif item is not None:
            below = f"{field}.{key}" if field else key
            found = _decode(known, item, inner, below, name, unknown)
            if found or known.kind not in ("list", "map") or key in type.keeps:
                result[key] = found
    return result


def _check_scalar(type: Type, value: object, field: str, struct: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match type.kind:
        case "string" | "bytes" | "time":
            _demand(isinstance(value, str), value, type, field, struct)
        case "boolean":
            _demand(isinstance(value, bool), value, type, field, struct)
        case "number":
            _demand(is_number, value, type, field, struct)
        case "integer":
            _demand(is_number, value, type, field, struct)
            limit = _INTEGERS[type.name]
            if not isinstance(value, int) or not -limit <= value < limit:
                raise _wrong(f"number {value}", type.name, field, struct)
        case "int-or-string":
            _demand(isinstance(value, str) or is_number, value, type, field, struct)
    if check := _CHECKS.get(type.kind):
        check(value)


def _check_quantity(value: object) -> None:
    try:
        quantity.parse_quantity(value)
    except quantity.QuantityError:
        raise DecodeError(quantity.FORMAT_RULE) from None


def _check_time(value: str) -> None:
    try:
        if not re.match(_TIME, value):
            raise ValueError
        times.parse(value)
    except ValueError:
        raise DecodeError(
            f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" '
            'as "2006"'
        ) from None


def _check_bytes(value: str) -> None:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        bad = re.search(r"[^A-Za-z0-9+/]", value)
        at = bad.start() if bad else len(value) // 4 * 4
        raise DecodeError(f"illegal base64 data at input byte {at}") from None


_CHECKS = {"quantity": _check_quantity, "time": _check_time, "bytes": _check_bytes}
_JSON_NAMES = {str: "string", bool: "bool", int: "number", float: "number"}


def _demand(holds: bool, value: object, type: Type, field: str, struct: str) -> None:
    if not holds:
        shown = _JSON_NAMES.get(value.__class__)
        shown = shown or ("object" if isinstance(value, Mapping) else "array")
        raise _wrong(shown, type.name if type.kind != "bytes" else "[]uint8", field, struct)


def _wrong(shown: str, wanted: str, field: str, struct: str) -> DecodeError:
    place = f"Go struct field {struct}.{field}" if field else "Go value"
    return DecodeError(f"json: cannot unmarshal {shown} into {place} of type {wanted}")
