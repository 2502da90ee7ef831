"""Resources inside of custom resources (`x-kubernetes-embedded-resource`) are resources.

Source: k8s.io/apiextensions-apiserver pkg/apiserver/schema/objectmeta.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labkit.apiserver import fields, names
from labkit.apiserver.custom.structural import EMBEDDED, child, occurs
from labkit.apiserver.fields import FieldError
from labkit.kube import schema as kube_schema

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def validate(obj: Mapping, schema: Mapping) -> list[FieldError]:
    """What is wrong with the resources inside of an object."""
    return list(_validate(obj, schema, ""))


def occur(schema: object) -> bool:
    """Whether a schema has resources inside of it."""
    return occurs(schema, lambda each: each.get(EMBEDDED))


def _validate(value: object, schema: Mapping | None, path: str) -> Iterator[FieldError]:
    if not schema:
        return
    if isinstance(value, Mapping):
        if schema.get(EMBEDDED):
            yield from _resource(value, path)
        known = schema.get("properties") or {}
        for key, item in value.items():
            below = (f"{path}.{key}" if path else key) if key in known else f"{path}[{key}]"
            yield from _validate(item, child(schema, key), below)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _validate(item, schema.get("items"), f"{path}[{index}]")


def _resource(value: Mapping, path: str) -> Iterator[FieldError]:
    for key in ("apiVersion", "kind"):
        place, text = f"{path}.{key}", value.get(key)
        if key not in value:
            yield fields.required(place)
        elif not isinstance(text, str):
            yield fields.invalid(place, text, "must be a string")
        elif not text:
            yield fields.invalid(place, text, "must not be empty")
        elif key == "kind" and (wrong := names.dns_label_1035(text.lower())):
            why = f"may have mixed case, but should otherwise match: {wrong}"
            yield fields.invalid(place, text, why)
        elif key == "apiVersion" and text.count("/") > 1:
            yield fields.invalid(place, text, f"unexpected GroupVersion string: {text}")
    if "metadata" in value:
        yield from _metadata(value["metadata"], f"{path}.metadata")


def _metadata(value: object, path: str) -> Iterator[FieldError]:
    try:
        kube_schema.decode(_OBJECT_META, value)
    except kube_schema.DecodeError as error:
        yield fields.invalid(path, value, str(error))
