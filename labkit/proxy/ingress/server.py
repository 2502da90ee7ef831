"""The Ingress controller's sockets: HTTP, HTTPS, and the page with its metrics.

The ports are those that the world expects (80 and 443) where this user may listen there, else the
next that people know (8080 and 8443).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
from dataclasses import dataclass, replace

from aiohttp import web

from labkit.errors import ClusterError
from labkit.proxy.binding import Bind, bind
from labkit.proxy.ingress.forward import Forward
from labkit.proxy.ingress.metrics import CONTENT_TYPE, RequestMetrics

log = logging.getLogger(__name__)

_BACKLOG = 1024
_KEEP_ALIVE = 75.0  # seconds (nginx' keep-alive)
_SHUTDOWN = 2.0  # seconds for requests in flight
_REFUSED = (errno.EACCES, errno.EPERM, errno.EADDRINUSE)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to listen; `fallbacks` take the places of `http` and `https` that are refused."""

    http: int = 80
    https: int = 443
    status: int = 10254  # /metrics and /healthz, as ingress-nginx has them
    fallbacks: tuple[int, int] = (8080, 8443)


class IngressServer:
    """Three listeners at one address; `ports` are those that it got, once they are bound."""

    def __init__(
        self,
        address: str,
        ports: Ports,
        forward: Forward,
        metrics: RequestMetrics,
        bind: Bind = bind,
    ) -> None:
        self._take = bind
        self._address, self.ports = address, ports
        self._forward, self._metrics = forward, metrics
        self._sockets: list[socket.socket] = []
        self._listeners: list[asyncio.Server] = []
        self._served: list[web.Server] = []

    def bind(self) -> None:
        """Take the ports: clients wait until `start`.  Raises ClusterError where there are none."""
        wanted, (http, https) = self.ports, self.ports.fallbacks
        for choice in ((wanted.http, http), (wanted.https, https), (wanted.status,)):
            self._sockets.append(_bind(self._address, choice, self._take))
        got = [sock.getsockname()[1] for sock in self._sockets]
        self.ports = replace(wanted, http=got[0], https=got[1], status=got[2])

    async def start(self, context: ssl.SSLContext) -> None:
        """Serve; `context` is that of HTTPS."""
        self._forward.start()
        plain, secure, status = self._sockets
        await self._listen(plain, self._forward.answer)
        await self._listen(secure, self._forward.answer, context)
        await self._listen(status, self._status)
        log.info("serving address=%s ports=%s", self._address, self.ports)

    async def stop(self) -> None:
        """Listen no more, give running requests a moment, close all.  Safe to repeat."""
        for listener in (*self._listeners, *self._sockets):
            listener.close()
        self._listeners.clear()
        self._sockets.clear()
        served, self._served = self._served, []
        await asyncio.gather(*(one.shutdown(_SHUTDOWN) for one in served))
        await self._forward.stop()

    async def _listen(
        self, sock: socket.socket, handler, context: ssl.SSLContext | None = None
    ) -> None:
        server = web.Server(
            handler, keepalive_timeout=_KEEP_ALIVE, auto_decompress=False, access_log=None
        )
        self._served.append(server)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(server, sock=sock, ssl=context, backlog=_BACKLOG)
        self._listeners.append(listener)

    async def _status(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/metrics":
            body = self._metrics.text().encode()
            return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
        if request.path == "/healthz":
            return web.Response(text="ok")
        return web.Response(status=404, text="404 page not found\n")


def _bind(address: str, ports: tuple[int, ...], bind: Bind) -> socket.socket:
    for port in ports:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bind(sock, (address, port))
            # Several may bind with SO_REUSEADDR, but only one may listen.
            sock.listen(_BACKLOG)
            return sock
        except OSError as error:
            sock.close()
            refused = error
            if error.errno not in _REFUSED:
                break
    tried = " or ".join(map(str, ports))
    raise ClusterError(
        f"The Ingress controller cannot listen at {address}, port {tried}: "
        f"{os.strerror(refused.errno)}.",
        "Another program, perhaps another cluster, is there already.",
        f"See who listens: ss -lntp 'src {address}'",
    ) from refused
