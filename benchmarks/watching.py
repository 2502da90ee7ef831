"""From sending a CREATE to its event at every one of many watchers."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable

from benchmarks.connection import Connection, Server

WATCHERS, EVENTS = 100, 200
_PAUSE = 0.02  # seconds between two events: this measures latency, not throughput
_MARK = b'"name":"watched-'


class Watcher(asyncio.Protocol):
    """One watch; it notes when it sees each number.  `connected` is set by its first bytes."""

    def __init__(self, request: bytes) -> None:
        self.connected = asyncio.Event()
        self.seen: dict[int, float] = {}
        self._request, self._rest = request, b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self.connected.set()
        text = self._rest + data
        *marks, last = text.split(_MARK)
        for mark in marks[1:]:
            self.seen.setdefault(int(mark.partition(b'"')[0]), now)
        number, quote, _ = last.partition(b'"')
        if marks and quote:
            self.seen.setdefault(int(number), now)
        self._rest = text[-len(_MARK) - 8 :]

    def close(self) -> None:
        """Give the socket back."""
        self._transport.close()


async def latency(server: Server, connection: Connection, path: str) -> str:
    """Median and 99th percentile over all events of all watchers; `path` is of ConfigMaps."""
    loop = asyncio.get_running_loop()
    answer = await connection.ask(server.request("GET", path))
    listed = json.loads(answer.partition(b"\r\n\r\n")[2])
    revision = listed["metadata"]["resourceVersion"]
    request = server.request("GET", f"{path}?watch=1&resourceVersion={revision}")
    watchers = []
    for _ in range(WATCHERS):
        _, watcher = await loop.create_connection(
            lambda: Watcher(request), server.host, server.port, ssl=server.ssl
        )
        watchers.append(watcher)
    await asyncio.gather(*(watcher.connected.wait() for watcher in watchers))
    try:
        times = await _times(watchers, lambda body: server.request("POST", path, body), connection)
    finally:
        for watcher in watchers:
            watcher.close()
    cuts = statistics.quantiles(times, n=100)
    return f"median {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms, {WATCHERS} watchers"


async def _times(
    watchers: list[Watcher], request: Callable[[object], bytes], connection: Connection
) -> list[float]:
    sent = {}
    for number in range(EVENTS):
        body = {"metadata": {"name": f"watched-{number}"}}
        prepared = request(body)
        sent[number] = time.perf_counter()
        await connection.ask(prepared)
        await asyncio.sleep(_PAUSE)
    async with asyncio.timeout(30):
        while any(len(watcher.seen) < EVENTS for watcher in watchers):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return [at - sent[number] for watcher in watchers for number, at in watcher.seen.items()]
