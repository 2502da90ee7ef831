"""The API server's face to the network: HTTPS in front of `APIServer.handle`.

One function answers every request, without a routing table and without middlewares, because most
requests are reads that cost no more than parsing them.  What is not a resource (health, discovery,
OpenAPI) is a page, looked up by path; a Pod's log, exec, port-forward or proxy is a connection
passed on (connect.py); all else goes to the registry as a `Request`.

Every request passes the gate (who asks, and may he?) before anything is served, and is noted in the
audit log, and counted for `/metrics`, when it is over.

Invariants: nothing is served that has not passed the gate; every answer that is not success is a
Status; an object that the store has encoded is sent as it is; a connection's identity is read from
its certificate once; whatever runs for a connection (a watch, a followed log) is cancelled when the
connection is lost.

Source: Kubernetes API concepts and k8s.io/apiserver pkg/endpoints.  Left out: HTTP/2, protobuf in
answers, priority and fairness.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from aiohttp import HttpVersion11, web

from labkit.apiserver import answers, auth, bodies, connect, statuses, streams
from labkit.apiserver.audit import AuditLog, Trail
from labkit.apiserver.connections import NOBODY, Connections
from labkit.apiserver.gate import Gate
from labkit.apiserver.negotiation import Form
from labkit.apiserver.pages import Pages
from labkit.apiserver.request import Request, Result, User, Watch
from labkit.apiserver.tables.format import Printer
from labkit.apiserver.target import Target
from labkit.apiserver.telemetry import RequestMetrics
from labkit.client.errors import ApiError, status_error
from labkit.client.transport import JSON
from labkit.clock import Clock

log = logging.getLogger(__name__)

MAX_BODY = 3 * 1024 * 1024
"""Bytes; upstream's limit for resource requests (etcd's own limit, doubled for good measure)."""
_BODY_TIMEOUT = 60.0  # seconds in which a client must have sent its body
_MAX_LINE = 64 * 1024  # bytes of a request's first line, where long label selectors are
_KEEPALIVE = 90.0  # seconds that an idle connection stays open, as upstream
_WATCH_TIMEOUT = (1800, 3600)  # seconds; random between, so that watches do not all end at once
_SHUTDOWN = 1.0  # seconds that running requests have left when the server stops

# How the names of the cluster's own parts begin.
_PARTS = ("system:node:", "system:kube-", "system:serviceaccount:kube-system:")

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_VERBS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class API(Protocol):
    """What this server needs of `APIServer`."""

    async def handle(self, request: Request) -> Result | Watch: ...

    def parse(self, path: str) -> Target: ...


class HTTPServer:
    """Serves `api` on each of `hosts`, (address, port) pairs; port 0 picks a free one.

    `ssl_context` must trust the cluster's CA and ask for client certificates (ssl.CERT_OPTIONAL);
    `kubelet_client` shows this server's own certificate to kubelets; `audit_log` is the file that
    tells who asked what, None for none.
    """

    def __init__(
        self,
        api: API,
        *,
        ssl_context: ssl.SSLContext,
        hosts: Sequence[tuple[str, int]],
        kubelet_client: ssl.SSLContext,
        clock: Clock,
        audit_log: Path | None = None,
    ) -> None:
        self.api, self.clock = api, clock
        self.last_request = clock.monotonic()
        self._ssl, self._hosts = ssl_context, list(hosts)
        self._gate = Gate(api, auth.server_names(ssl_context))
        self._audit = AuditLog(audit_log, clock)
        self._metrics = RequestMetrics(api)
        self._pages = Pages(api, self._metrics.text)
        self._connects = connect.Connects(api, kubelet_client)
        self._connections: Connections | None = None
        self._listeners: list[asyncio.Server] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the server listens."""
        return [s.getsockname()[:2] for one in self._listeners for s in one.sockets]

    async def start(self) -> None:
        """Listen.  Raises OSError where an address cannot be had; then nothing listens."""
        loop = asyncio.get_running_loop()
        self._audit.start()
        self._connections = Connections(
            self._answer,
            MAX_BODY,
            access_log=None,
            keepalive_timeout=_KEEPALIVE,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
        )
        try:
            for host, port in self._hosts:
                self._listeners.append(
                    await loop.create_server(
                        self._connections, host, port, ssl=self._ssl, backlog=1024
                    )
                )
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End watches, give running requests a moment, close everything.  Safe to repeat."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._connections:
            self._connections.end_streams()
            await self._connections.shutdown(_SHUTDOWN)
            self._connections = None
        await self._audit.stop()
        await self._connects.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        id = self._audit.new_id(request.headers.get("Audit-Id", ""))
        trail = Trail(id, request.method, request.path_qs, self.clock.now())
        answers.AUDIT_ID.set(id)
        try:
            return await self._respond(request, trail)
        finally:
            self._note(trail)
            self._audit.add(trail)
            self._metrics.add(trail, self.clock.now())

    def _note(self, trail: Trail) -> None:
        """Note that somebody asks: the cluster's own parts are nobody, for they never rest."""
        if trail.sender is None or not trail.sender.name.startswith(_PARTS):
            self.last_request = self.clock.monotonic()

    async def _respond(self, request: web.BaseRequest, trail: Trail) -> web.StreamResponse:
        try:
            response = await self._dispatch(request, trail)
            trail.code = response.status
            return response
        except ApiError as error:
            refusal = error
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            log.exception("request failed method=%s path=%s", request.method, request.path)
            refusal = statuses.internal(f"{type(error).__name__}: {error}")
        trail.code, trail.failure = refusal.code, refusal.status
        if request.writer.output_size:
            # An answer has begun: all that is left is to break it off.
            raise ConnectionAbortedError(str(refusal))
        return answers.refusal(refusal, pretty=answers.is_pretty(request))

    async def _dispatch(self, request: web.BaseRequest, trail: Trail) -> web.StreamResponse:
        headers, method = request.headers, request.method
        path = request.path.rstrip("/") or "/"  # the official Python client asks for /version/
        params = dict(request.query.items()) if request.query_string else {}
        user = self._admit(request, trail, path, params)
        if handler := self._pages.find(path):
            if method != "GET":
                raise statuses.method_not_allowed()
            page = await handler(path, headers, params)
            return web.Response(
                status=page.code, body=page.body, headers=answers.headers(page.headers)
            )
        if wanted := connect.parse(request.rel_url.raw_path):
            with self._metrics.running(trail):
                return await self._connect(request, wanted)
        if method not in _METHODS:
            raise statuses.method_not_allowed()
        form = answers.form(headers, params)
        if form.kind == "Table":
            form = form._replace(printer=self._printer(path))
        body, media, repeated = bodies.NOTHING
        if method in _VERBS_WITH_BODY and request.can_read_body:
            self.api.parse(path)  # where nothing is served, it does not matter what the body is
            body, media, repeated = await _body(request, method)
        elif "watch" in params and params.get("timeoutSeconds", "0") == "0":
            # Watches that begin together, as after a restart, shall not end together.
            params["timeoutSeconds"] = str(random.randint(*_WATCH_TIMEOUT))
        agent = headers.get("User-Agent", "")
        with self._metrics.inflight(method):
            answer = await self.api.handle(
                Request(method, path, user, params, body, media, agent, repeated)
            )
        if isinstance(answer, Watch):
            with self._metrics.running(trail):
                return await self._stream_watch(request, answer, form, params)
        return await answers.response(answer, form, params, headers, self.clock.now())

    def _printer(self, path: str) -> Printer | None:
        """Who makes the Tables of a custom resource."""
        try:
            where = self.api.parse(path)
        except ApiError:
            return None  # an aggregated API's, or nobody's
        custom = where.row.custom
        return custom.printer if custom and where.subresource != "scale" else None

    def _admit(
        self, request: web.BaseRequest, trail: Trail, path: str, params: Mapping[str, str]
    ) -> User:
        """The user for whom a request is served.  Raises ApiError 401 or 403."""
        # A connection that is lost already is nobody's.
        peer = self._connections.peers.get(request.protocol, NOBODY)
        trail.path, trail.params, trail.address = path, params, peer.address
        trail.user_agent = request.headers.get("User-Agent", "")
        trail.sender = self._gate.sender(request, peer.user)
        self._note(trail)
        trail.user = self._gate.user(request, trail.sender)
        trail.decision = self._gate.decide(trail.user, request.method, path, params)
        return trail.user

    async def _stream_watch(
        self,
        request: web.BaseRequest,
        watch: Watch,
        form: Form,
        params: Mapping[str, str],
    ) -> web.StreamResponse:
        include = params.get("includeObject") or "Metadata"
        encode = streams.encoder(form, self.clock.now, include)
        # Events are JSON lines, whatever lists may be.
        response = web.StreamResponse(headers=answers.headers({"Content-Type": JSON}))
        with self._connections.streaming(request):
            try:
                if request.version >= HttpVersion11:
                    response.enable_chunked_encoding()
                await response.prepare(request)
                await streams.send(request, response, watch.events, encode)
            finally:
                await watch.events.aclose()
        return response

    async def _connect(
        self, request: web.BaseRequest, wanted: connect.Connect | connect.Proxy
    ) -> web.StreamResponse:
        with self._connections.streaming(request):
            return await self._connects.answer(request, wanted)


async def _body(request: web.BaseRequest, method: str) -> bodies.Body:
    """The request's body.  Raises ApiError 400, 408, 413 or 415."""
    if (request.content_length or 0) > MAX_BODY:
        raise _too_large()
    try:
        # A body that came with the head needs no watching.
        async with asyncio.timeout(None if request.content.is_eof() else _BODY_TIMEOUT):
            content = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except web.RequestPayloadError as error:
        raise statuses.bad_request(str(error)) from None
    except TimeoutError:
        raise status_error(408, "Timeout", "the request's body did not arrive in time") from None
    return bodies.decode(content, method, request.headers.get("Content-Type", ""))


def _too_large() -> ApiError:
    message = f"Request entity too large: limit is {MAX_BODY}"
    return status_error(413, "RequestEntityTooLarge", message)
