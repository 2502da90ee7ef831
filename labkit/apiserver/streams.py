"""A watch over HTTP: chunked JSON lines, as many events per chunk as there are.

One task takes events as they come and encodes them; another writes what has gathered.  So a burst
of events costs one write, a single event waits for nothing, and a reader that does not read holds
up nobody: the buffer is bounded, behind it the watch's own buffer ends in a 410.

Source: k8s.io/apiserver pkg/endpoints/handlers/watch.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import orjson
from aiohttp import web

from labkit.apiserver.negotiation import Form, transformed
from labkit.apiserver.request import WatchEvent
from labkit.client.errors import ApiError

_BUFFER = 256  # events encoded ahead of the socket
_BUFFER_BYTES = 1024 * 1024  # or so many bytes of them, and one event more
_STALLED = 60.0  # seconds after which a reader that takes nothing is given up

Encoder = Callable[[WatchEvent], bytes]


def encoder(form: Form, now: Callable[[], float], include: str) -> Encoder:
    """The function that makes one JSON line of one event, in `form`."""
    if not form.kind:
        return _line
    headers = True

    def transforming(event: WatchEvent) -> bytes:
        nonlocal headers
        if event.type == "ERROR":
            return _line(event)
        obj = transformed(event.item.obj, form, now(), include, headers)
        headers = False
        return b'{"type":"%b","object":%b}\n' % (event.type.encode(), orjson.dumps(obj))

    return transforming


def _line(event: WatchEvent) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event.type.encode(), event.item.json)


class _Gathered:
    """Lines that wait to be written.  `take` returns b"" once there will be no more."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._bytes = 0
        self._some, self._room = asyncio.Event(), asyncio.Event()
        self._ended = False

    async def put(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)
        self._some.set()
        if len(self._lines) >= _BUFFER or self._bytes >= _BUFFER_BYTES:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        self._ended = True
        self._some.set()

    async def take(self) -> bytes:
        await self._some.wait()
        if not self._ended:
            self._some.clear()
        chunk = b"".join(self._lines)
        self._lines.clear()
        self._bytes = 0
        self._room.set()
        return chunk


async def _gather(events: AsyncIterator[WatchEvent], encode: Encoder, lines: _Gathered) -> None:
    try:
        async for event in events:
            await lines.put(encode(event))
    except ApiError as error:
        await lines.put(b'{"type":"ERROR","object":%b}\n' % orjson.dumps(error.status))
    finally:
        lines.end()


async def send(
    response: web.StreamResponse,
    events: AsyncIterator[WatchEvent],
    encode: Encoder,
) -> None:
    """Write events to a prepared response until they end.

    Raises ConnectionError where the client has gone.  The events are closed in any case.
    """
    lines = _Gathered()
    gathering = asyncio.create_task(_gather(events, encode, lines), name="watch")
    try:
        while chunk := await lines.take():
            await write(response, chunk)
    finally:
        gathering.cancel()
        await asyncio.gather(gathering, return_exceptions=True)
        await events.aclose()


async def write(response: web.StreamResponse, chunk: bytes) -> None:
    """Write one chunk.  Raises ConnectionError for a reader that has stopped reading."""
    try:
        async with asyncio.timeout(_STALLED):
            await response.write(chunk)
    except TimeoutError:
        raise ConnectionAbortedError("the client has stopped reading") from None
