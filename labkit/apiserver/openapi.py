"""The OpenAPI documents of this server, made from Kubernetes' own definitions.

kubectl reads them to decide whether the server validates fields (`kubectl apply`), to print
`kubectl explain`, and to find merge keys.  The schemas are those that `kubernetes-validate` ships,
and of custom resources those of their definitions; the paths are made from the registry.  Documents
are built when first asked for and forgotten but for their bytes: the definitions take ten times the
memory of the document.

Source: Kubernetes documentation, "OpenAPI"; k8s.io/kube-openapi.  Left out: the protobuf encoding
of /openapi/v2, for which clients fall back to JSON or to /openapi/v3, and schemas of aggregated
APIs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson

from labkit.apiserver.custom import published
from labkit.apiserver.discovery import Served
from labkit.apiserver.registration import Registration
from labkit.kube import schema as kube_schema
from labkit.kube.resources import Resource

_TITLE = {"title": "Kubernetes", "version": "v1.36.0"}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_STRATEGIC = "application/strategic-merge-patch+json"
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    _STRATEGIC,
    "application/apply-patch+yaml",
)
_WRITE_PARAMETERS = {
    "dryRun": "When present, indicates that modifications should not be persisted.",
    "fieldManager": "The name associated with the actor or entity that is making these changes.",
    "fieldValidation": "What to do with unknown or duplicate fields: Ignore, Warn or Strict.",
}
_FORCE = {"force": "Force is going to force Apply requests."}
_LIST_PARAMETERS = {
    "labelSelector": "Restricts the list of returned objects by their labels.",
    "fieldSelector": "Restricts the list of returned objects by their fields.",
    "limit": "The maximum number of responses to return for a list call.",
    "continue": "Continues a list where a limited one ended.",
    "resourceVersion": "Constrains the resource versions that a request may be served from.",
    "watch": "Watch for changes to the described resources.",
    "timeoutSeconds": "Ends the list or watch after this many seconds.",
}


def _known(rows: Iterable[Registration], *, v2: bool) -> dict[str, dict]:
    """All schemas that the documents of these rows may refer to."""
    known = definitions()
    for row in rows:
        if row.custom:
            known |= published.schemas(row.custom, row.definition, v2=v2)
    return known


def definitions() -> dict[str, dict]:
    """All schemas of Kubernetes, in OpenAPI's words but for their references, fresh each time."""
    found = orjson.loads(kube_schema.path().read_bytes())["$defs"]
    for schema in found.values():
        _restore(schema)
    found[_QUANTITY] = {"oneOf": [{"type": "string"}, {"type": "number"}]}
    found[_INT_OR_STRING] = {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    }
    return found


def _restore(schema: dict) -> None:
    """Undo what made a JSON schema of an OpenAPI one: nullable types, enumerated versions."""
    if isinstance(schema.get("type"), list):
        schema["type"] = next(kind for kind in schema["type"] if kind != "null")
    for name, child in (schema.get("properties") or {}).items():
        _restore(child)
        if name in ("apiVersion", "kind"):
            child.pop("enum", None)
    for field in ("items", "additionalProperties"):
        if isinstance(schema.get(field), dict):
            _restore(schema[field])


def fingerprint(rows: Iterable[Registration]) -> str:
    """A text that changes when the documents made from `rows` do."""
    digest = hashlib.sha256(repr(_TITLE).encode())
    for row in rows:
        digest.update(repr((row.resource.path(), row.definition, row.subresources)).encode())
        digest.update(orjson.dumps(row.custom.schema if row.custom else None))
    return digest.hexdigest().upper()


def index(all_served: Iterable[Served], fingerprints: Mapping[str, str]) -> dict:
    """The document at /openapi/v3: where the others are.  `fingerprints` are by path."""
    paths = {}
    for one in all_served:
        if one.path in fingerprints:
            where = f"/openapi/v3{one.path}?hash={fingerprints[one.path]}"
            paths[one.path[1:]] = {"serverRelativeURL": where}
    return {"paths": paths}


def document_v3(rows: Sequence[Registration]) -> bytes:
    """The OpenAPI v3 document of one group and version."""
    known = _known(rows, v2=False)
    roots = [*_roots(rows), f"{_META}.DeleteOptions", f"{_META}.Status", f"{_META}.Patch"]
    schemas = {name: _refer_v3(known[name]) for name in _reachable(known, roots)}
    return orjson.dumps(
        {
            "openapi": "3.0.0",
            "info": _TITLE,
            "paths": dict(_paths(rows, _operation_v3)),
            "components": {"schemas": schemas},
        },
        option=orjson.OPT_SORT_KEYS,
    )


def document_v2(rows: Sequence[Registration]) -> bytes:
    """The OpenAPI v2 (Swagger) document of everything."""
    known = _known(rows, v2=True)
    known[_QUANTITY] = {"type": "string"}
    known[_INT_OR_STRING] = {"type": "string", "format": "int-or-string"}
    roots = [*_roots(rows), f"{_META}.DeleteOptions", f"{_META}.Status", f"{_META}.Patch"]
    schemas = {name: _refer_v2(known[name]) for name in _reachable(known, roots)}
    return orjson.dumps(
        {
            "swagger": "2.0",
            "info": _TITLE,
            "paths": dict(_paths(rows, _operation_v2)),
            "definitions": schemas,
        },
        option=orjson.OPT_SORT_KEYS,
    )


def _roots(rows: Iterable[Registration]) -> list[str]:
    listed = [row.definition + "List" for row in rows if not row.ephemeral]
    return [*(row.definition for row in rows), *listed]


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        for child in value.values():
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)


def _reachable(known: Mapping[str, dict], roots: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    waiting = [name for name in roots if name in known]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += _references(known[name])
    return sorted(found)


def _refer_v3(value: object) -> object:
    """References as OpenAPI 3.0 has them: a `$ref` stands alone, so company moves it to `allOf`."""
    if isinstance(value, list):
        return [_refer_v3(child) for child in value]
    if not isinstance(value, dict):
        return value
    if not isinstance(value.get("$ref"), str):
        return {key: _refer_v3(child) for key, child in value.items()}
    reference = {"$ref": "#/components/schemas/" + value["$ref"].rpartition("/")[2]}
    rest = {key: child for key, child in value.items() if key != "$ref"}
    return {**rest, "allOf": [reference]} if rest else reference


def _refer_v2(value: object) -> object:
    if isinstance(value, list):
        return [_refer_v2(child) for child in value]
    if not isinstance(value, dict):
        return value
    return {
        key: "#/definitions/" + child.rpartition("/")[2]
        if key == "$ref" and isinstance(child, str)
        else _refer_v2(child)
        for key, child in value.items()
    }


def _paths(rows: Iterable[Registration], operation) -> Iterator[tuple[str, dict]]:
    """(path, PathItem) for every path of every row; `operation` writes one Operation."""
    for row in rows:
        resource = row.resource
        namespace = "{namespace}" if resource.namespaced else None
        variables = ["namespace"] if resource.namespaced else []
        if row.ephemeral:
            yield resource.path(namespace), _item(row, {"post": "create"}, operation, variables)
            continue
        if resource.namespaced:
            yield resource.path(), {"get": operation(row, "list", "get")}
        verbs = {"get": "list", "post": "create", "delete": "deletecollection"}
        yield resource.path(namespace), _item(row, verbs, operation, variables)
        variables = [*variables, "name"]
        verbs = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}
        yield resource.path(namespace, "{name}"), _item(row, verbs, operation, variables)
        for name in row.subresources:
            verbs = {"get": "get", "put": "update", "patch": "patch"}
            if name in ("status", "scale"):
                path = resource.path(namespace, "{name}", name)
                yield path, _item(row, verbs, operation, variables)


def _item(row: Registration, verbs: Mapping[str, str], operation, variables: list[str]) -> dict:
    item = {method: operation(row, verb, method) for method, verb in verbs.items()}
    return {**item, "parameters": [_variable(name, operation) for name in variables]}


def _variable(name: str, operation) -> dict:
    variable = {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"{name} of the object",
    }
    typed = {"type": "string", "uniqueItems": True}
    return {**variable, "schema": typed} if operation is _operation_v3 else {**variable, **typed}


def _common(row: Registration, verb: str) -> dict:
    resource = row.resource
    return {
        "description": f"{verb} {resource.kind}",
        "operationId": f"{verb}{resource.api_version.replace('/', '')}{resource.kind}",
        "x-kubernetes-action": "post" if verb == "create" else verb,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }


def _gvk(resource: Resource) -> dict:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _query(verb: str) -> dict[str, str]:
    if verb in ("list", "deletecollection"):
        return _LIST_PARAMETERS
    if verb == "patch":
        return {**_WRITE_PARAMETERS, **_FORCE}
    return _WRITE_PARAMETERS if verb in ("create", "update") else {}


def _body(row: Registration, verb: str) -> str:
    """The definition of a request's body, empty if it has none."""
    if verb in ("create", "update"):
        return row.definition
    return {"patch": f"{_META}.Patch", "delete": f"{_META}.DeleteOptions"}.get(verb, "")


def _answer(row: Registration, verb: str) -> str:
    if verb in ("delete", "deletecollection"):
        return f"{_META}.Status"
    return row.definition + ("List" if verb == "list" else "")


def _operation_v3(row: Registration, verb: str, method: str) -> dict:
    found = {
        **_common(row, verb),
        "parameters": [
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
            for name, text in _query(verb).items()
        ],
        "responses": {"200": {"description": "OK", "content": _content(_answer(row, verb))}},
    }
    if body := _body(row, verb):
        media = _patches(row) if method == "patch" else ("application/json", "application/yaml")
        found["requestBody"] = {"content": _content(body, media), "required": verb != "delete"}
    return found


def _patches(row: Registration) -> list[str]:
    """kubectl asks the documents how it may patch: custom resources have no strategic merge."""
    return [media for media in _PATCHES if not (row.custom and media == _STRATEGIC)]


def _content(definition: str, media: Iterable[str] = ("application/json",)) -> dict:
    schema = {"$ref": f"#/components/schemas/{definition}"}
    return {kind: {"schema": schema} for kind in media}


def _operation_v2(row: Registration, verb: str, method: str) -> dict:
    found = {
        **_common(row, verb),
        "consumes": _patches(row) if method == "patch" else ["*/*"],
        "produces": ["application/json", "application/yaml"],
        "schemes": ["https"],
        "parameters": [
            {"name": name, "in": "query", "type": "string", "description": text}
            for name, text in _query(verb).items()
        ],
        "responses": {
            "200": {
                "description": "OK",
                "schema": {"$ref": f"#/definitions/{_answer(row, verb)}"},
            }
        },
    }
    if body := _body(row, verb):
        schema = {"$ref": f"#/definitions/{body}"}
        found["parameters"].append(
            {"name": "body", "in": "body", "schema": schema, "required": verb != "delete"}
        )
    return found
