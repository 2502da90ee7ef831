"""What a part tells of itself, as Prometheus reads it: instruments, and the page that shows them.

Each part has a registry of its own, since several share a process; the numbers of the process
(`process_cpu_seconds_total`, `process_resident_memory_bytes`) are those of all who share it.
Counters live as long as their part: after a restart they begin at zero, as everywhere.

Source: Prometheus' text format 0.0.4; client-go util/workqueue (metrics.go) for the names of what
work queues tell.  Left out: TLS and authentication of the pages (upstream asks who scrapes; these
are on the machine's own loopback), exemplars, `/metrics/slis`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable
from typing import NamedTuple

import prometheus_client as prometheus
from aiohttp import web

from labkit.client.workqueue import WorkQueue

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Address = tuple[str, int]
Bind = Callable[[socket.socket, Address], None]
_NAMES = (
    *("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    "kubernetes.default.svc.cluster.local",
)
_SHUTDOWN = 1.0  # seconds for an answer that is on its way
_QUEUE_BUCKETS = tuple(1e-8 * 10**power for power in range(10))  # seconds; upstream's

# Upstream has no series that tell when others began.
prometheus.disable_created_metrics()


def registry() -> prometheus.CollectorRegistry:
    """An empty registry, but for the numbers of the process."""
    made = prometheus.CollectorRegistry()
    prometheus.ProcessCollector(registry=made)
    return made


def text(instruments: prometheus.CollectorRegistry) -> str:
    """The page that Prometheus scrapes."""
    return prometheus.generate_latest(instruments).decode()


class MetricsPage:
    """Serves `page()` at `address`; an address that cannot be had costs the page only.

    It answers to addresses and to the API server's names, as its proxy passes on the name that it
    was asked by: a web page that has made its own name lead here must not read it."""

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
        if not _is_ours(request.host.rpartition(":")[0] or request.host):
            return web.Response(status=403, text=f"ask for http://{self._address[0]}\n")
        if request.path != "/metrics":
            return web.Response(status=404, text="404 page not found\n")
        return web.Response(body=self._page().encode(), headers={"Content-Type": CONTENT_TYPE})


def _is_ours(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host in _NAMES
    return True


class _Queue(NamedTuple):
    """What one work queue is counted by."""

    adds: prometheus.Counter
    retries: prometheus.Counter
    waited: prometheus.Histogram
    worked: prometheus.Histogram


class QueueMetrics:
    """The instruments of all work queues of a part."""

    def __init__(self, instruments: prometheus.CollectorRegistry) -> None:
        def made(kind: type, name: str, words: str, **more):
            return kind(f"workqueue_{name}", words, ["name"], registry=instruments, **more)

        counter, histogram = prometheus.Counter, prometheus.Histogram
        buckets = {"buckets": _QUEUE_BUCKETS}
        self._depth = made(prometheus.Gauge, "depth", "Current depth of workqueue")
        self._each = _Queue(
            made(counter, "adds", "Total number of adds handled by workqueue"),
            made(counter, "retries", "Total number of retries handled by workqueue"),
            made(
                histogram,
                "queue_duration_seconds",
                "How long in seconds an item stays in workqueue before being requested.",
                **buckets,
            ),
            made(
                histogram,
                "work_duration_seconds",
                "How long in seconds processing an item from workqueue takes.",
                **buckets,
            ),
        )

    def watch(self, queue: WorkQueue, name: str) -> None:
        """Count what `queue` does from now on."""
        self._depth.labels(name).set_function(lambda: len(queue))
        queue.metrics = _Queue(*(one.labels(name) for one in self._each))
