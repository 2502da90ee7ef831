"""A custom resource's schema as OpenAPI, so that kubectl can explain and validate it.

The schema is the definition's own, completed by what all objects have; references are those of
Kubernetes' definitions (`labkit.apiserver.openapi`).  OpenAPI v2 cannot say all that a structural
schema can; what it cannot say is left out, so that kubectl does not refuse what the server accepts.

Source: k8s.io/apiextensions-apiserver pkg/controller/openapi/builder and .../openapi/v2.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.custom.kind import CustomKind
from labkit.apiserver.custom.structural import EMBEDDED, PRESERVE

_META = "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1"
_COMBINATIONS = ("allOf", "anyOf", "oneOf", "not")
_TYPE = {
    "apiVersion": "APIVersion defines the versioned schema of this representation of an object. "
    "Servers should convert recognized schemas to the latest internal value, and may reject "
    "unrecognized values. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
    "kind": "Kind is a string value representing the REST resource this object represents. Servers "
    "may infer this from the endpoint the client submits requests to. Cannot be updated. In "
    "CamelCase. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
}
_METADATA = (
    "Standard object's metadata. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_LIST_METADATA = (
    "Standard list metadata. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)


def schemas(kind: CustomKind, name: str, *, v2: bool) -> dict[str, dict]:
    """The definitions of a kind and of its list; `name` is the kind's definition."""
    spec, version = kind.definition["spec"], kind.version["name"]
    names = spec["names"]
    gvk = {"group": spec["group"], "version": version}
    one = {
        **_resource(kind, v2),
        "x-kubernetes-group-version-kind": [{**gvk, "kind": names["kind"]}],
    }
    documentation = "https://git.k8s.io/community/contributors/devel/sig-architecture/"
    items = {
        "type": "array",
        "items": {"$ref": f"#/$defs/{name}"},
        "description": f"List of {names['plural']}. More info: {documentation}api-conventions.md",
    }
    many = {
        "type": "object",
        "description": f"{names['listKind']} is a list of {names['kind']}",
        "required": ["items"],
        "properties": {**_type_meta(), "items": items, "metadata": _metadata("List")},
        "x-kubernetes-group-version-kind": [{**gvk, "kind": names["listKind"]}],
    }
    return {name: one, f"{name}List": many}


def _resource(kind: CustomKind, v2: bool) -> dict:
    schema = kind.schema
    if schema.get(PRESERVE) and (v2 or len(schema) == 1):
        # kubectl takes any property that is named for a sign that others are not allowed.
        return {"type": "object"}
    found = _v2(schema) if v2 else _embedded(schema, v2=False)
    known = {**found.get("properties", {}), **_type_meta(), "metadata": _metadata("Object")}
    return {**found, "properties": known}


def _type_meta() -> dict:
    return {key: {"type": "string", "description": text} for key, text in _TYPE.items()}


def _metadata(of: str) -> dict:
    description = _METADATA if of == "Object" else _LIST_METADATA
    return {"$ref": f"{_META}.{of}Meta", "description": description}


def _embedded(schema: Mapping, *, v2: bool) -> dict:
    """The schema with what resources inside of it have."""
    found = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            found[key] = _embedded(schema[key], v2=v2)
    if schema.get("properties"):
        found["properties"] = {k: _embedded(f, v2=v2) for k, f in schema["properties"].items()}
    if schema.get(EMBEDDED) and not (v2 and schema.get(PRESERVE)):
        known = {**found.get("properties", {}), **_type_meta(), "metadata": _metadata("Object")}
        needed = [*found.get("required", ()), "kind", "apiVersion"]
        found |= {"properties": known, "required": list(dict.fromkeys(needed))}
    return found


def _v2(schema: Mapping) -> dict:
    """The schema without what OpenAPI v2, or kubectl reading it, does not understand."""
    found = {key: value for key, value in schema.items() if key not in _COMBINATIONS}
    if found.pop("nullable", False) or schema.get(PRESERVE):
        found.pop("items", None)
        found.pop("properties", None)
        if schema.get("nullable") or schema.get("type") == "object":
            found.pop("type", None)
    if found.get("type") == "array" and "items" not in found:
        del found["type"]
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), Mapping):
            found[key] = _v2(found[key])
    if known := found.get("properties"):
        optional = {key for key, field in known.items() if field.get("nullable")}
        found["properties"] = {key: _v2(field) for key, field in known.items()}
        if needed := [key for key in found.pop("required", ()) if key not in optional]:
            found["required"] = needed
    return _embedded(found, v2=True)
