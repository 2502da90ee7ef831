"""What a client of exec or attach holds: up to five channels, over a WebSocket or SPDY.

On a WebSocket each message begins with the number of its channel.  Version 4 ends a command by a
Status on the error channel; version 5 can also end standard input, by a message `255, channel`;
clients that name no version get an error as plain text.  With SPDY (kubectl before 1.30) each
channel is a stream, whose header says which.

Source: k8s.io/kubelet pkg/cri/streaming/remotecommand (websocket.go, httpstream.go),
k8s.io/apimachinery pkg/util/remotecommand, KEP-4006.  Left out: the base64 variants, SPDY before
version 4.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from aiohttp import WSMsgType, web

from labkit.wire.bytequeue import ByteQueue
from labkit.wire.spdy_session import Receive, Send, Session, Stream

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_NAMES = {STDOUT: "stdout", STDERR: "stderr", ERROR: "error"}
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
MAX_MESSAGE = 32 << 20
"""Bytes; what upstream's WebSockets take at once."""


class Size(NamedTuple):
    """A terminal's size in characters."""

    height: int
    width: int


def size_of(data: bytes) -> Size | None:
    """The size in a message of the resize channel; None if there is none in it."""
    try:
        value = json.loads(data)
        return Size(int(value["Height"]), int(value["Width"]))
    except (ValueError, LookupError, TypeError):
        return None


class Client(Protocol):
    """The far end of a command, however it is connected."""

    async def serve(self) -> None:
        """Take what the client sends; returns when it has gone."""

    async def stdin(self) -> bytes:
        """The next bytes for standard input; b"" at its end."""

    async def size(self) -> Size:
        """The next size of the terminal."""

    async def send(self, channel: int, data: bytes) -> None:
        """Bytes for STDOUT or STDERR.  Raises ConnectionError."""

    async def finish(self, status: Mapping) -> None:
        """How the command has ended.  Raises ConnectionError."""


class WebSocketClient:
    """A `Client` over a WebSocket that has been accepted; `stdin`: whether it may send input."""

    def __init__(self, socket: web.WebSocketResponse, *, stdin: bool) -> None:
        self._socket, self._version = socket, socket.ws_protocol
        self._input = ByteQueue()
        self._sizes: asyncio.Queue[Size] = asyncio.Queue(1)
        self.stdin, self.size = self._input.get, self._sizes.get
        if not stdin:
            self._input.end()

    async def serve(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                await self._take(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._take(message.data.encode())

    async def _take(self, data: bytes) -> None:
        channel, rest = data[0] if data else ERROR, data[1:]
        if channel == STDIN:
            await self._input.put(rest)
        elif channel == RESIZE and (size := size_of(rest)):
            if self._sizes.full():
                self._sizes.get_nowait()  # only the newest counts
            self._sizes.put_nowait(size)
        elif channel == CLOSE and self._version == V5 and rest == bytes([STDIN]):
            self._input.end()

    async def send(self, channel: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes([channel]) + data)

    async def finish(self, status: Mapping) -> None:
        if self._version:
            await self.send(ERROR, json.dumps(status).encode())
        elif status["status"] != "Success":
            await self.send(ERROR, status["message"].encode())
        await self._socket.close()


class SpdyClient:
    """A `Client` over SPDY; `wanted` are the types of the streams that it will open."""

    def __init__(self, wanted: Iterable[str], receive: Receive, write: Send) -> None:
        self._wanted = set(wanted)
        self._streams: dict[str, Stream] = {}
        self._complete = asyncio.Event()
        self._session = Session(receive, write, self._accept)
        self.serve = self._session.run

    def _accept(self, stream: Stream) -> None:
        self._streams.setdefault(stream.headers.get("streamtype", ""), stream)
        if self._wanted <= self._streams.keys():
            self._complete.set()

    async def _stream(self, name: str) -> Stream:
        await self._complete.wait()
        return self._streams[name]

    async def stdin(self) -> bytes:
        return await (await self._stream("stdin")).read() if "stdin" in self._wanted else b""

    async def size(self) -> Size:
        stream = await self._stream("resize") if "resize" in self._wanted else None
        while stream is not None and (data := await stream.read()):
            if size := size_of(data.splitlines()[-1]):
                return size
        return await asyncio.Future()  # there will be none

    async def send(self, channel: int, data: bytes) -> None:
        await (await self._stream(_NAMES[channel])).write(data)

    async def finish(self, status: Mapping) -> None:
        await self.send(ERROR, json.dumps(status).encode())
        for stream in self._streams.values():
            await stream.close()
