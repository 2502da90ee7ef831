"""A custom resource's schema as a type: what server-side apply needs to merge by fields.

Source: k8s.io/kube-openapi pkg/schemaconv; documentation "Server-Side Apply", "Merge strategy".
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.custom.structural import EMBEDDED, INT_OR_STRING, PRESERVE
from labkit.kube import schema as kube_schema
from labkit.kube.schema import ANY, Type

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_STRING = Type("string", "string")


def type_of(schema: Mapping) -> Type:
    """The type of a whole resource."""
    return _resource(_type(schema))


def _resource(type: Type) -> Type:
    metadata = kube_schema.type_of(_OBJECT_META)
    known = {**type.fields, "apiVersion": _STRING, "kind": _STRING, "metadata": metadata}
    more = ANY if type is ANY else type.items  # what has no schema takes any field
    return Type("object", type.name, known, more, relation=type.relation)


def _type(schema: Mapping) -> Type:
    kind = schema.get("type")
    if schema.get(INT_OR_STRING):
        return Type("int-or-string", "intstr.IntOrString")
    if kind == "object":
        return _object(schema)
    if kind == "array":
        return _list(schema)
    return Type(kind, kind) if kind else ANY


def _object(schema: Mapping) -> Type:
    relation = "atomic" if schema.get("x-kubernetes-map-type") == "atomic" else ""
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        return Type("map", "map[string]", items=_type(more), relation=relation)
    known = {name: _type(field) for name, field in (schema.get("properties") or {}).items()}
    unknown = ANY if schema.get(PRESERVE) or more is True else None
    found = Type("object", "object", known, unknown, relation=relation)
    return _resource(found) if schema.get(EMBEDDED) else found


def _list(schema: Mapping) -> Type:
    items, relation = schema.get("items") or {}, schema.get("x-kubernetes-list-type") or ""
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    known = items.get("properties") or {}
    defaults = {key: known[key]["default"] for key in keys if "default" in known.get(key, {})}
    return Type(
        "list",
        "[]",
        items=_type(items),
        relation="" if relation == "atomic" else relation,
        list_keys=keys,
        key_defaults=defaults,
    )
