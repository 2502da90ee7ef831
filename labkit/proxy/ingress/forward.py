"""One request on its way to an endpoint, and the answer on its way back.

Each request goes to the next endpoint in turn, over a connection of its own (on one machine that
costs a tenth of a millisecond, and no connection can be closed by its server just when it is used
again).  An endpoint that cannot be reached is passed over.  A request that may be repeated (GET,
HEAD, PUT, DELETE, OPTIONS without a body) is sent to the next endpoint, too, when the connection
breaks before anything has been passed back.

Bodies are streamed in both directions, so nobody's body fills this process' memory; short answers
are read whole first.  `Upgrade` (WebSocket) turns the connection into two streams of bytes.

Source: RFC 9110, 7.6 (intermediaries); ingress-nginx' default configuration (headers, retries,
timeouts, round robin).  Left out: HSTS, which a browser would remember of names on this machine.
"""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from labkit.clock import Clock
from labkit.proxy.ingress import pages, routes
from labkit.proxy.ingress.metrics import Labels, RequestMetrics
from labkit.proxy.ingress.routes import Backend, Location
from labkit.proxy.rules import Address
from labkit.wire import relay
from labkit.wire.hijack import copy, first, hijacked
from labkit.wire.upgrade import Upgraded, upgrade

_CONNECT_TIMEOUT = 1.0  # seconds for one endpoint
_GIVE_UP = 5.0  # seconds after which no further endpoint is tried (proxy-connect-timeout)
_READ_TIMEOUT = 60.0  # seconds without a byte (proxy-read-timeout)
_SHORT = 64 << 10  # bytes of an answer that is read whole
_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")
_SERVER = "ingress-controller"  # where the endpoint says nothing of itself
_CLIENT_CLOSED = 499  # nginx' status, for the metrics, of a client that did not wait

Find = Callable[[str, str], Location | None]
Endpoints = Callable[[Backend], Sequence[Address]]
SecurePort = Callable[[int], int | None]


class Forward:
    """Answers requests: `find(authority, path)` gives their location, `endpoints(backend)` those
    that serve it, `secure_port(port)` the HTTPS port beside an HTTP one."""

    def __init__(
        self,
        find: Find,
        endpoints: Endpoints,
        secure_port: SecurePort,
        metrics: RequestMetrics,
        clock: Clock,
    ) -> None:
        self._find, self._endpoints, self._secure_port = find, endpoints, secure_port
        self._metrics, self._clock = metrics, clock
        self._turns: dict[Backend, int] = defaultdict(int)
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Get ready for requests; needs the running loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=_READ_TIMEOUT
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def stop(self) -> None:
        """Close connections to endpoints.  Safe to repeat."""
        if self._session:
            await self._session.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request, whatever happens to it."""
        begun, status = self._clock.monotonic(), _CLIENT_CLOSED
        location = self._find(request.host, request.path)
        try:
            response = await self._respond(request, location)
            status = response.status
            return response
        finally:
            seconds = self._clock.monotonic() - begun
            self._metrics.observe(_labels(request.method, location, status), seconds)

    async def _respond(
        self, request: web.BaseRequest, location: Location | None
    ) -> web.StreamResponse:
        if location is None:
            return _page(404, pages.no_rule(routes.hostname(request.host), request.path))
        if location.secure and not request.secure:
            return self._to_https(request)
        endpoints = self._endpoints(location.backend) if location.backend else ()
        if not endpoints:
            return _page(503, pages.no_endpoint(location))
        # Nobody else would tell a client that waits for it to send its body.
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        target, headers = _target(request, location), forwarded_headers(request)
        order = self._in_turn(location.backend, endpoints)
        if (protocol := request.headers.get("Upgrade", "")) and protocol.lower() != "h2c":
            headers["Connection"], headers["Upgrade"] = "Upgrade", protocol
            return await self._tunnel(request, location, order, target, headers)
        return await self._pass_on(request, location, order, target, headers)

    def _to_https(self, request: web.BaseRequest) -> web.Response:
        """The same address with https, at the port beside the one that the client came to."""
        name, _, port = request.host.rpartition(":")
        if port.isdigit():
            secure = self._secure_port(int(port))
            authority = f"{name}:{secure}" if secure else name
        else:
            authority = request.host
        location = f"https://{authority}{request.rel_url.raw_path_qs}"
        return web.Response(status=308, headers={"Location": location, "Server": _SERVER})

    def _in_turn(self, backend: Backend, endpoints: Sequence[Address]) -> Iterator[Address]:
        """The endpoints to try: the next one, then others by chance, not the neighbours on the
        same node, until it has lasted too long."""
        until = self._clock.monotonic() + _GIVE_UP
        self._turns[backend] += 1
        chosen = endpoints[self._turns[backend] % len(endpoints)]
        yield chosen
        for endpoint in random.sample(endpoints, len(endpoints)):
            if self._clock.monotonic() > until:
                return
            if endpoint != chosen:
                yield endpoint

    async def _pass_on(
        self,
        request: web.BaseRequest,
        location: Location,
        order: Iterator[Address],
        target: str,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        repeatable = request.method in _REPEATABLE and not request.can_read_body
        for ip, port in order:
            try:
                async with self._session.request(
                    request.method,
                    URL(f"http://{ip}:{port}{target}", encoded=True),
                    data=request.content if request.can_read_body else None,
                    headers=headers,
                    skip_auto_headers=relay.AUTOMATIC,
                    allow_redirects=False,
                ) as answer:
                    return await _pass_back(request, answer)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                continue  # nothing has been sent
            except TimeoutError:
                _unless_begun(request)
                return _page(504, pages.no_answer(location))
            except aiohttp.ClientError:
                _unless_begun(request)
                if not repeatable or request.transport is None:  # or nobody waits any more
                    break
        return _page(502, pages.no_answer(location))

    async def _tunnel(
        self,
        request: web.BaseRequest,
        location: Location,
        order: Iterator[Address],
        target: str,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        for ip, port in order:
            try:
                async with upgrade(
                    f"http://{ip}:{port}", target, method=request.method, headers=headers
                ) as upstream:
                    return await _through(request, upstream)
            except OSError:
                _unless_begun(request)
        return _page(502, pages.no_answer(location))


def _unless_begun(request: web.BaseRequest) -> None:
    """Raise where an answer has begun: all that is left is to break it off."""
    if request.writer.output_size:
        raise ConnectionAbortedError("the endpoint broke off its answer") from None


async def _through(request: web.BaseRequest, upstream: Upgraded) -> web.StreamResponse:
    """The two connections joined; or the endpoint's refusal."""
    if upstream.status != 101:
        headers = relay.without(upstream.headers, (*relay.HOP_BY_HOP, "Content-Length"))
        text = await upstream.explanation()
        return web.Response(status=upstream.status, headers=headers, body=text.encode())
    async with hijacked(request, upstream.headers) as (response, reader, writer):
        await first(copy(reader, upstream.writer), copy(upstream.reader, writer))
    return response


async def _pass_back(
    request: web.BaseRequest, answer: aiohttp.ClientResponse
) -> web.StreamResponse:
    headers = relay.without(answer.headers, relay.HOP_BY_HOP)
    headers.setdefault("Server", _SERVER)
    status, reason, length = answer.status, answer.reason, answer.content_length
    if length and length <= _SHORT and request.method != "HEAD":
        body = await answer.read()
        return web.Response(status=status, reason=reason, headers=headers, body=body)
    response = web.StreamResponse(status=status, reason=reason, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    return response


def _target(request: web.BaseRequest, location: Location) -> str:
    """Path and query with which the request is passed on, as on the wire."""
    if not location.rewrite:
        return request.rel_url.raw_path_qs
    path = URL.build(path=location.rewritten(request.path)).raw_path
    query = request.rel_url.raw_query_string
    return f"{path}?{query}" if query else path


def forwarded_headers(request: web.BaseRequest) -> CIMultiDict[str]:
    """The client's headers, and who it is.  What it says of that itself is not believed."""
    headers = relay.without(request.headers, (*relay.HOP_BY_HOP, "Expect"))
    scheme = "https" if request.secure else "http"
    if before := headers.get("X-Forwarded-For"):
        headers["X-Original-Forwarded-For"] = before
    client, host = request.remote or "", request.host
    server = request.transport.get_extra_info("sockname") if request.transport else None
    headers["X-Request-ID"] = headers.get("X-Request-ID") or uuid.uuid4().hex
    headers["X-Real-IP"] = headers["X-Forwarded-For"] = client
    headers["X-Forwarded-Host"] = host
    headers["X-Forwarded-Port"] = str(server[1]) if server else ""
    headers["X-Forwarded-Proto"] = headers["X-Forwarded-Scheme"] = headers["X-Scheme"] = scheme
    return headers


def _labels(method: str, location: Location | None, status: int) -> Labels:
    if location is None:
        return Labels("", "", "", "_", "", method, str(status))
    namespace, _, ingress = location.ingress.partition("/")
    service = location.backend.service if location.backend else ""
    host = location.host or "_"
    return Labels(namespace, ingress, service, host, location.path, method, str(status))


def _page(status: int, why: str) -> web.Response:
    text = pages.page(status, why)
    headers = {"Server": _SERVER}
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)
