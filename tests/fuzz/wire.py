"""Sends requests byte for byte, and reads what comes back, with a deadline for each answer."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import NamedTuple

from tests.fuzz.requests import Request

DEADLINE = 30.0  # seconds until an answer must have begun


class Answer(NamedTuple):
    """An answer's code and body; a body of a stream is only what came at once."""

    code: int
    body: bytes

    def status(self) -> dict:
        """The body as an object, empty if it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Connection:
    """One keep-alive connection, made again when it is needed."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        self._where = host, port, context
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: Request) -> Answer | None:
        """The answer; None where the server closed the connection instead.

        Raises TimeoutError if nothing came in time.
        """
        fresh = self._writer is None
        try:
            if fresh:
                host, port, context = self._where
                opening = asyncio.open_connection(host, port, ssl=context, limit=1 << 26)
                self._reader, self._writer = await opening
            self._writer.write(_encoded(request))
            if request.raw == "cut":
                await asyncio.sleep(0.001)
                self.close()
                return None
            async with asyncio.timeout(DEADLINE):
                return await self._answer(request)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.close()
            return None if fresh else await self.ask(request)

    async def _answer(self, request: Request) -> Answer:
        code, headers = await self._head()
        while code == 100:
            code, headers = await self._head()
        stream = "watch" in request.target or "follow" in request.target or code == 101
        if request.method == "HEAD" or code in (204, 304):
            body = b""
        elif "content-length" in headers:
            body = await self._reader.readexactly(int(headers["content-length"]))
        elif stream:
            body = b""
            self.close()
        else:
            body = await self._chunks()
        whole = request.raw == "whole" and request.method != "HEAD"
        if headers.get("connection", "") == "close" or not whole:
            self.close()
        return Answer(code, body)

    async def _head(self) -> tuple[int, dict[str, str]]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        return int(first.split()[1]), {name.lower(): text.strip() for name, _, text in pairs}

    async def _chunks(self) -> bytes:
        body = b""
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return body

    def close(self) -> None:
        """Break the connection off.  Safe to repeat."""
        if self._writer:
            self._writer.transport.abort()
            self._writer = None


def _encoded(request: Request) -> bytes:
    target = request.target.encode("utf-8", "replace")
    lines = [request.method.encode() + b" " + target + b" HTTP/1.1"]
    headers = [*request.headers]
    if not any(name == "Host" for name, _ in headers):
        headers.append(("Host", "127.0.0.1"))
    chunked = "chunked" in request.raw
    if chunked:
        headers.append(("Transfer-Encoding", "chunked"))
    elif request.body and not any(name == "Content-Length" for name, _ in headers):
        headers.append(("Content-Length", str(len(request.body))))
    lines += [f"{name}: {text}".encode("latin-1", "replace") for name, text in headers]
    head = b"\r\n".join([*lines, b"", b""])
    if request.raw == "badly chunked":
        return head + b"zz\r\n" + request.body + b"\r\n0\r\n\r\n"
    if chunked:
        half = len(request.body) // 2
        parts = [part for part in (request.body[:half], request.body[half:]) if part]
        return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    whole = head + request.body
    if request.raw == "cut":
        return whole[: len(whole) * 2 // 3]
    return whole * 2 if request.raw == "pipelined" else whole
