"""Port-forward: TCP connections to a Pod, carried over a client's streams.

Two forms.  SPDY has a pair of streams for each connection: one for its data, one for an error.  The
older WebSocket form has two channels for each port, and one connection on each.

The end of what the client sends is passed on; when the Pod's side ends, all of the connection ends.

Source: k8s.io/kubelet pkg/cri/streaming/portforward (httpstream.go, websocket.go).  Left out
compared with a real node: the connection comes from outside of the Pod's network namespace, so a
program that listens only on the Pod's own 127.0.0.1 is not reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import WSMsgType, web
from multidict import MultiMapping

from labkit.wire.bytequeue import ByteQueue
from labkit.wire.hijack import LIMIT, first
from labkit.wire.spdy_session import Receive, Send, Session, Stream

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_MAX_PORTS = 127  # two channels for each, whose number is a byte


class BadPorts(ValueError):
    """Ports that are not ports."""


@dataclass(frozen=True, slots=True)
class Pod:
    """Where to connect to, and its sandbox and uid for messages."""

    address: str
    sandbox: str
    uid: str

    def failed(self, port: int, error: Exception) -> str:
        """What the client is told of a connection that cannot be had."""
        return f"error forwarding port {port} to pod {self.sandbox}, uid {self.uid}: {error}"


def ports(query: MultiMapping[str]) -> list[int]:
    """The ports of a query: `port=80&port=81,82`.  Raises BadPorts."""
    texts = query.getall("port", [])
    if not texts:
        raise BadPorts('query parameter "port" is required')
    found = []
    for text in texts:
        if not text:
            raise BadPorts('query parameter "port" cannot be empty')
        found += [_port(part, text) for part in text.split(",")]
    if len(found) > _MAX_PORTS:
        raise BadPorts(f"{len(found)} ports are too many for one connection")
    return found


def _port(part: str, text: str) -> int:
    if not (part.isascii() and part.isdigit()):
        why = f'strconv.ParseUint: parsing "{part}": invalid syntax'
        raise BadPorts(f'unable to parse "{text}" as a port: {why}')
    if int(part) > 0xFFFF:
        why = f'strconv.ParseUint: parsing "{part}": value out of range'
        raise BadPorts(f'unable to parse "{text}" as a port: {why}')
    if int(part) < 1:
        raise BadPorts(f'port "{text}" must be > 0')
    return int(part)


async def _connection(
    pod: Pod, port: int, read: Callable[[], Awaitable[bytes]], write: Send
) -> None:
    """One TCP connection to its end.  Raises OSError."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(pod.address, port, limit=LIMIT)
    except TimeoutError:
        raise OSError(f"dial tcp {pod.address}:{port}: i/o timeout") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        if isinstance(error, ConnectionRefusedError):
            why = "connect: connection refused"
        raise OSError(f"dial tcp {pod.address}:{port}: {why}") from None

    async def forth() -> None:
        while data := await read():
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def back() -> None:
        while data := await reader.read(LIMIT):
            await write(data)

    sending = asyncio.create_task(forth())
    try:
        await back()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()


# Streams


class SpdyForwarder:
    """Serves one SPDY connection of a client."""

    def __init__(self, pod: Pod, receive: Receive, write: Send) -> None:
        self._pod = pod
        self._session = Session(receive, write, self._accept)
        self._pairs: dict[str, dict[str, Stream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Returns when the client has gone; then no connection is left."""
        try:
            await self._session.run()
        except ConnectionError:
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, stream: Stream) -> None:
        kind = stream.headers.get("streamtype", "")
        try:
            _port(stream.headers.get("port", ""), stream.headers.get("port", ""))
        except BadPorts:
            kind = ""
        if kind not in ("data", "error"):
            self._spawn(stream.close())
            return
        request = stream.headers.get("requestid") or _paired(stream, kind)
        pair = self._pairs.setdefault(request, {})
        if kind in pair:
            self._spawn(stream.close())
            return
        pair[kind] = stream
        if len(pair) == 2:
            del self._pairs[request]
            self._spawn(self._forward(pair["data"], pair["error"]))

    async def _forward(self, data: Stream, error: Stream) -> None:
        port = int(data.headers["port"])
        try:
            await _connection(self._pod, port, data.read, data.write)
        except ConnectionError as reset:
            log.debug("a forwarded connection was lost port=%d error=%s", port, reset)
        except OSError as failure:
            await error.write(self._pod.failed(port, failure).encode())
        finally:
            await data.close()
            await error.close()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(task.exception(), ConnectionError):
            return  # the client has gone
        if not task.cancelled() and task.exception():
            log.error("port-forward failed", exc_info=task.exception())


def _paired(stream: Stream, kind: str) -> str:
    """Old clients name no request: the error stream comes first, the data stream is the next."""
    return str(stream.number if kind == "error" else stream.number - 2)


# Channels


async def forward_channels(pod: Pod, wanted: list[int], socket: web.WebSocketResponse) -> None:
    """Serve a WebSocket on which channels 2n and 2n + 1 are data and error of the n-th port."""
    queues = [ByteQueue() for _ in wanted]
    for channel in range(2 * len(wanted)):
        port = wanted[channel // 2].to_bytes(2, "little")
        await socket.send_bytes(bytes([channel]) + port)

    async def receive() -> None:
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data:
                index, kind = divmod(message.data[0], 2)
                if kind == 0 and index < len(queues):
                    await queues[index].put(message.data[1:])

    async def forward(index: int) -> None:
        channel = bytes([2 * index])
        try:
            await _connection(
                pod,
                wanted[index],
                queues[index].get,
                lambda data: socket.send_bytes(channel + data),
            )
        except ConnectionError:
            pass
        except OSError as error:
            text = pod.failed(wanted[index], error)
            await socket.send_bytes(bytes([2 * index + 1]) + text.encode())
        finally:
            queues[index].abandon()

    async def all_of_them() -> None:
        await asyncio.gather(*(forward(index) for index in range(len(wanted))))
        await socket.close()

    try:
        await first(receive(), all_of_them())
    except ConnectionError:
        pass
