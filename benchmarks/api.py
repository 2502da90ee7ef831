"""Requests per second and latency of an API server, over HTTPS, at 16 connections.

`python -m benchmarks.api` measures our own, in a process of its own with a store on disk;
`--kubeconfig` measures any other with the same requests.  The client writes prepared bytes to
sockets and looks at no more of an answer than it must, so that it is the server that is measured;
each figure is the median of several rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import ssl
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from labkit.apiserver.core import APIServer
from labkit.apiserver.http import HTTPServer
from labkit.apiserver.store_sqlite import SQLiteStore
from labkit.client import kubeconfig
from labkit.client.http import HttpTransport
from labkit.client.transport import JSON, PATCH_TYPES
from labkit.clock import Clock
from labkit.clusters import kubeconfig as writer
from labkit.clusters.pki import CertificateAuthority

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


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future | None = None
        self._end = -1  # where the answer ends in `_received`, -1 until its head is there

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server closed"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._end < 0:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return
            lower = bytes(self._received[:head]).lower()
            if b"content-length:" in lower:
                length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                self._end = head + 4 + length
            elif not self._received.endswith(b"\r\n0\r\n\r\n"):
                return  # a chunked answer: wait for its last chunk
            else:
                self._end = len(self._received)
        if len(self._received) >= self._end and self._answer:
            answer, self._received, self._end = bytes(self._received), bytearray(), -1
            self._answer.set_result(answer)

    async def ask(self, request: bytes) -> bytes:
        """The whole answer, as it came.  Raises RuntimeError for what is not success."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        if answer[9:10] != b"2":
            raise RuntimeError(answer.decode(errors="replace"))
        return answer

    def close(self) -> None:
        """Give the socket back."""
        self._transport.close()


class Bench:
    """Everything that is measured, in one namespace of one server."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport
        url = urlsplit(transport.server)
        self._host, self._port = url.hostname, url.port or 443
        self._ssl: ssl.SSLContext | None = transport.ssl_context
        self._namespace = f"bench-{uuid.uuid4().hex[:8]}"
        self._serial = 0

    def _bytes(self, method: str, path: str, body: object = None, content_type: str = JSON):
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in self._transport.headers.items()]
        if data:
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(data)}"]
        return "\r\n".join([*lines, "", ""]).encode() + data

    def _path(self, resource: str, name: str = "") -> str:
        path = f"/api/v1/namespaces/{self._namespace}/{resource}"
        return f"{path}/{name}" if name else path

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(Connection, self._host, self._port, ssl=self._ssl)
        return made

    async def run(self) -> list[tuple[str, str]]:
        """All figures."""
        connections = [await self._connect() for _ in range(CONNECTIONS)]
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
            ("write to watch event", await self._watch_latency(connections[0])),
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

    async def _watch_latency(self, connection: Connection) -> str:
        """From sending a PATCH to its event on a watch of another connection."""
        path = self._path("configmaps")
        name = {"metadata": {"name": "watched"}}
        await connection.ask(self._bytes("POST", path, name))
        reader, sender = await asyncio.open_connection(
            self._host, self._port, ssl=self._ssl, limit=1 << 26
        )
        query = "?watch=1&fieldSelector=metadata.name%3Dwatched"
        sender.write(self._bytes("GET", path + query))
        await reader.readuntil(b'"ADDED"')
        times = []
        for number in range(200):
            mark = f"number-{number}-of-the-watch"
            body = {"data": {"mark": mark}}
            start = time.perf_counter()
            patch = self._bytes("PATCH", f"{path}/watched", body, PATCH_TYPES["merge"])
            asking = asyncio.create_task(connection.ask(patch))
            await reader.readuntil(mark.encode())
            times.append(time.perf_counter() - start)
            await asking
        sender.close()
        return f"median {statistics.median(times) * 1000:.2f} ms"


async def _keep_asking(
    connection: Connection, request: Callable[[], bytes], end: float, times: list[float]
) -> None:
    while (start := time.perf_counter()) < end:
        await connection.ask(request())
        times.append(time.perf_counter() - start)


@contextmanager
def own_server() -> Iterator[Path]:
    """The kubeconfig of our own API server, which runs in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="labkit-") as directory:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(directory, theirs), daemon=True)
        process.start()
        try:
            yield Path(ours.recv())
        finally:
            process.terminate()
            process.join(10)


def _serve(directory: str, pipe) -> None:
    """The child's main function: serve until terminated."""
    home, clock = Path(directory), Clock()
    authority = CertificateAuthority(home / "pki", clock.now())
    authority.server("apiserver", "kube-apiserver", ("127.0.0.1",))
    authority.client(writer.ADMIN, "kubernetes-admin", "system:masters")

    async def run() -> None:
        store = SQLiteStore(home / "state.db")
        api = APIServer(store, clock, service_cidr="127.96.0.0/16")
        await api.start()
        http = HTTPServer(
            api,
            ssl_context=authority.server_context("apiserver", clients=ssl.CERT_OPTIONAL),
            hosts=[("127.0.0.1", 0)],
            kubelet_client=authority.client_context(writer.ADMIN),
            clock=clock,
        )
        await http.start()
        port = http.addresses[0][1]
        writer.write(home / "config", "bench", f"https://127.0.0.1:{port}", authority)
        pipe.send(str(home / "config"))
        await asyncio.Event().wait()

    uvloop.run(run())


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
    with own_server() as own:
        yield from uvloop.run(_figures(own))


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", type=Path, help="measure this server instead of our own")
    print(f"{CONNECTIONS} connections over TLS, medians of {ROUNDS} rounds of {_SECONDS:g} s")
    for what, figure in measure(parser.parse_args().kubeconfig):
        print(f"{what:<24} {figure}", flush=True)


if __name__ == "__main__":
    main()
