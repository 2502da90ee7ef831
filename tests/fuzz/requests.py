"""Requests that are nearly right: a valid one of any kind, with a few things changed."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Mapping
from random import Random
from typing import NamedTuple
from urllib.parse import quote, urlencode

import yaml

from tests.fuzz import mutation
from tests.fuzz.seeds import SEEDS

NAMESPACES = ("default", "fuzz")
NAMES = tuple(f"x{number}" for number in range(3))
JSON = "application/json"
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_TYPES = (
    *PATCHES,
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "text/plain",
    "a",
    "",
)
_ACCEPTS = (
    "*/*",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/vnd.kubernetes.protobuf",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/yaml",
    ";;;q=9,,",
)
_HEADERS = (
    ("Authorization", "Bearer a.b.c"),
    ("Authorization", "Basic ====\xff"),
    ("Impersonate-User", "jane"),
    ("Impersonate-Group", "system:masters"),
    ("Impersonate-Extra-\xe9%zz", "a"),
    ("Host", "evil.example"),
    ("Accept-Encoding", "gzip"),
    ("Content-Encoding", "gzip"),
    ("If-None-Match", '"x"'),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
    ("Sec-WebSocket-Key", "x"),
    ("Upgrade", "SPDY/3.1"),
    ("Expect", "100-continue"),
    ("X-Forwarded-For", "1.2.3.4, ,"),
    ("Content-Length", "-5"),
    ("User-Agent", "a" * 5000),
    ("Audit-ID", "\x7f" * 100),
)
_PARAMS = (
    "limit", "continue", "resourceVersion", "resourceVersionMatch", "watch", "timeoutSeconds",
    "labelSelector", "fieldSelector", "dryRun", "fieldManager", "fieldValidation", "force",
    "propagationPolicy", "gracePeriodSeconds", "sendInitialEvents", "allowWatchBookmarks",
    "pretty", "includeObject", "orphanDependents", "container", "follow", "tailLines",
    "sinceSeconds", "sinceTime", "limitBytes", "previous", "timestamps", "command", "stdin",
    "ports", "path",
)  # fmt: skip
_TEXTS = (
    "", "0", "1", "-1", "true", "false", "All", "Strict", "Warn", "Ignore", "Exact", "NotOlderThan",
    "Background", "Orphan", "99999999999999999999", "9" * 5000, "1.5", "a=b", "a!=b,c in (d,e),!f",
    "a in (", "metadata.name=x1", "spec.nodeName=", "status.phase!=Running", "a" * 2000, "ü",
    "\x00",
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJ4In0", "e30", "=,=", "%", "Object", "None",
)  # fmt: skip
_VERBS = (
    "create", "create", "create", "create", "create", "create", "update", "patch", "patch", "patch",
    "patch", "patch", "delete", "get", "get", "list", "watch", "deletecollection",
)  # fmt: skip
_PAGES = (
    "/", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/version/",
    "/healthz", "/livez/ping", "/readyz", "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1",
    "/openapi/v3/x", "/metrics", "/metrics/x", "/.well-known/openid-configuration",
    "/openid/v1/jwks", "/logs", "/debug/pprof", "/apis/nope.example/v1", "/api/v1/nope",
    "/apis/metrics.k8s.io/v1beta1/nodes", "/api/v1/watch/pods", "//api//v1", "/api/v1/../v1",
    "/%61pi/v1", "/api/v1/namespaces/%00/pods", "/api/v1/namespaces/default/pods/%2e%2e", "*", "",
    "/api/v1/namespaces/default/pods/" + "a" * 3000, "/api/v1/namespaces/ü/pods", "http://a/api",
)  # fmt: skip


class Resource(NamedTuple):
    """One served resource, or subresource, as discovery tells of it."""

    prefix: str
    plural: str
    subresource: str
    kind: str
    api_version: str
    namespaced: bool
    verbs: tuple[str, ...]


class Request(NamedTuple):
    """What is sent; `raw` says how: whole, in chunks, cut off, or not as HTTP wants it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw: str = "whole"


class Fuzzer:
    """An endless, repeatable stream of requests on these resources."""

    def __init__(self, resources: list[Resource], seed: int) -> None:
        self._chance = Random(seed)
        self._resources = resources
        self._weights = [3 if not one.subresource else 1 for one in resources]

    def next(self) -> Request:
        """Another request."""
        chance = self._chance
        if chance.random() < 0.04:
            return self._page()
        (resource,) = chance.choices(self._resources, self._weights)
        return self._spoilt(self._request(resource))

    def _page(self) -> Request:
        chance = self._chance
        headers = (("Accept", chance.choice(_ACCEPTS)),)
        method = chance.choice(("GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE", "BREW"))
        return Request(method, chance.choice(_PAGES), headers, b"")

    def _request(self, resource: Resource) -> Request:
        chance = self._chance
        verbs = [verb for verb in _VERBS if verb in resource.verbs]
        verb = chance.choice(verbs if verbs and chance.random() < 0.97 else _VERBS)
        name, namespace = chance.choice(NAMES), chance.choice(NAMESPACES)
        named = verb not in ("create", "list", "watch", "deletecollection")
        path = self._path(resource, namespace, name if named or resource.subresource else "")
        params, body, type = self._content(resource, verb, name, namespace)
        method = {"create": "POST", "update": "PUT", "patch": "PATCH"}.get(
            verb, "DELETE" if verb.startswith("delete") else "GET"
        )
        headers: list[tuple[str, str]] = [("Content-Type", type)] if body else []
        if chance.random() < 0.1:
            headers.append(("Accept", chance.choice(_ACCEPTS)))
        return Request(method, _target(path, params), tuple(headers), body)

    def _path(self, resource: Resource, namespace: str, name: str) -> str:
        parts = [resource.prefix]
        if resource.namespaced and (name or self._chance.random() < 0.9):
            parts.append(f"namespaces/{namespace}")
        parts.append(resource.plural)
        if name:
            parts.append(name)
        if resource.subresource:
            parts.append(resource.subresource)
        return "/".join(parts)

    def _content(
        self, resource: Resource, verb: str, name: str, namespace: str
    ) -> tuple[dict[str, str], bytes, str]:
        chance = self._chance
        params: dict[str, str] = {}
        if verb == "watch":
            params = {"watch": "1", "timeoutSeconds": "1", "resourceVersion": chance.choice("01")}
        if verb in ("get", "list", "watch"):
            return params, b"", ""
        obj = self._object(resource, name, namespace)
        if verb == "patch":
            type = chance.choice(PATCHES)
            if type == PATCHES[3]:
                params = {"fieldManager": chance.choice(("a", "b")), "force": "true"}
            patch = self._patch(type, obj)
            return params, json.dumps(patch).encode(), type
        if verb.startswith("delete"):
            options = mutation.mutated(SEEDS["DeleteOptions"], chance, chance.choice((0, 0, 1)))
            return params, chance.choice((b"", json.dumps(options).encode())), JSON
        if chance.random() < 0.1:
            return params, yaml.safe_dump(obj).encode(errors="replace"), "application/yaml"
        return params, json.dumps(obj).encode(errors="replace"), JSON

    def _object(self, resource: Resource, name: str, namespace: str) -> dict:
        chance = self._chance
        metadata: dict = {"name": name, "labels": {"app": "a"}}
        if resource.namespaced:
            metadata["namespace"] = namespace
        if chance.random() < 0.1:
            metadata["finalizers"] = ["fuzz.dev/f"]
        head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        seed = copy.deepcopy(SEEDS.get(resource.kind, {}))
        if chance.random() < 0.05:  # another kind's fields
            seed = copy.deepcopy(SEEDS[chance.choice(list(SEEDS))])
        obj = {**head, **seed}
        return mutation.mutated(obj, chance, chance.choice((0, 0, 0, 1, 1, 2, 4)))

    def _patch(self, type: str, obj: dict) -> object:
        chance = self._chance
        if type == PATCHES[0]:
            return mutation.json_patch(obj, chance)
        patch = mutation.part(obj, chance)
        if type == PATCHES[3]:
            patch = {**patch, "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
        return mutation.mutated(patch, chance, chance.choice((0, 0, 1, 2)))

    def _spoilt(self, request: Request) -> Request:
        """The request with something about it that is not as it should be; mostly nothing."""
        chance = self._chance
        if chance.random() < 0.6:
            return request
        change = chance.randrange(6)
        if change == 0:
            key, value = chance.choice(_PARAMS), chance.choice(_TEXTS)
            joint = "&" if "?" in request.target else "?"
            return request._replace(target=f"{request.target}{joint}{urlencode({key: value})}")
        if change == 1:
            return request._replace(headers=(*request.headers, chance.choice(_HEADERS)))
        if change == 2 and request.body:
            return request._replace(body=mutation.corrupted(request.body, chance))
        if change == 3 and request.body:
            headers = tuple(pair for pair in request.headers if pair[0] != "Content-Type")
            type = ("Content-Type", chance.choice(_TYPES))
            return request._replace(headers=(*headers, type))
        if change == 4:
            return request._replace(target=self._odd(request.target))
        if request.body and chance.random() < 0.3:
            headers = (*request.headers, ("Content-Encoding", "gzip"))
            return request._replace(headers=headers, body=gzip.compress(request.body))
        return request._replace(raw=chance.choice(("chunked", "cut", "badly chunked", "pipelined")))

    def _odd(self, target: str) -> str:
        chance = self._chance
        path, _, query = target.partition("?")
        parts = path.split("/")
        text = str(mutation.nasty(chance))[:500]
        parts[chance.randrange(len(parts))] = quote(text, safe="", errors="replace")
        return "/".join(parts) + ("?" + query if query else "")


def _target(path: str, params: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(params)}" if params else path
