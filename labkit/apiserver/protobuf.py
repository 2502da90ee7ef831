"""Bodies in Kubernetes' protobuf encoding: from the wire to the same dicts that JSON gives.

Clients written in Go (kubectl since 1.32, client-go's typed clients) send protobuf for built-in
kinds and never ask whether the server reads it; they do accept JSON answers, so only bodies are
decoded.  A body is the magic `k8s\\0` and a `runtime.Unknown`: type, raw message.

The wire carries field numbers, which are in no schema but Kubernetes' IDL; `protobuf_fields` lists
them.  Names and types come from Kubernetes' definitions as everywhere else.  Go writes fields that
are not pointers even where they are unset, hence zero values of those are dropped, as JSON's
`omitempty` does.

A field that the table does not have is refused (415) rather than lost: the client can send JSON.

Source: k8s.io/apimachinery pkg/runtime/serializer/protobuf; protobuf.dev, "Encoding".
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

import orjson

from labkit.apiserver import statuses
from labkit.apiserver.protobuf_fields import FIELDS, INLINED
from labkit.client.errors import ApiError, status_error
from labkit.kube import schema as kube_schema
from labkit.kube import times

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_ANY_GROUP = ("DeleteOptions",)

Decoder = Callable[[bytes], object]


class Field(NamedTuple):
    """How to read one field.  An `inlined` message's fields are those of its parent."""

    name: str
    decode: Decoder | None  # None: a number, which is on the wire itself
    repeated: bool = False
    mapped: bool = False
    pointer: bool = False
    boolean: bool = False
    inlined: bool = False


def decode(body: bytes) -> dict:
    """The object in a body.  Raises ApiError 400 or 415."""
    if not body.startswith(_MAGIC):
        raise statuses.bad_request("the body of the request is not Kubernetes' protobuf")
    try:
        envelope = dict(_records(body[len(_MAGIC) :]))
        kind = {number: bytes(text).decode() for number, text in _records(envelope.get(1, b""))}
        api_version, name = kind.get(1, ""), kind.get(2, "")
        obj = _message(_definition(api_version, name), envelope.get(2, b""))
    except (IndexError, ValueError, TypeError) as error:
        raise statuses.bad_request(f"the request's protobuf is damaged: {error}") from None
    return {"apiVersion": api_version, "kind": name, **obj}


def _definition(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    name = f"io.k8s.api.{group.partition('.')[0] or 'core'}.{version}.{kind}"
    return f"{_META}.{kind}" if kind in _ANY_GROUP else name


def _refused(what: str) -> ApiError:
    message = f"protobuf is not read here for {what}: send application/json or application/yaml"
    return status_error(415, "UnsupportedMediaType", message)


def _records(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(field number, content) pairs of one message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        match tag & 7:
            case 0:
                value, position = _varint(data, position)
                yield tag >> 3, value
            case 2:
                length, position = _varint(data, position)
                if position + length > len(data):
                    raise ValueError("a field is longer than its message")
                yield tag >> 3, data[position : position + length]
                position += length
            case kind:
                raise ValueError(f"wire type {kind} does not occur in Kubernetes' API")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _message(definition: str, data: bytes) -> dict:
    plan = _plans().get(definition)
    if plan is None:
        raise _refused(definition.rpartition(".")[2])
    found: dict = {}
    for number, content in _records(data):
        field = plan.get(number)
        if field is None:
            raise _refused(f"field {number} of {definition.rpartition('.')[2]}")
        _put(found, field, content)
    return found


def _put(found: dict, field: Field, content: bytes | int) -> None:
    if field.mapped:
        entry = dict(_records(content))
        key = bytes(entry.get(1, b"")).decode()
        found.setdefault(field.name, {})[key] = field.decode(entry.get(2, b""))
        return
    value = _number(field, content) if field.decode is None else field.decode(content)
    if field.inlined:
        found.update(value)
    elif field.repeated:
        found.setdefault(field.name, []).append(value)
    elif field.pointer or isinstance(value, dict) or value:
        found[field.name] = value


def _number(field: Field, content: int) -> int | bool:
    return bool(content) if field.boolean else _signed(content)


def _time(data: bytes) -> str:
    parts = dict(_records(data))
    return times.rfc3339(_signed(parts[1])) if parts.get(1) else ""


def _micro_time(data: bytes) -> str:
    parts = dict(_records(data))
    return times.rfc3339_micro(_signed(parts[1]) + parts.get(2, 0) / 1e9) if parts.get(1) else ""


def _int_or_string(data: bytes) -> int | str:
    parts = dict(_records(data))
    return _text(parts.get(3, b"")) if parts.get(1) else _signed(parts.get(2, 0))


def _text(data: bytes) -> str:
    return data.decode()


_SPECIAL: Mapping[str, Decoder] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": lambda data: _text(
        dict(_records(data)).get(1, b"")
    ),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    f"{_META}.Time": _time,
    f"{_META}.MicroTime": _micro_time,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": lambda data: orjson.loads(
        dict(_records(data)).get(1, b"null")
    ),
    f"{_META}.FieldsV1": lambda data: orjson.loads(dict(_records(data)).get(1, b"{}")),
}


@cache
def _plans() -> dict[str, dict[int, Field]]:
    """For each message, its fields by number."""
    schemas = kube_schema.definitions()
    return {
        name: {
            number: _field(word, schemas[name]["properties"])
            for number, word in enumerate(words.split(), start=1)
            if word != "-"
        }
        for name, words in FIELDS.items()
    }


def _field(word: str, properties: Mapping[str, Mapping]) -> Field:
    if word.startswith("*"):
        inlined = {
            number: _field(inner, properties)
            for number, inner in enumerate(INLINED[word[1:]].split(), start=1)
            if inner != "-" and inner.rstrip("?") in properties
        }
        return Field(word, lambda data: _inlined(word[1:], inlined, data), inlined=True)
    name = word.rstrip("?")
    schema, pointer = properties[name], word.endswith("?")
    if _is(schema, "array"):
        return Field(name, _decoder(schema["items"]), repeated=True)
    if "additionalProperties" in schema:
        return Field(name, _decoder(schema["additionalProperties"]), mapped=True)
    return Field(name, _decoder(schema), pointer=pointer, boolean=_is(schema, "boolean"))


def _is(schema: Mapping, kind: str) -> bool:
    """Whether a schema is of `kind`, nullable or not."""
    kinds = schema.get("type", ())
    return kind == kinds or (isinstance(kinds, list) and kind in kinds)


def _inlined(what: str, plan: Mapping[int, Field], data: bytes) -> dict:
    found: dict = {}
    for number, content in _records(data):
        if number not in plan:
            raise _refused(f"field {number} of {what}")
        _put(found, plan[number], content)
    return found


def _decoder(schema: Mapping) -> Decoder | None:
    if reference := schema.get("$ref"):
        definition = reference.rpartition("/")[2]
        return _SPECIAL.get(definition) or (lambda data: _message(definition, data))
    if _is(schema, "array"):  # in a map, whose values cannot repeat: a message of items
        item = _decoder(schema["items"])
        return lambda data: [item(content) for _, content in _records(data)]
    if not _is(schema, "string"):
        return None
    if schema.get("format") == "byte":
        return lambda data: base64.b64encode(data).decode()
    return _text
