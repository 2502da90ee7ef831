"""Whether the versions of a CustomResourceDefinition are right.

Source: k8s.io/apiextensions-apiserver pkg/apis/apiextensions/validation
(validateCustomResourceDefinitionVersion and what it calls).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from labkit.apiserver import fields, names
from labkit.apiserver.custom import definition_schema
from labkit.apiserver.custom.structural import child
from labkit.apiserver.fields import FieldError

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SELECTABLE_TYPES = ("string", "boolean", "integer")
_MAX_SELECTABLE = 8
_SIMPLE_PATH = re.compile(r"\.[a-zA-Z_][\w-]*(\.[a-zA-Z_][\w-]*)*")
# What a schema may say at its root where the subresource status splits it in two.
_AT_ROOT = {
    "description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum",
    "exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems",
    "multipleOf", "required", "items", "properties", "externalDocs", "example",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations",
}  # fmt: skip
_AT_ROOT_SHOWN = (
    "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength "
    "MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties "
    "ExternalDocs Example XPreserveUnknownFields XValidations]"
)


def validate(versions: Sequence[Mapping], path: str) -> Iterator[FieldError]:
    """What is wrong with `spec.versions`."""
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield fields.required(f"{path}[{index}].schema.openAPIV3Schema")
    for index, version in enumerate(versions):
        name = version.get("name") or ""
        if wrong := names.dns_label_1035(name):
            yield fields.invalid(f"{path}[{index}].name", name, wrong)
        yield from _version(version, f"{path}[{index}]")
    found = [version.get("name") for version in versions]
    if len(set(found)) != len(found):
        yield fields.invalid(path, versions, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        why = "must have exactly one version marked as storage version"
        yield fields.invalid(path, versions, why)


def _version(version: Mapping, path: str) -> Iterator[FieldError]:
    yield from _deprecation(version, f"{path}.deprecationWarning")
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    subresources = version.get("subresources") or {}
    if schema:
        place = f"{path}.schema.openAPIV3Schema"
        if subresources.get("status") is not None:
            yield from _root(schema, place)
        yield from definition_schema.validate(schema, place)
    if subresources.get("scale") is not None:
        yield from _scale(subresources["scale"], f"{path}.subresources.scale")
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        yield from _column(column, f"{path}.additionalPrinterColumns[{index}]")
    selectable = version.get("selectableFields") or ()
    yield from _selectable(selectable, schema, f"{path}.selectableFields")


def _deprecation(version: Mapping, path: str) -> Iterator[FieldError]:
    text = version.get("deprecationWarning")
    if text is None:
        return
    if not version.get("deprecated"):
        yield fields.invalid(path, text, "can only be set for deprecated versions")
    if len(text) > 256:
        yield fields.invalid(path, text, "must be <= 256 characters long")
    if not text:
        yield fields.invalid(path, text, "must not be an empty string")
    for index, character in enumerate(text):
        if not character.isprintable():
            why = "must only contain printable UTF-8 characters; non-printable character found at "
            yield fields.invalid(path, text, f"{why}index {index}")
            return


def _root(schema: Mapping, path: str) -> Iterator[FieldError]:
    ending = "at the root of the schema if the status subresource is enabled"
    for key, value in schema.items():
        if key == "type" and value != "object":
            why = f'only "object" is allowed as the type {ending}'
            yield fields.invalid(f"{path}.type", value, why)
            return
        if value and key not in _AT_ROOT:
            yield fields.invalid(path, schema, f"only {_AT_ROOT_SHOWN} fields are allowed {ending}")
            return


def _scale(scale: Mapping, path: str) -> Iterator[FieldError]:
    for name, roots in (("specReplicasPath", (".spec.",)), ("statusReplicasPath", (".status.",))):
        text = scale.get(name) or ""
        if not text:
            yield fields.required(f"{path}.{name}")
        else:
            yield from _path_under(text, roots, f"{path}.{name}")
    if text := scale.get("labelSelectorPath"):
        yield from _path_under(text, (".spec.", ".status."), f"{path}.labelSelectorPath")


def _path_under(text: str, roots: tuple[str, ...], path: str) -> Iterator[FieldError]:
    if not text.startswith("."):
        yield fields.invalid(path, text, "must be a simple json path starting with .")
    elif not text.startswith(roots):
        one = roots[0].rstrip(".") if len(roots) == 1 else "either .spec or .status"
        yield fields.invalid(path, text, f"should be a json path under {one}")


def _column(column: Mapping, path: str) -> Iterator[FieldError]:
    type, format, text = (column.get(key) or "" for key in ("type", "format", "jsonPath"))
    if not column.get("name"):
        yield fields.required(f"{path}.name")
    choices = f"must be one of {','.join(_COLUMN_TYPES)}"
    if not type:
        yield fields.required(f"{path}.type", choices)
    elif type not in _COLUMN_TYPES:
        yield fields.invalid(f"{path}.type", type, choices)
    if format and format not in _COLUMN_FORMATS:
        why = f"must be one of {','.join(_COLUMN_FORMATS)}"
        yield fields.invalid(f"{path}.format", format, why)
    if not text:
        yield fields.required(f"{path}.JSONPath")
    elif not text.startswith("."):
        why = "must be a simple json path starting with ."
        yield fields.invalid(f"{path}.JSONPath", text, why)


def _selectable(found: Sequence[Mapping], schema: Mapping, path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, one in enumerate(found):
        place, text = f"{path}[{index}].jsonPath", one.get("jsonPath") or ""
        if not text:
            yield fields.required(place)
            continue
        field = _field(schema, text)
        if field is None:
            why = "is an invalid path: does not refer to a valid field"
            yield fields.invalid(place, text, why)
            continue
        if text.startswith(".metadata."):
            yield fields.invalid(place, text, "must not point to fields in metadata")
        if field.get("type") not in _SELECTABLE_TYPES:
            why = "must point to a field of type string, boolean or integer. Enum string fields "
            yield fields.invalid(place, text, why + "and strings with formats are allowed.")
        if text in seen:
            yield fields.duplicate(place, text)
        seen.add(text)
    if len(seen) > _MAX_SELECTABLE:
        yield fields.too_many(path, len(seen), _MAX_SELECTABLE)


def _field(schema: Mapping, path: str) -> Mapping | None:
    """The schema at a dotted path, None where there is no such field."""
    if not _SIMPLE_PATH.fullmatch(path):
        return None
    found: Mapping | None = schema
    for part in path[1:].split("."):
        found = child(found, part) if found is not None else None
    return found
