"""What a schema says against an object, in the words of upstream's validator.

An object that the compiled check (jsonschema-rs) accepts is not looked at any further.  What it
does not accept is walked, for the words: `spec.replicas in body must be of type integer: "string"`.

Invariant: the compiled check accepts nothing that the walk would refuse.  So it refuses every text
that has to have a format, and a schema of which it cannot say so (a format inside of `oneOf` or
`not`, a pattern that it cannot compile) has no compiled check.

Source: k8s.io/kube-openapi pkg/validation/validate and .../errors;
k8s.io/apiextensions-apiserver pkg/apiserver/validation (kubeOpenAPIResultToFieldErrors).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import jsonschema_rs
import orjson

from labkit.apiserver import fields
from labkit.apiserver.custom import formats
from labkit.apiserver.custom.structural import INT_OR_STRING
from labkit.apiserver.fields import FieldError
from labkit.kube import regexps

_ROOTLESS = "<nil>"  # how Go prints the path of an error that has none
_INT32 = (-(2**31), 2**31 - 1)


class Validator:
    """The check of one schema.  `path` is where its values are, such as `status`."""

    def __init__(self, schema: Mapping, path: str = "") -> None:
        self._schema, self._path = schema, path
        self._compiled = compiled(schema)

    def errors(self, value: object) -> list[FieldError]:
        """What is wrong with a value."""
        if self._compiled is not None and self._compiled.is_valid(value):
            return []
        return [_placed(error, self._path) for error in _validate(value, self._schema, "")]


def _placed(error: FieldError, path: str) -> FieldError:
    if error.path == _ROOTLESS or not path:
        return error
    return error._replace(path=f"{path}.{error.path}" if error.path else path)


# The compiled check.


def compiled(schema: Mapping):
    """A validator that may refuse too much, never too little; None where there is none."""
    try:
        return jsonschema_rs.validator_for(_json_schema(schema))
    except (_NotCompilable, ValueError):
        return None


class _NotCompilable(Exception):
    """The schema says something that means something else to JSON schema."""


_KEPT = (
    "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "multipleOf",
    "minProperties", "maxProperties", "required",
)  # fmt: skip


def _json_schema(schema: Mapping, exact: bool = False) -> dict:
    """The schema as JSON schema (draft 2020-12); `exact` may not refuse too much either."""
    numeric = schema.get("type") in ("integer", "number")
    if not numeric and formats.known(schema.get("format", ""), schema.get("type", "")):
        if exact:
            raise _NotCompilable
        return {"not": {}}
    result: dict = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("format") == "int32" and numeric:
        result["allOf"] = [{"minimum": _INT32[0], "maximum": _INT32[1]}]
    if types := _types(schema):
        result["type"] = [*types, "null"] if schema.get("nullable") else list(types)
    for key, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if key in schema:
            result[exclusive if schema.get(exclusive) else key] = schema[key]
    if schema.get("enum"):
        result["enum"] = schema["enum"]
    for key in ("allOf", "anyOf", "oneOf"):
        if schema.get(key):
            options = [_json_schema(one, exact or key == "oneOf") for one in schema[key]]
            result[key] = [*result.get(key, ()), *options]
    if schema.get("not") is not None:
        result["not"] = _json_schema(schema["not"], exact=True)
    if schema.get("properties"):
        known = schema["properties"].items()
        result["properties"] = {key: _json_schema(field, exact) for key, field in known}
    for key in ("additionalProperties", "items"):
        if isinstance(schema.get(key), Mapping):
            result[key] = _json_schema(schema[key], exact)
    if schema.get("additionalProperties") is False:
        result["additionalProperties"] = False
    return result


def _types(schema: Mapping) -> tuple[str, ...]:
    if schema.get(INT_OR_STRING):
        return ("integer", "string")
    return (schema["type"],) if schema.get("type") else ()


# The walk.


def _validate(value: object, schema: Mapping, path: str) -> Iterator[FieldError]:
    """In upstream's order: type, combinations, string, format, number, list, enum, object."""
    types = _types(schema)
    actual = _type_of(value)
    if value is None:
        if types and not schema.get("nullable"):
            yield _wrong_type(path, ",".join(types), "null")
        yield from _enum(value, schema, path)
        return
    if types and not _fits(value, actual, types) and not _only_format(value, schema):
        yield _wrong_type(path, ",".join(types), actual)
    yield from _combinations(value, schema, path)
    match actual:
        case "string":
            yield from _string(value, schema, path)
        case "integer" | "number":
            yield from _number(value, schema, path)
        case "array":
            yield from _list(value, schema, path)
    yield from _enum(value, schema, path)
    if actual == "object":
        yield from _object(value, schema, path)


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _fits(value: object, actual: str, types: Sequence[str]) -> bool:
    if actual in types or (actual == "integer" and "number" in types):
        return True
    return actual == "number" and "integer" in types and float(value).is_integer()


def _only_format(value: object, schema: Mapping) -> bool:
    """Upstream leaves a string or list with a known format to the check of the format."""
    known = formats.known(schema.get("format", ""), schema.get("type", ""))
    numeric = schema.get("type") in ("integer", "number")
    return known and not numeric and isinstance(value, str | list)


def _string(value: str, schema: Mapping, path: str) -> Iterator[FieldError]:
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield fields.too_long(_place(path), schema["maxLength"])
    elif "minLength" in schema and len(value) < schema["minLength"]:
        yield _wrong(path, value, f"should be at least {schema['minLength']} chars long")
    elif schema.get("pattern") and not regexps.compile(schema["pattern"]).search(value):
        yield _wrong(path, value, f"should match '{schema['pattern']}'")
    name = schema.get("format", "")
    test = formats.check(name) if name and schema.get("type", "string") == "string" else None
    if test and not test(value):
        yield _wrong_type(path, name, value)


def _number(value: int | float, schema: Mapping, path: str) -> Iterator[FieldError]:
    integer = schema.get("type") == "integer"
    if integer and schema.get("format") == "int32" and not _INT32[0] <= value <= _INT32[1]:
        why = f"Checked value must be of type integer with format int32 in {path}"
        yield fields.invalid(_ROOTLESS, "", why)
    if (factor := schema.get("multipleOf")) and value % factor:
        yield _wrong(path, value, f"should be a multiple of {_go(factor)}")
    if (limit := schema.get("maximum")) is not None:
        exclusive = schema.get("exclusiveMaximum")
        if value > limit or (exclusive and value == limit):
            words = "less than" if exclusive else "less than or equal to"
            yield _wrong(path, value, f"should be {words} {_go(limit)}")
    if (limit := schema.get("minimum")) is not None:
        exclusive = schema.get("exclusiveMinimum")
        if value < limit or (exclusive and value == limit):
            words = "greater than" if exclusive else "greater than or equal to"
            yield _wrong(path, value, f"should be {words} {_go(limit)}")


def _list(value: list, schema: Mapping, path: str) -> Iterator[FieldError]:
    if isinstance(items := schema.get("items"), Mapping):
        for index, item in enumerate(value):
            yield from _validate(item, items, f"{path}[{index}]")
    size = len(value)
    if "minItems" in schema and size < schema["minItems"]:
        yield _wrong(path, size, f"should have at least {schema['minItems']} items")
    if "maxItems" in schema and size > schema["maxItems"]:
        yield fields.too_many(_place(path), size, schema["maxItems"])


def _enum(value: object, schema: Mapping, path: str) -> Iterator[FieldError]:
    values = schema.get("enum")
    if values and not any(one == value and _type_of(one) == _type_of(value) for one in values):
        shown = [one if isinstance(one, str) else orjson.dumps(one).decode() for one in values]
        yield fields.unsupported(_place(path), value, shown, in_order=True)


def _object(value: Mapping, schema: Mapping, path: str) -> Iterator[FieldError]:
    size, known = len(value), schema.get("properties") or {}
    if "minProperties" in schema and size < schema["minProperties"]:
        yield _wrong(path, size, f"should have at least {schema['minProperties']} properties")
    if "maxProperties" in schema and size > schema["maxProperties"]:
        yield fields.too_many(_place(path), size, schema["maxProperties"])
    more = schema.get("additionalProperties")
    for key, item in value.items():
        if key not in known and isinstance(more, Mapping):
            yield from _validate(item, more, f"{path}.{key}")
        elif key not in known and more is False:
            yield fields.invalid(_place(path), key, f"{path}.{key} in body is a forbidden property")
    for key, field in known.items():
        if key in value:
            yield from _validate(value[key], field, f"{path}.{key}" if path else key)
    for key in schema.get("required") or ():
        if key not in value:
            yield fields.required(_place(f"{path}.{key}"))


def _combinations(value: object, schema: Mapping, path: str) -> Iterator[FieldError]:
    """anyOf, oneOf, allOf, not.  Of what fails, upstream also tells the best attempt."""
    shown = f'"{path}"'
    if options := schema.get("anyOf"):
        attempts = [list(_validate(value, option, path)) for option in options]
        if all(attempts):
            yield _combined(f"{shown} must validate at least one schema (anyOf)")
            yield from attempts[0]
    if options := schema.get("oneOf"):
        attempts = [list(_validate(value, option, path)) for option in options]
        valid = sum(not attempt for attempt in attempts)
        if valid != 1:
            found = f"Found {valid} valid alternatives" if valid else "Found none valid"
            yield _combined(f"{shown} must validate one and only one schema (oneOf). {found}")
            yield from attempts[0] if not valid else ()
    if options := schema.get("allOf"):
        attempts = [list(_validate(value, option, path)) for option in options]
        for attempt in attempts:
            yield from attempt
        if any(attempts):
            none = ". None validated" if all(attempts) else ""
            yield _combined(f"{shown} must validate all the schemas (allOf){none}")
    rule = schema.get("not")
    if rule is not None and not list(_validate(value, rule, path)):
        yield _combined(f"{shown} must not validate the schema (not)")


def _combined(why: str) -> FieldError:
    return fields.invalid(_ROOTLESS, "", why)


def _place(path: str) -> str:
    return path.removeprefix(".")


def _wrong(path: str, value: object, rule: str) -> FieldError:
    return fields.invalid(_place(path), value, f"{path} in body {rule}")


def _wrong_type(path: str, wanted: str, actual: str) -> FieldError:
    why = f'{path} in body must be of type {wanted}: "{actual}"'
    return fields.invalid(_place(path), actual, why)._replace(reason="FieldValueTypeInvalid")


def _go(number: int | float) -> str:
    """A number as Go's %v prints it."""
    return str(int(number)) if float(number).is_integer() else repr(number)
