"""A connection that has stopped to speak HTTP: what comes after `101 Switching Protocols`.

Mechanism: aiohttp parses the request; then the connection's protocol is exchanged for a stream
reader and writer of asyncio, which hold back whoever is too fast.  aiohttp still learns of the
connection's end, and so cancels the handler.

Invariant: nothing that the client sends after its request is lost, if it waits for the answer
first, as RFC 9110 (7.8) demands of whoever asks for an upgrade.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

LIMIT = 64 << 10
"""Bytes that are read ahead of a slow receiver, and then as many again."""


class Hijacked(NamedTuple):
    """The two directions of the connection, and the response that the handler must return."""

    response: web.StreamResponse
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Protocol(asyncio.StreamReaderProtocol):
    """A stream's protocol that tells the former one when the connection is lost."""

    def __init__(self, reader: asyncio.StreamReader, former: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._former = former

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._former.connection_lost(exc)


@asynccontextmanager
async def hijacked(
    request: web.BaseRequest, headers: Mapping[str, str], reason: str = "Switching Protocols"
) -> AsyncIterator[Hijacked]:
    """Answer 101 with `headers`; the rest of the connection is the caller's until the end.

    Raises ConnectionResetError where the client has gone.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    response = web.StreamResponse(status=101, reason=reason, headers=headers)
    response.force_close()
    reader = asyncio.StreamReader(limit=LIMIT)
    protocol = _Protocol(reader, request.protocol)
    protocol.connection_made(transport)
    transport.set_protocol(protocol)
    writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    try:
        transport.resume_reading()
        await response.prepare(request)
        yield Hijacked(response, reader, writer)
    finally:
        writer.close()


async def first(*work: Coroutine[None, None, object]) -> None:
    """Do all until one has ended; the others are cancelled.  Raises what that one raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on bytes until there are no more, as fast as the receiver takes them."""
    while data := await reader.read(LIMIT):
        writer.write(data)
        await writer.drain()
