"""Subresources that are a connection rather than an object: log, exec, attach, port-forward, proxy.

They are told by their paths before anything else is looked at, since neither their bodies nor
their answers are objects.

Source: k8s.io/kubernetes pkg/registry/core/pod/rest/subresources.go, k8s.io/apiserver
pkg/endpoints/handlers (ConnectResource).
"""

from __future__ import annotations

import ssl
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode

from aiohttp import web

from labkit.apiserver import answers, logs, streams, tunnel
from labkit.apiserver.kubelets import Kubelets, chosen_container, is_true
from labkit.apiserver.proxying import Proxies, Proxy
from labkit.client.errors import status_error

_STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
_SUBRESOURCES = ("log", "exec", "attach", "portforward")
_METHODS = {"log": ("GET",), **dict.fromkeys(("exec", "attach", "portforward"), ("GET", "POST"))}


class Connect(NamedTuple):
    """What to connect to."""

    namespace: str
    name: str
    subresource: str


def parse(path: str) -> Connect | Proxy | None:
    """The connection that a path (with its escapes) asks for; None for all other requests."""
    if "/proxy" in path:
        return _parse_proxy(path)
    head, _, last = path.rpartition("/")
    if last not in _SUBRESOURCES:
        return None
    parts = head.split("/")
    if len(parts) != 7 or parts[1:4] != ["api", "v1", "namespaces"] or parts[5] != "pods":
        return None
    found = _names(parts[4], parts[6])
    return Connect(*found, last) if found else None


def _parse_proxy(path: str) -> Proxy | None:
    parts = path.split("/")
    if parts[1:4] == ["api", "v1", "nodes"] and parts[5:6] == ["proxy"]:
        namespace, resource, at = "", "nodes", 6
    elif parts[1:4] == ["api", "v1", "namespaces"] and parts[7:8] == ["proxy"]:
        namespace, resource, at = parts[4], parts[5], 8
    else:
        return None
    if resource not in ("pods", "services", "nodes") or not (parts[at - 2] and all(parts[1:at])):
        return None
    prefix, rest = "/".join(parts[:at]), "/".join(parts[at:]) if len(parts) > at else None
    found = _names(namespace, parts[at - 2])
    return Proxy(resource, *found, prefix, rest) if found else None


def _names(namespace: str, name: str) -> tuple[str, str] | None:
    """Names without their escapes; None where one holds what would make another path of it."""
    found = unquote(namespace), unquote(name)
    return found if "/" not in "".join(found) and found[1] else None


class Connects:
    """Answers such requests; `api` answers requests for objects."""

    def __init__(self, api, kubelet_client: ssl.SSLContext) -> None:
        self._kubelets = Kubelets(api, kubelet_client)
        self._proxies = Proxies(self._kubelets)
        self._handlers = {
            "log": self._log,
            "exec": self._exec,
            "attach": self._attach,
            "portforward": self._port_forward,
        }

    async def close(self) -> None:
        """Close connections to kubelets and Pods.  Safe to repeat."""
        await self._kubelets.close()

    async def answer(self, request: web.BaseRequest, wanted: Connect | Proxy) -> web.StreamResponse:
        """The whole connection.  Raises ApiError, as long as nothing has been answered."""
        if isinstance(wanted, Proxy):
            return await self._proxies.answer(request, wanted)
        if request.method not in _METHODS[wanted.subresource]:
            message = "the server does not allow this method on the requested resource"
            raise status_error(405, "MethodNotAllowed", message)
        return await self._handlers[wanted.subresource](request, wanted)

    async def _log(self, request: web.BaseRequest, wanted: Connect) -> web.StreamResponse:
        params = dict(request.query)
        async with logs.opened(self._kubelets, wanted.namespace, wanted.name, params) as chunks:
            headers = answers.headers({"Content-Type": "text/plain"})
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            async for chunk in chunks:
                await streams.write(response, chunk)
        return response

    async def _exec(self, request: web.BaseRequest, wanted: Connect) -> web.StreamResponse:
        return await self._command(request, wanted, request.query.getall("command", []))

    async def _attach(self, request: web.BaseRequest, wanted: Connect) -> web.StreamResponse:
        return await self._command(request, wanted, [])

    async def _command(
        self, request: web.BaseRequest, wanted: Connect, command: list[str]
    ) -> web.StreamResponse:
        pod = await self._kubelets.pod(wanted.namespace, wanted.name)
        container = chosen_container(pod, request.query.get("container", ""))
        query = [(to, "1") for name, to in _STREAMS.items() if is_true(request.query.get(name))]
        query += [("command", word) for word in command]
        return await self._to_kubelet(request, wanted, pod, f"/{quote(container)}", query)

    async def _port_forward(self, request: web.BaseRequest, wanted: Connect) -> web.StreamResponse:
        pod = await self._kubelets.pod(wanted.namespace, wanted.name)
        query = [("port", port) for port in request.query.getall("ports", [])]
        return await self._to_kubelet(request, wanted, pod, "", query)

    async def _to_kubelet(
        self,
        request: web.BaseRequest,
        wanted: Connect,
        pod: dict,
        rest: str,
        query: list[tuple[str, str]],
    ) -> web.StreamResponse:
        """The same of the kubelet, under its own name for it."""
        what = {"portforward": "portForward"}.get(wanted.subresource, wanted.subresource)
        url = await self._kubelets.of_pod(pod)
        url += f"/{what}/{quote(wanted.namespace)}/{quote(wanted.name)}{rest}?{urlencode(query)}"
        return await tunnel.tunnel(request, url, self._kubelets.ssl)
