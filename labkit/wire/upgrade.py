"""Asking a server to stop speaking HTTP on a connection: the client's side of an upgrade.

One request, one head of an answer.  After `101` (or `200`, with which old Docker daemons hijack)
the connection carries bytes; after anything else a short body says why not.

Source: RFC 9110, 7.8; Docker Engine API, "Attach to a container".
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from multidict import CIMultiDict

from labkit.wire.hijack import LIMIT

_CONNECT_SECONDS = 10.0
_MAX_EXPLANATION = 16 << 10  # bytes of a refusal's body


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What the server answered, and the two directions of the connection."""

    status: int
    headers: CIMultiDict[str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def explanation(self) -> str:
        """The body of an answer that is a refusal."""
        try:
            if (length := self.headers.get("Content-Length", "")).isdigit():
                body = await self.reader.readexactly(min(int(length), _MAX_EXPLANATION))
            else:
                body = await self.reader.read(_MAX_EXPLANATION)
        except asyncio.IncompleteReadError as error:
            body = error.partial
        return body.decode(errors="replace").strip()


@asynccontextmanager
async def upgrade(
    url: str,
    target: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str],
    body: bytes = b"",
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[Upgraded]:
    """Send one request for `target` (path and query) to the server at `url` (unix, tcp, http or
    https).  The connection is closed at the end.  Raises OSError, and ConnectionError for an
    answer that is not HTTP.
    """
    reader, writer = await _connect(url, ssl_context)
    try:
        lines = [f"{method} {target} HTTP/1.1"]
        if "Host" not in headers:
            lines.append(f"Host: {urlsplit(url).netloc or 'localhost'}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "\r\n"]).encode() + body)
        status, answer = await _head(reader)
        yield Upgraded(status, answer, reader, writer)
    finally:
        writer.close()


async def _connect(
    url: str, ssl_context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    async with asyncio.timeout(_CONNECT_SECONDS):
        if parts.scheme == "unix":
            return await asyncio.open_unix_connection(parts.path, limit=LIMIT)
        encrypted = (ssl_context or True) if parts.scheme == "https" else None
        port = parts.port or (443 if encrypted else 80)
        return await asyncio.open_connection(parts.hostname, port, ssl=encrypted, limit=LIMIT)


async def _head(reader: asyncio.StreamReader) -> tuple[int, CIMultiDict[str]]:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        found = CIMultiDict((name.strip(), value.strip()) for name, _, value in pairs)
        return int(first.split(" ", 2)[1]), found
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError):
        raise ConnectionAbortedError("the server's answer is not HTTP") from None
