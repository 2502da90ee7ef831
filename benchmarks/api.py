"""Requests per second and latency of an API server, over HTTPS, at 16 connections.

Our own runs in a process of its own with a store on disk; any other is measured with the same
requests.  The client looks at no more of an answer than it must, so that it is the server that is
measured; each figure is the median of several rounds.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import uvloop

from benchmarks import watching
from benchmarks.connection import Connection, Server
from benchmarks.server import own_server
from labkit.client import kubeconfig
from labkit.client.http import HttpTransport
from labkit.client.transport import PATCH_TYPES

CONNECTIONS, ROUNDS = 16, 5
PODS = 1000
_SECONDS = 2.0  # of one round

# What a Pod of a Deployment looks like to the API server, about 2 KB; no node will take it.
_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"labels": {"app": "bench"}, "annotations": {"note": "x" * 600}},
    "spec": {
        "nodeSelector": {"labkit.bench/nowhere": "yes"},
        "containers": [
            {
                "name": "app",
                "image": "labkit/web:1",
                "env": [{"name": f"VARIABLE_{number}", "value": "x" * 20} for number in range(8)],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                "ports": [{"containerPort": 8080}],
            }
        ],
    },
}


class Bench:
    """Everything that is measured, in one namespace of one server."""

    def __init__(self, transport: HttpTransport) -> None:
        self._server = Server(transport)
        self._bytes = self._server.request
        self._namespace = f"bench-{uuid.uuid4().hex[:8]}"
        self._serial = 0

    def _path(self, resource: str, name: str = "") -> str:
        path = f"/api/v1/namespaces/{self._namespace}/{resource}"
        return f"{path}/{name}" if name else path

    async def run(self) -> list[tuple[str, str]]:
        """All figures."""
        connections = [await self._server.connect() for _ in range(CONNECTIONS)]
        first = connections[0]
        namespace = {"metadata": {"name": self._namespace}}
        await first.ask(self._bytes("POST", "/api/v1/namespaces", namespace))
        account = {"metadata": {"name": "default"}}
        try:  # a cluster without controllers does not make it
            await first.ask(self._bytes("POST", self._path("serviceaccounts"), account))
        except RuntimeError:
            pass
        try:
            for number in range(PODS):
                pod = {**_POD, "metadata": {**_POD["metadata"], "name": f"pod-{number}"}}
                await first.ask(self._bytes("POST", self._path("pods"), pod))
            return await self._measure(connections)
        finally:
            for kind in ("pods?gracePeriodSeconds=0", "configmaps"):
                await first.ask(self._bytes("DELETE", self._path(kind)))
            await first.ask(self._bytes("DELETE", f"/api/v1/namespaces/{self._namespace}"))
            for connection in connections:
                connection.close()

    async def _measure(self, connections: list[Connection]) -> list[tuple[str, str]]:
        get = self._bytes("GET", self._path("pods", "pod-7"))
        listing = self._bytes("GET", self._path("pods"))
        return [
            ("GET Pod", await self._rate(connections, lambda: get)),
            ("CREATE ConfigMap", await self._rate(connections, self._config_map)),
            ("PATCH Pod status", await self._rate(connections, self._status)),
            (f"LIST {PODS} Pods", await self._rate(connections, lambda: listing)),
            ("CREATE to watch event", await self._watch(connections[0])),
        ]

    def _config_map(self) -> bytes:
        self._serial += 1
        body = {"metadata": {"name": f"config-{self._serial}"}, "data": {"key": "x" * 100}}
        return self._bytes("POST", self._path("configmaps"), body)

    def _status(self) -> bytes:
        self._serial += 1
        path = self._path("pods", f"pod-{self._serial % PODS}") + "/status"
        body = {"status": {"message": f"number {self._serial}"}}
        return self._bytes("PATCH", path, body, PATCH_TYPES["merge"])

    async def _watch(self, connection: Connection) -> str:
        path = self._path("configmaps")
        await connection.ask(self._bytes("DELETE", path))
        return await watching.latency(self._server, connection, path)

    async def _rate(self, connections: list[Connection], request: Callable[[], bytes]) -> str:
        rates, latencies = [], []
        for _ in range(ROUNDS):
            times: list[float] = []
            start = time.perf_counter()
            end = start + _SECONDS
            await asyncio.gather(*(_keep_asking(c, request, end, times) for c in connections))
            rates.append(len(times) / (time.perf_counter() - start))
            latencies.append(statistics.median(times))
        rate, latency = statistics.median(rates), statistics.median(latencies)
        return f"{rate:,.0f}/s, median {latency * 1000:.1f} ms"


async def _keep_asking(
    connection: Connection, request: Callable[[], bytes], end: float, times: list[float]
) -> None:
    while (start := time.perf_counter()) < end:
        await connection.ask(request())
        times.append(time.perf_counter() - start)


async def _figures(path: Path) -> list[tuple[str, str]]:
    transport = kubeconfig.transport(path)
    try:
        return await Bench(transport).run()
    finally:
        await transport.close()


def measure(path: Path | None = None) -> Iterator[tuple[str, str]]:
    """(what, figure) for the server of a kubeconfig, or for our own."""
    if path:
        yield from uvloop.run(_figures(path))
        return
    with own_server() as (own, pid):
        yield "memory after start", f"{psutil.Process(pid).memory_info().rss / 2**20:.0f} MiB"
        yield from uvloop.run(_figures(own))
