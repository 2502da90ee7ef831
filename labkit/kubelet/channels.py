"""What a client of exec or attach holds: up to five channels over one WebSocket.

Each message begins with the number of its channel.  Version 4 ends a command by a Status on the
error channel; version 5 can also end standard input, by a message `255, channel`; clients that name
no version get an error as plain text.

Source: k8s.io/kubelet pkg/cri/streaming/remotecommand/websocket.go, k8s.io/apimachinery
pkg/util/remotecommand, KEP-4006.  Left out: the base64 variants.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from aiohttp import WSMsgType, web

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
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


class Inbox:
    """What a client has sent for standard input and is not yet taken: one message at a time."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._sizes: asyncio.Queue[Size] = asyncio.Queue(1)
        self._ended = False

    async def put(self, data: bytes) -> None:
        """Waits until there is room.  Empty messages say nothing, and so are left out."""
        if data and not self._ended:
            await self._messages.put(data)

    async def end(self) -> None:
        if not self._ended:
            self._ended = True
            await self._messages.put(b"")

    async def get(self) -> bytes:
        return await self._messages.get()

    def resize(self, size: Size | None) -> None:
        """Only the newest size counts."""
        if size is not None:
            if self._sizes.full():
                self._sizes.get_nowait()
            self._sizes.put_nowait(size)

    async def size(self) -> Size:
        return await self._sizes.get()


class WebSocketClient:
    """A `Client` over a WebSocket that has been accepted."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket, self._version = socket, socket.ws_protocol
        self._inbox = Inbox()
        self.stdin, self.size = self._inbox.get, self._inbox.size

    async def serve(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY:
                await self._take(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._take(message.data.encode())

    async def _take(self, data: bytes) -> None:
        channel, rest = data[0] if data else ERROR, data[1:]
        if channel == STDIN:
            await self._inbox.put(rest)
        elif channel == RESIZE:
            self._inbox.resize(size_of(rest))
        elif channel == CLOSE and self._version == V5 and rest == bytes([STDIN]):
            await self._inbox.end()

    async def send(self, channel: int, data: bytes) -> None:
        await self._socket.send_bytes(bytes([channel]) + data)

    async def finish(self, status: Mapping) -> None:
        if self._version:
            await self.send(ERROR, json.dumps(status).encode())
        elif status["status"] != "Success":
            await self.send(ERROR, status["message"].encode())
        await self._socket.close()
