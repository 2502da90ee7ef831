"""What is served besides resources: health, metrics, version, discovery, OpenAPI.

`find` says at once whether a path is a page, because it is asked before every request.  Pages that
cost something are kept until what they show changes; discovery is made anew, since aggregated APIs
come and go.

Source: Kubernetes documentation, "API health endpoints", "API discovery" and "OpenAPI".
"""

from __future__ import annotations

import asyncio
import hashlib
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import orjson

from labkit.apiserver import discovery, openapi, openapi_protobuf, statuses
from labkit.apiserver.discovery import Served
from labkit.apiserver.negotiation import not_acceptable, parse_media_type
from labkit.apiserver.registration import Registration
from labkit.client import telemetry
from labkit.client.errors import ApiError
from labkit.client.transport import JSON

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0+labkit",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",  # upstream's, where nobody stamped the build
    "goVersion": f"python{platform.python_version()}",
    "compiler": platform.python_implementation().lower(),
    "platform": f"{platform.system().lower()}/{platform.machine()}",
}
_HEALTH = ("/healthz", "/livez", "/readyz")
_CHECKS = ("ping",)  # whoever answers is well: there is nothing else that could be away


_ISSUER_HEADERS = {"Content-Type": JSON, "Cache-Control": "public, max-age=3600"}


class Page(NamedTuple):
    """An answer that is no resource."""

    body: bytes
    headers: Mapping[str, str] = {"Content-Type": JSON}
    code: int = 200


Handler = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[Page]]


class Pages:
    """The pages of one server; `api.aggregated` maps (group, version) to handlers.

    `metrics` is the text of the page of that name.
    """

    def __init__(self, api, metrics: Callable[[], str]) -> None:
        self._api, self._metrics_text = api, metrics
        self._documents: dict[str, tuple[str, bytes]] = {}  # by path, with their fingerprints
        self._building = asyncio.Lock()
        self._look_again()
        api.registry.on_change.append(self._look_again)

    def _look_again(self) -> None:
        """Take up what the registry has now."""
        self._own = discovery.served(self._api.registry.rows)
        self._rows = _by_path(self._own, self._api.registry.rows)
        self._fingerprints: dict[str, str] = {}
        groups = {f"/apis/{one.group}": self._group for one in self._own if one.group}
        self._exact: dict[str, Handler] = {
            "/": self._root,
            "/metrics": self._metrics,
            "/version": self._version,
            "/api": self._core,
            "/apis": self._groups,
            "/.well-known/openid-configuration": self._issuer,
            "/openid/v1/jwks": self._issuer_keys,
            "/openapi/v2": self._openapi_v2,
            "/openapi/v3": self._openapi_v3,
            **groups,
            **{one.path: self._resources for one in self._own},
        }

    def find(self, path: str) -> Handler | None:
        """The handler of a page, None where `path` is a resource's (or nothing's)."""
        if found := self._exact.get(path):
            return found
        if path.startswith("/api"):
            return self._find_aggregated(path)
        if path.startswith(_HEALTH):
            return self._health
        return self._openapi_v3_document if path.startswith("/openapi/v3/") else None

    def _find_aggregated(self, path: str) -> Handler | None:
        for group, version in self._api.aggregated:
            if path == f"/apis/{group}":
                return self._group
            if path == f"/apis/{group}/{version}":
                return self._resources
        return None

    async def _served(self) -> list[Served]:
        """Our own APIs and the aggregated ones that answer."""
        found = list(self._own)
        for (group, version), handler in self._api.aggregated.items():
            try:
                answer = await handler(f"/apis/{group}/{version}", {})
            except ApiError:
                continue  # an API that is down does not take discovery with it
            found.append(Served(group, version, answer["resources"]))
        return found

    async def _root(self, path: str, *_: object) -> Page:
        paths = sorted({*self._exact, *_HEALTH} - {"/"})
        return _json({"paths": paths})

    async def _version(self, *_: object) -> Page:
        return _json(VERSION)

    async def _metrics(self, *_: object) -> Page:
        return Page(self._metrics_text().encode(), {"Content-Type": telemetry.CONTENT_TYPE})

    async def _health(self, path: str, headers: Mapping, params: Mapping) -> Page:
        name, _, check = path[1:].partition("/")
        if f"/{name}" not in _HEALTH or (check and check not in _CHECKS):
            raise statuses.no_such_path()
        lines = "ok"
        if "verbose" in params and not check:
            lines = "".join(f"[+]{one} ok\n" for one in _CHECKS) + f"{name} check passed\n"
        return Page(lines.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    async def _core(self, path: str, headers: Mapping, params: Mapping) -> Page:
        content_type, at_once = discovery.aggregated_form(headers.get("Accept", ""))
        if not at_once:
            return _json(discovery.core_versions(headers.get("Host", "")))
        own = [one for one in self._own if not one.group]
        return _tagged(discovery.aggregated(own), content_type, headers)

    async def _groups(self, path: str, headers: Mapping, params: Mapping) -> Page:
        content_type, at_once = discovery.aggregated_form(headers.get("Accept", ""))
        found = [one for one in await self._served() if one.group]
        if not at_once:
            return _json(discovery.group_list(found))
        return _tagged(discovery.aggregated(found), content_type, headers)

    async def _group(self, path: str, *_: object) -> Page:
        name = path.rpartition("/")[2]
        return _json(discovery.group_of(discovery.find_group(await self._served(), name)))

    async def _resources(self, path: str, *_: object) -> Page:
        for one in await self._served():
            if one.path == path:
                return _json(discovery.resource_list(one))
        raise statuses.no_such_path()

    async def _issuer(self, *_: object) -> Page:
        return Page(orjson.dumps(self._api.tokens.metadata(*self._api.advertise)), _ISSUER_HEADERS)

    async def _issuer_keys(self, *_: object) -> Page:
        keys = {"keys": [self._api.tokens.key.public_jwk()]}
        return Page(
            orjson.dumps(keys), {**_ISSUER_HEADERS, "Content-Type": "application/jwk-set+json"}
        )

    async def _openapi_v2(self, path: str, headers: Mapping, params: Mapping) -> Page:
        rows = self._api.registry.rows
        if openapi_protobuf.ASKED_FOR in headers.get("Accept", ""):
            document = openapi_protobuf.document(rows)
            answer = {"Content-Type": openapi_protobuf.MEDIA_TYPE, "Vary": "Accept"}
            return Page(document, answer)
        _accept_json(headers)
        fingerprint = self._fingerprint("/openapi/v2", rows)
        answer = {"Content-Type": JSON, "Vary": "Accept", "ETag": f'"{fingerprint}"'}
        if headers.get("If-None-Match") == answer["ETag"]:
            return Page(b"", answer, 304)
        return Page(await self._document("/openapi/v2", openapi.document_v2, rows), answer)

    async def _openapi_v3(self, path: str, headers: Mapping, params: Mapping) -> Page:
        prints = {path: self._fingerprint(path, rows) for path, rows in self._rows.items()}
        return _tagged(openapi.index(self._own, prints), JSON, headers)

    async def _openapi_v3_document(self, path: str, headers: Mapping, params: Mapping) -> Page:
        _accept_json(headers)
        path = path.removeprefix("/openapi/v3")
        if path not in self._rows:
            raise statuses.no_such_path()
        fingerprint = self._fingerprint(path, self._rows[path])
        answer = {"Content-Type": JSON, "Vary": "Accept", "ETag": f'"{fingerprint}"'}
        if asked := params.get("hash"):
            if asked != fingerprint:
                answer["Location"] = f"/openapi/v3{path}?hash={fingerprint}"
                return Page(b"", answer, 301)
            # The address names the content, so that clients may keep it for good.
            answer["Cache-Control"] = "public, immutable"
        if headers.get("If-None-Match") == answer["ETag"]:
            return Page(b"", answer, 304)
        return Page(await self._document(path, openapi.document_v3, self._rows[path]), answer)

    def _fingerprint(self, path: str, rows: Sequence[Registration]) -> str:
        if path not in self._fingerprints:
            self._fingerprints[path] = openapi.fingerprint(rows)
        return self._fingerprints[path]

    async def _document(
        self,
        path: str,
        build: Callable[[Sequence[Registration]], bytes],
        rows: Sequence[Registration],
    ) -> bytes:
        async with self._building:
            fingerprint = self._fingerprint(path, rows)
            known, document = self._documents.get(path, ("", b""))
            if known != fingerprint:
                # A tenth of a second of work, during which the server must go on answering.
                document = await asyncio.to_thread(build, rows)
                self._documents[path] = fingerprint, document
            return document


def _by_path(own: Sequence[Served], rows: Sequence[Registration]) -> dict[str, list[Registration]]:
    found: dict[str, list[Registration]] = {one.path: [] for one in own}
    for row in rows:
        found[Served(row.resource.group, row.resource.version, ()).path].append(row)
    return found


def _accept_json(headers: Mapping[str, str]) -> None:
    """Raises ApiError 406 for who wants protobuf alone."""
    accept = headers.get("Accept") or JSON
    if not any(parse_media_type(c)[0] in (JSON, "*/*", "application/*") for c in accept.split(",")):
        raise not_acceptable((JSON,))


def _json(obj: object) -> Page:
    return Page(orjson.dumps(obj))


def _tagged(obj: object, content_type: str, headers: Mapping[str, str]) -> Page:
    body = orjson.dumps(obj)
    tag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
    answer = {"Content-Type": content_type, "ETag": tag, "Vary": "Accept"}
    if headers.get("If-None-Match") == tag:
        return Page(b"", answer, 304)
    return Page(body, answer)
