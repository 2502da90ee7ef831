"""`proxy` of Pods, Services and nodes: HTTP requests passed on to what listens there.

Names are `name`, `name:port` or `scheme:name:port`.  A Pod's port is a number, by default its first
one; a Service's is a number or a name of its ports, and the request goes to one of its ready
endpoints; a node's is the kubelet's, which is asked with this server's own certificate.

Bodies are streamed in both directions, so that neither side can fill this server's memory.

Source: k8s.io/kubernetes pkg/registry/core/{pod,service,node} (ResourceLocation),
k8s.io/apimachinery pkg/util/proxy (UpgradeAwareHandler, Transport).
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from labkit.apiserver import answers, rewriting, statuses, streams
from labkit.apiserver.kubelets import Kubelets, dial_failure
from labkit.apiserver.tunnel import tunnel
from labkit.client.errors import ApiError, status_error
from labkit.kube.resources import ENDPOINT_SLICES, SERVICES
from labkit.wire import relay

SERVICE_NAME = "kubernetes.io/service-name"
# Who the user is concerns this server alone; compressed pages could not be rewritten.
_NOT_FORWARDED = (*relay.HOP_BY_HOP, "Authorization", "Expect", "Accept-Encoding")
_OWN_PREFIXES = ("impersonate-", "x-remote-")
_MAX_PAGE = 4 << 20  # bytes of an HTML page whose links are rewritten


class Proxy(NamedTuple):
    """What to pass a request on to: `rest` is the path there, None if not even a slash is given;
    `prefix` is the path here before it."""

    resource: str
    namespace: str
    name: str
    prefix: str
    rest: str | None


class Backend(NamedTuple):
    """Where a request goes, and whose certificate is believed there."""

    url: str
    trust: ssl.SSLContext


class _Name(NamedTuple):
    scheme: str
    name: str
    port: str


def split(text: str, what: str) -> _Name:
    """`https:web:443` → its parts.  Raises ApiError 400."""
    parts = text.split(":")
    if len(parts) < 3:
        scheme, (name, port) = "", (*parts, "")[:2]
    else:
        scheme, name, port = parts[:3]
    if len(parts) > 3 or not name or scheme not in ("", "http", "https"):
        raise statuses.bad_request(f'invalid {what} request "{text}"')
    return _Name(scheme or "http", name, port)


class Proxies:
    """Finds backends and passes requests on."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets
        # Pods have certificates that prove nothing to this server.
        self._anyone = ssl.create_default_context()
        self._anyone.check_hostname, self._anyone.verify_mode = False, ssl.CERT_NONE

    async def answer(self, request: web.BaseRequest, wanted: Proxy) -> web.StreamResponse:
        """The backend's answer.  Raises ApiError, as long as nothing has been answered."""
        backend = await self._backend(wanted)
        if wanted.rest is None and request.method in ("GET", "HEAD"):
            query = f"?{request.query_string}" if request.query_string else ""
            headers = answers.headers({"Location": f"{wanted.prefix}/{query}"})
            return web.Response(status=301, headers=headers)
        query = request.rel_url.raw_query_string
        url = f"{backend.url}/{wanted.rest or ''}" + (f"?{query}" if query else "")
        headers = _request_headers(request, wanted)
        protocol = request.headers.get("Upgrade", "")
        if protocol and "upgrade" in request.headers.get("Connection", "").lower():
            headers["Connection"], headers["Upgrade"] = "Upgrade", protocol
            return await tunnel(request, url, backend.trust, headers)
        try:
            async with self._kubelets.session.request(
                request.method,
                URL(url, encoded=True),
                data=request.content if request.can_read_body else None,
                headers=headers,
                skip_auto_headers=relay.AUTOMATIC,
                allow_redirects=False,
                ssl=backend.trust,
            ) as answer:
                return await _pass_on(request, answer, wanted)
        except (aiohttp.ClientError, TimeoutError) as error:
            if request.writer.output_size or isinstance(error, aiohttp.ClientPayloadError):
                raise ConnectionAbortedError(str(error)) from None
            raise _unavailable(f"error trying to reach service: {_words(error, url)}") from None

    async def _backend(self, wanted: Proxy) -> Backend:
        if wanted.resource == "pods":
            return await self._pod(wanted)
        if wanted.resource == "services":
            return await self._service(wanted)
        return await self._node(wanted)

    async def _pod(self, wanted: Proxy) -> Backend:
        scheme, name, port = split(wanted.name, "pod")
        pod = await self._kubelets.pod(wanted.namespace, name)
        if not port:
            declared = [p for c in pod["spec"]["containers"] for p in c.get("ports") or ()]
            port = str(declared[0]["containerPort"]) if declared else ""
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise statuses.bad_request("address not allowed")
        return Backend(f"{scheme}://{address}" + (f":{port}" if port else ""), self._anyone)

    async def _service(self, wanted: Proxy) -> Backend:
        scheme, name, port = split(wanted.name, "service")
        service = await self._kubelets.get(SERVICES.path(wanted.namespace, name))
        if port.isdigit():
            port = _port_name(service, int(port))
        slices = await self._kubelets.get(
            ENDPOINT_SLICES.path(wanted.namespace), labelSelector=f"{SERVICE_NAME}={name}"
        )
        ready = [one for slice_ in slices["items"] for one in endpoints(slice_, port)]
        if not ready:
            # Upstream names the Service alone where it has no endpoints, ready or not.
            known = any(slice_.get("endpoints") for slice_ in slices["items"])
            asked = wanted.name if known else name
            raise _unavailable(f'no endpoints available for service "{asked}"')
        return Backend(f"{scheme}://{random.choice(ready)}", self._anyone)

    async def _node(self, wanted: Proxy) -> Backend:
        scheme, name, port = split(wanted.name, "node")
        kubelet = urlsplit(await self._kubelets.of_node(name))
        if port in ("", str(kubelet.port)):
            return Backend(kubelet.geturl(), self._kubelets.ssl)
        return Backend(f"{scheme}://{kubelet.hostname}:{port}", self._anyone)


def endpoints(slice_: Mapping, port: str) -> Iterator[str]:
    """`address:port` of the ready endpoints of an EndpointSlice; `port` is a port's name."""
    numbers = [p["port"] for p in slice_.get("ports") or () if (p.get("name") or "") == port]
    for endpoint in slice_.get("endpoints") or ():
        if numbers and (endpoint.get("conditions") or {}).get("ready") is not False:
            address = endpoint["addresses"][0]
            yield f"{f'[{address}]' if ':' in address else address}:{numbers[0]}"


def _port_name(service: Mapping, number: int) -> str:
    for port in service["spec"].get("ports") or ():
        if port["port"] == number:
            return port.get("name") or ""
    name = service["metadata"]["name"]
    raise _unavailable(f'no service port {number} found for service "{name}"')


def _unavailable(message: str) -> ApiError:
    return status_error(503, "ServiceUnavailable", message)


def _words(error: Exception, url: str) -> str:
    """Why there is no answer, as Go says it."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return dial_failure(url, error.os_error)
    if isinstance(error, TimeoutError):
        return dial_failure(url, error)
    return "EOF" if isinstance(error, aiohttp.ServerDisconnectedError) else str(error)


def _request_headers(request: web.BaseRequest, wanted: Proxy) -> CIMultiDict[str]:
    headers = relay.without(request.headers, _NOT_FORWARDED)
    for name in [n for n in headers if n.lower().startswith(_OWN_PREFIXES)]:
        headers.popall(name, None)
    if request.remote:
        before = headers.get("X-Forwarded-For")
        headers["X-Forwarded-For"] = f"{before}, {request.remote}" if before else request.remote
    headers["X-Forwarded-Uri"] = f"{wanted.prefix}/{wanted.rest or ''}"
    return headers


async def _pass_on(
    request: web.BaseRequest, answer: aiohttp.ClientResponse, wanted: Proxy
) -> web.StreamResponse:
    headers = relay.without(answer.headers, relay.HOP_BY_HOP)
    hosts = (answer.url.raw_authority, request.headers.get("Host", ""))
    if location := headers.get("Location"):
        headers["Location"] = rewriting.link(location, wanted.prefix, hosts)
    page = b""
    if _is_page(request, answer):
        page, whole = await _read_page(answer.content)
        if whole:
            headers.popall("Content-Length", None)
            body = rewriting.page(page, wanted.prefix, hosts)
            return web.Response(
                status=answer.status, reason=answer.reason, headers=headers, body=body
            )
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    await response.prepare(request)
    if page:
        await streams.write(response, page)
    async for chunk in answer.content.iter_any():
        await streams.write(response, chunk)
    return response


def _is_page(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> bool:
    return (
        answer.content_type == "text/html"
        and "Content-Encoding" not in answer.headers
        and "Location" not in answer.headers
        and request.method != "HEAD"
    )


async def _read_page(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """(the beginning, whether it is all)."""
    parts, size = [], 0
    while size < _MAX_PAGE and (part := await content.readany()):
        parts.append(part)
        size += len(part)
    return b"".join(parts), content.at_eof()
