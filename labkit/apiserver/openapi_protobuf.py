"""The protobuf form of /openapi/v2, as far as anyone reads it.

kubectl before 1.29 asks this document, in protobuf alone, whether the server validates fields: for
each kind, whether PATCH knows the parameter `fieldValidation`.  So it holds the PATCH of every
resource and no definitions; with the JSON form and /openapi/v3 there are better sources for those.

Source: github.com/google/gnostic-models, OpenAPIv2.proto (the field numbers below).
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from labkit.apiserver.registration import Registration
from labkit.kube.resources import Resource

ASKED_FOR = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What clients ask for is no media type by the rules, for its `@`; answers are labelled so."""


def document(rows: Iterable[Registration]) -> bytes:
    """The Document message."""
    info = _field(1, "Kubernetes") + _field(2, "v1.36.0")
    paths = b"".join(_field(2, _path(row.resource)) for row in rows)
    return _field(1, "2.0") + _field(2, info) + _field(8, paths)


def _path(resource: Resource) -> bytes:
    """NamedPathItem{name, PathItem{patch}}."""
    path = resource.path("{namespace}" if resource.namespaced else None, "{name}")
    return _field(1, path) + _field(2, _field(8, _patch(resource)))


def _patch(resource: Resource) -> bytes:
    """Operation{parameters, vendor_extension}."""
    query = _field(2, "query") + _field(4, "fieldValidation") + _field(6, "string")
    # ParametersItem{Parameter{NonBodyParameter{QueryParameterSubSchema}}}
    parameter = _field(1, _field(2, _field(3, query)))
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    # NamedAny{name, Any{yaml}}; JSON is YAML.
    extension = _field(1, "x-kubernetes-group-version-kind")
    extension += _field(2, _field(2, orjson.dumps(kind)))
    return _field(8, parameter) + _field(13, extension)


def _field(number: int, content: bytes | str) -> bytes:
    """One length-delimited field."""
    data = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
