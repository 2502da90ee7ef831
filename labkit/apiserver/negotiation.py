"""Which form a body has, and which form an answer takes.

Bodies are JSON, YAML or protobuf.  Answers are JSON or YAML, of the object itself, of a Table, or
of its metadata alone; clients that prefer protobuf name JSON as their second choice.

Source: Kubernetes API concepts, "Alternate representations of resources" and "Receiving resources
as Tables"; k8s.io/apiserver pkg/endpoints/handlers/negotiation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
import yaml

from labkit.apiserver import protobuf, statuses
from labkit.apiserver.request import Encoded
from labkit.apiserver.tables import render
from labkit.client.errors import ApiError, status_error
from labkit.client.transport import JSON, PATCH_TYPES

YAML = "application/yaml"
_BODY_TYPES = (JSON, YAML)
_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


class Form(NamedTuple):
    """The form of an answer: a media type and, if `kind` is set, another representation."""

    media: str = JSON
    kind: str = ""
    version: str = ""

    @property
    def content_type(self) -> str:
        """The Content-Type of an answer in this form."""
        if not self.kind:
            return self.media
        return f"{self.media};as={self.kind};v={self.version};g=meta.k8s.io"


PLAIN = Form()


@lru_cache(maxsize=256)
def accepted(header: str) -> Form:
    """The form that an Accept header asks for.  Raises ApiError 406."""
    if not header:
        return PLAIN
    for clause in header.split(","):
        media, parameters = parse_media_type(clause)
        if media in ("*/*", "application/*"):
            media = JSON
        if media not in _BODY_TYPES or parameters.get("stream", "watch") != "watch":
            continue
        kind = parameters.get("as", "")
        if not kind:
            return Form(media)
        version = parameters.get("v", "v1")
        if kind in _FORMS and version in ("v1", "v1beta1") and parameters.get("g") == "meta.k8s.io":
            return Form(media, kind, version)
    raise not_acceptable()


def not_acceptable(media_types: tuple[str, ...] = _BODY_TYPES) -> ApiError:
    """406: none of the forms asked for is served here."""
    message = "only the following media types are accepted: " + ", ".join(media_types)
    return status_error(406, "NotAcceptable", message)


def parse_media_type(text: str) -> tuple[str, dict[str, str]]:
    """`application/json;as=Table;v=v1` → ("application/json", {"as": "Table", "v": "v1"})."""
    media, *parameters = text.split(";")
    pairs = (part.partition("=") for part in parameters)
    return media.strip().lower(), {
        key.strip().lower(): value.strip().strip('"') for key, _, value in pairs
    }


def decode(body: bytes, method: str, content_type: str) -> tuple[object, str]:
    """(decoded body, its media type).  Raises ApiError 400 or 415."""
    media = parse_media_type(content_type)[0] or JSON
    if method == "PATCH":
        if media not in PATCH_TYPES.values():
            raise statuses.unsupported_media_type(tuple(PATCH_TYPES.values()))
    elif media not in (*_BODY_TYPES, protobuf.MEDIA_TYPE):
        raise statuses.unsupported_media_type((*_BODY_TYPES, protobuf.MEDIA_TYPE))
    if not body:
        return None, media
    if media == protobuf.MEDIA_TYPE:
        return protobuf.decode(body), JSON
    return (_load_yaml(body) if media.endswith("yaml") else _load_json(body)), media


def _load_json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise statuses.bad_request(
            f"the object provided is unrecognized (must be of type JSON or YAML): {error}"
        ) from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML as JSON knows it: a timestamp is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def _load_yaml(body: bytes) -> object:
    try:
        return _jsonable(yaml.load(body, _Loader))
    except (yaml.YAMLError, RecursionError) as error:
        raise statuses.bad_request(f"error converting YAML to JSON: yaml: {error}") from None


def _jsonable(value: Any) -> object:
    """YAML's keys may be numbers and booleans, JSON's are texts."""
    if isinstance(value, dict):
        return {_key(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return value


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def encode(body: Mapping | Encoded, form: Form, now: float, include: str = "Metadata") -> bytes:
    """An answer's bytes in `form`.  A plain JSON answer that the store encoded is passed on."""
    if form == PLAIN:
        return body.json if isinstance(body, Encoded) else orjson.dumps(body)
    obj = body.obj if isinstance(body, Encoded) else body
    return dump(transformed(obj, form, now, include), form.media)


def transformed(
    obj: Mapping, form: Form, now: float, include: str = "Metadata", headers: bool = True
) -> Mapping:
    """The representation of `obj` that `form` names.  Raises ApiError 406 where there is none."""
    # A Status is an answer to the request rather than the object asked for.
    if not form.kind or obj.get("kind") == "Status":
        return obj
    if form.kind == "Table":
        return render.table(obj, now, include=include, version=form.version, headers=headers)
    if render.is_list(obj) != form.kind.endswith("List"):
        listed = "a list" if render.is_list(obj) else "not a list"
        raise status_error(
            406,
            "NotAcceptable",
            f"you requested {form.kind}, but the requested object is {listed} ({obj.get('kind')})",
        )
    shape = render.partial_list if form.kind.endswith("List") else render.partial
    return shape(obj, form.version)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
    """Writes the same shared object twice rather than an anchor and an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def dump(obj: Mapping, media: str) -> bytes:
    """`obj` as JSON or YAML."""
    if media == JSON:
        return orjson.dumps(obj)
    return yaml.dump(obj, Dumper=_Dumper, encoding="utf-8", allow_unicode=True)
