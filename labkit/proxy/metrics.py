"""What the Service proxy has carried, as Prometheus reads it: `http://NODE:10249/metrics`.

10249 is kube-proxy's port for its metrics.  kube-proxy has none of these, for the kernel forwards
its connections and tells it nothing of them; a userspace proxy sees each one.  The page is at one
node's address, for one proxy works for all nodes; through the API server it is
`kubectl get --raw /api/v1/nodes/NODE:10249/proxy/metrics`.

Source: Prometheus' text format 0.0.4.  Left out: kube-proxy's own metrics (how long it takes to
write its rules).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping

from aiohttp import web

from labkit.proxy.binding import Bind
from labkit.proxy.rules import Address

log = logging.getLogger(__name__)

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SHUTDOWN = 1.0  # seconds for an answer that is on its way
_ENDPOINT = {
    "connections": ("connections_total", "counter", "Connections that the endpoint has taken"),
    "active": ("active_connections", "gauge", "Connections to the endpoint that are open"),
    "failures": ("failures_total", "counter", "Connections that the endpoint has not taken"),
    "sent_bytes": ("sent_bytes_total", "counter", "Bytes from clients to the endpoint"),
    "received_bytes": ("received_bytes_total", "counter", "Bytes from the endpoint to clients"),
}


def text(counts: Iterable[Mapping], clients: Iterable[Mapping]) -> str:
    """The page, from `ServiceProxy.counts` and `ServiceProxy.clients`."""
    return "".join(f"{line}\n" for line in _lines(list(counts), clients))


def _lines(counts: list[Mapping], clients: Iterable[Mapping]) -> Iterator[str]:
    for column, (name, kind, words) in _ENDPOINT.items():
        name = f"labkit_proxy_endpoint_{name}"
        yield f"# HELP {name} {words}"
        yield f"# TYPE {name} {kind}"
        for row in counts:
            yield f"{name}{{{_labels(row, 'endpoint')}}} {row[column]}"
    name = "labkit_proxy_client_connections_total"
    yield f"# HELP {name} Connections of a client's address that an endpoint has taken"
    yield f"# TYPE {name} counter"
    for row in clients:
        yield f"{name}{{{_labels(row, 'client')}}} {row['connections']}"


def _labels(row: Mapping, other: str) -> str:
    namespace, _, service = row["service"].partition("/")
    pairs = {
        "address": row["address"],
        other: row[other],
        "namespace": namespace,
        "service": service,
    }
    return ",".join(f'{name}="{value}"' for name, value in sorted(pairs.items()))


class MetricsPage:
    """Serves `page()` at `address`; an address that cannot be had costs the page only."""

    def __init__(self, address: Address, page: Callable[[], str], bind: Bind) -> None:
        self._address, self._page, self._bind = address, page, bind
        self._listener: asyncio.Server | None = None
        self._server: web.Server | None = None

    async def start(self) -> None:
        """Listen."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._bind(sock, self._address)
            self._server = web.Server(self._answer, access_log=None)
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._server, sock=sock)
        except OSError as error:
            sock.close()
            log.warning("no metrics address=%s:%d error=%s", *self._address, error)

    async def stop(self) -> None:
        """Listen no more.  Safe to repeat."""
        if self._listener:
            self._listener.close()
            await self._server.shutdown(_SHUTDOWN)
            self._listener = None

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path != "/metrics":
            return web.Response(status=404, text="404 page not found\n")
        return web.Response(body=self._page().encode(), headers={"Content-Type": _CONTENT_TYPE})
