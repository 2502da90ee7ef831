"""A client that costs next to nothing: prepared bytes, and a look at what must be seen."""

from __future__ import annotations

import asyncio
import json
import ssl
from urllib.parse import urlsplit

from labkit.client.http import HttpTransport
from labkit.client.transport import JSON


class Server:
    """Where requests go, and how they are written."""

    def __init__(self, transport: HttpTransport) -> None:
        self._headers = transport.headers
        url = urlsplit(transport.server)
        self.host, self.port = url.hostname, url.port or 443
        self.ssl: ssl.SSLContext | None = transport.ssl_context

    def request(
        self, method: str, path: str, body: object = None, content_type: str = JSON
    ) -> bytes:
        """The bytes of one request."""
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        if data:
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(data)}"]
        return "\r\n".join([*lines, "", ""]).encode() + data

    async def connect(self) -> Connection:
        """A connection of its own."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(Connection, self.host, self.port, ssl=self.ssl)
        return made


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
