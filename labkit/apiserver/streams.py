"""A watch over HTTP: chunked JSON lines, as many events per chunk as there are.

What has gathered is written at once: a burst of events costs one write, a single event waits for
nothing, and a reader that does not read holds up nobody, for the watch's buffer ends in a 410.

While a watch has nothing to write, its audience writes for it (`Sink`), as long as its connection
takes bytes at once; its task is woken only to wait for its reader.

Source: k8s.io/apiserver pkg/endpoints/handlers/watch.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import orjson
from aiohttp import web

from labkit.apiserver.negotiation import Form, transformed
from labkit.apiserver.request import Events, WatchEvent

_BATCH = 256  # events of one write
_SMALL = 16 * 1024  # bytes; well below what a transport takes before it says that it is full
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


class Sink:
    """The connection of a watch, as long as it takes bytes at once."""

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def frame(self, events: Sequence[WatchEvent]) -> bytes:
        """One chunk of the answer."""
        content = b"".join(map(_line, events))
        return b"%x\r\n%b\r\n" % (len(content), content)

    def write(self, content: bytes) -> bool:
        """Write a chunk, unless that would have to wait for the reader."""
        transport = self._transport
        if len(content) > _SMALL or transport.get_write_buffer_size():
            return False
        transport.write(content)
        return True


async def send(
    request: web.BaseRequest,
    response: web.StreamResponse,
    events: Events,
    encode: Encoder,
) -> None:
    """Write events to a prepared response until they end.

    Raises ConnectionError where the client has gone.  The events are closed in any case.
    """
    transport = request.transport
    if transport and response.chunked and encode is _line:  # no chunks for a client of HTTP/1.0
        events.sink = Sink(transport)
    try:
        while batch := await events.batch(_BATCH):
            chunk = b"".join(map(encode, batch))
            if len(chunk) > _SMALL or transport is None or transport.get_write_buffer_size():
                await write(response, chunk)
            else:
                await response.write(chunk)  # there is room for it: nobody waits
    finally:
        await events.aclose()


async def write(response: web.StreamResponse, chunk: bytes) -> None:
    """Write one chunk.  Raises ConnectionError for a reader that has stopped reading."""
    try:
        async with asyncio.timeout(_STALLED):
            await response.write(chunk)
    except TimeoutError:
        raise ConnectionAbortedError("the client has stopped reading") from None
