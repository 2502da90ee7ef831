"""From sending a CREATE to its event at every one of many watchers."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import statistics
import time
from collections.abc import Callable

from benchmarks.connection import Connection, Server

WATCHERS, EVENTS = 100, 200
_PAUSE = 0.02  # seconds between two events: this measures latency, not throughput
_MARK = b'"name":"watched-'


class Watcher:
    """One watch; it notes when it sees each number.  `connected` is set by its first bytes.

    A hundred clients share one processor here, which no hundred clients do.  So none of them keeps
    the next one from its data: what comes is put aside with its time, and read when all have got
    theirs (`catch_up`).  An event was seen when its bytes had come and, after that, been decrypted.
    """

    def __init__(self, server: Server, request: bytes) -> None:
        self.connected = asyncio.Event()
        self.seen: dict[int, float] = {}
        self._rest = b""
        self._aside: list[tuple[float, bytes]] = []
        self._socket = socket.create_connection((server.host, server.port))
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = server.ssl and server.ssl.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server.host
        )
        self._shake_hands()
        if self._tls:
            self._tls.write(request)
        self._socket.sendall(self._outgoing.read() if self._tls else request)
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def _shake_hands(self) -> None:
        while self._tls:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                self._incoming.write(self._socket.recv(65536))

    def _readable(self) -> None:
        data = self._socket.recv(65536)
        self._aside.append((time.perf_counter(), data))
        if not data:
            self.close()
        elif not self.connected.is_set():
            self.catch_up()

    def catch_up(self) -> None:
        """Read what was put aside."""
        aside, self._aside = self._aside, []
        for came, data in aside:
            begun = time.perf_counter()
            if self._tls:
                data = self._decrypted(data)
            if data:
                self.connected.set()
                self._note(self._rest + data, came + time.perf_counter() - begun)

    def _decrypted(self, data: bytes) -> bytes:
        self._incoming.write(data)
        found = []
        try:
            while self._incoming.pending:
                found.append(self._tls.read(65536))
        except ssl.SSLWantReadError:  # a session ticket, or half a record
            pass
        return b"".join(found)

    def _note(self, text: bytes, now: float) -> None:
        *marks, last = text.split(_MARK)
        for mark in marks[1:]:
            self.seen.setdefault(int(mark.partition(b'"')[0]), now)
        number, quote, _ = last.partition(b'"')
        if marks and quote:
            self.seen.setdefault(int(number), now)
        self._rest = text[-len(_MARK) - 8 :]

    def close(self) -> None:
        """Give the socket back."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


async def latency(server: Server, connection: Connection, path: str) -> str:
    """Median and 99th percentile over all events of all watchers; `path` is of ConfigMaps."""
    answer = await connection.ask(server.request("GET", path))
    listed = json.loads(answer.partition(b"\r\n\r\n")[2])
    revision = listed["metadata"]["resourceVersion"]
    request = server.request("GET", f"{path}?watch=1&resourceVersion={revision}")
    watchers = [Watcher(server, request) for _ in range(WATCHERS)]
    await asyncio.gather(*(watcher.connected.wait() for watcher in watchers))
    # A client that sleeps would measure how long a virtual machine takes to wake its processor.
    awake = asyncio.create_task(_stay_awake())
    try:
        times = await _times(watchers, lambda body: server.request("POST", path, body), connection)
    finally:
        awake.cancel()
        for watcher in watchers:
            watcher.close()
    cuts = statistics.quantiles(times, n=100)
    return f"median {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms, {WATCHERS} watchers"


async def _stay_awake() -> None:
    while True:  # noqa: ASYNC110
        await asyncio.sleep(0)


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
        for watcher in watchers:
            watcher.catch_up()
    async with asyncio.timeout(30):
        while any(len(watcher.seen) < EVENTS for watcher in watchers):
            await asyncio.sleep(0.01)
            for watcher in watchers:
                watcher.catch_up()
    return [at - sent[number] for watcher in watchers for number, at in watcher.seen.items()]
