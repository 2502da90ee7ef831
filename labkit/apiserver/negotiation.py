"""Which form an answer takes.

Answers are JSON or YAML, of the object itself, of a Table, or of its metadata alone; clients that
prefer protobuf name JSON as their second choice.

Source: Kubernetes API concepts, "Alternate representations of resources" and "Receiving resources
as Tables"; k8s.io/apiserver pkg/endpoints/handlers/negotiation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import orjson
import yaml

from labkit.apiserver.request import Encoded
from labkit.apiserver.tables import render
from labkit.apiserver.tables.format import Printer
from labkit.client.errors import ApiError, status_error
from labkit.client.transport import JSON

YAML = "application/yaml"
BODY_TYPES = (JSON, YAML)
_REPRESENTED = frozenset({*BODY_TYPES, "application/vnd.kubernetes.protobuf", "*/*"})
_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_OTHER_FORM = frozenset({"as", "g", "v"})
_PEOPLE = ("curl", "Wget", "Mozilla/5.0")


class Form(NamedTuple):
    """The form of an answer: a media type and, if `kind` is set, another representation.

    `printer` makes the Tables of a custom resource.
    """

    media: str = JSON
    kind: str = ""
    version: str = ""
    pretty: bool = False
    printer: Printer | None = None


PLAIN = Form()


@lru_cache(maxsize=256)
def accepted(header: str) -> Form:
    """The form that an Accept header asks for.  Raises ApiError 406."""
    if not header:
        return PLAIN
    clauses = sorted(header.split(","), key=_quality, reverse=True)
    if not any(parse_media_type(clause)[0] in _REPRESENTED for clause in clauses):
        raise _not_represented()
    for clause in clauses:
        media, parameters = parse_media_type(clause)
        if media == "*/*":
            media = JSON
        if media not in BODY_TYPES or parameters.get("stream", "watch") not in ("", "watch"):
            continue
        pretty = parameters.get("pretty") == "1"
        if not parameters.keys() & _OTHER_FORM:
            return Form(media, pretty=pretty)
        kind, version = parameters.get("as", ""), parameters.get("v", "")
        if kind in _FORMS and version in ("v1", "v1beta1") and parameters.get("g") == "meta.k8s.io":
            return Form(media, kind, version, pretty)
    raise not_acceptable()


def _quality(clause: str) -> float:
    """How much a client wants this form.  Among equals the order decides."""
    try:
        return float(parse_media_type(clause)[1].get("q", "1"))
    except ValueError:
        return 1.0


def is_pretty(form: Form, params: Mapping[str, str], user_agent: str) -> bool:
    """Whether an answer is laid out for people: if they ask for it, or use a browser or curl."""
    if "pretty" in params:
        return params["pretty"] in ("1", "t", "T", "TRUE", "true", "True")
    return form.pretty or user_agent.startswith(_PEOPLE)


def _not_represented() -> ApiError:
    """406 for a media type that nothing has, whatever its parameters are."""
    message = "406: Not Acceptable\n\nAvailable representations: " + ", ".join(BODY_TYPES)
    return status_error(406, "NotAcceptable", message, {})


def not_acceptable(media_types: tuple[str, ...] = BODY_TYPES) -> ApiError:
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


def encode(body: Mapping | Encoded, form: Form, now: float, include: str = "Metadata") -> bytes:
    """An answer's bytes in `form`.  A plain JSON answer that the store encoded is passed on."""
    if form == PLAIN:
        return body.json if isinstance(body, Encoded) else orjson.dumps(body)
    obj = body.obj if isinstance(body, Encoded) else body
    return dump(transformed(obj, form, now, include), form.media, pretty=form.pretty)


def transformed(
    obj: Mapping, form: Form, now: float, include: str = "Metadata", headers: bool = True
) -> Mapping:
    """The representation of `obj` that `form` names.  Raises ApiError 406 where there is none."""
    # A Status is an answer to the request rather than the object asked for.
    if not form.kind or obj.get("kind") == "Status":
        return obj
    if form.kind == "Table":
        return render.table(
            obj,
            now,
            include=include,
            version=form.version,
            headers=headers,
            printer=form.printer,
        )
    if render.is_list(obj) != form.kind.endswith("List"):
        listed = "a list" if render.is_list(obj) else "not a list"
        message = f"you requested {form.kind}, but the requested object is {listed} ({_go(obj)})"
        raise status_error(406, "NotAcceptable", message)
    shape = render.partial_list if form.kind.endswith("List") else render.partial
    return shape(obj, form.version)


def _go(obj: Mapping) -> str:
    """The name of an object's type in upstream's source."""
    group = obj.get("apiVersion", "").rpartition("/")[0]
    return f"*{group.split('.')[0] or 'core'}.{obj.get('kind')}"


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
    """Writes the same shared object twice rather than an anchor and an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def dump(obj: Mapping, media: str, *, pretty: bool = False) -> bytes:
    """`obj` as JSON or YAML."""
    if media == JSON:
        return orjson.dumps(obj, option=orjson.OPT_INDENT_2 if pretty else None)
    return yaml.dump(obj, Dumper=_Dumper, encoding="utf-8", allow_unicode=True)
