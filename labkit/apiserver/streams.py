"""A watch over HTTP: chunked JSON lines, as many events per chunk as there are.

What has gathered is written at once: a burst of events costs one write, a single event waits for
nothing, and a reader that does not read holds up nobody, for the watch's buffer ends in a 410.

Most changes interest many watches.  To wake a task for each costs more than to write, so watches
whose connections take bytes at once are written together, at the end of the loop's turn, by one
callback (`Outbox`); the task of a watch writes only where it has to wait for its reader.

Source: k8s.io/apiserver pkg/endpoints/handlers/watch.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import orjson
from aiohttp import web

from labkit.apiserver.negotiation import Form, transformed
from labkit.apiserver.request import Events, WatchEvent

_BATCH = 256  # events of one write
_SMALL = 16 * 1024  # bytes; well below what a transport takes before it says that it is full
_STALLED = 60.0  # seconds after which a reader that takes nothing is given up

Encoder = Callable[[WatchEvent], bytes]
Chunks = dict[int, tuple[WatchEvent, bytes]]  # of events that many watches share, by `id`


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


class Outbox:
    """The watches that have something to write when the present turn of the loop is over."""

    def __init__(self) -> None:
        self._due: list[_Direct] = []

    def add(self, watch: _Direct) -> None:
        """Write what `watch` has got, soon."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._flush)
        self._due.append(watch)

    def _flush(self) -> None:
        due, self._due = self._due, []
        chunks: Chunks = {}
        # All is made ready first: a client that is fed without a pause does not fall asleep, and
        # to wake it costs more than to write.
        for transport, chunk in [(watch.transport, watch.chunk(chunks)) for watch in due]:
            if chunk:
                transport.write(chunk)


class _Direct:
    """A watch whose events are written as they come, as long as the connection takes them."""

    __slots__ = ("_encode", "_events", "transport")

    def __init__(self, transport: asyncio.Transport, events: Events, encode: Encoder) -> None:
        self.transport, self._events, self._encode = transport, events, encode

    def chunk(self, chunks: Chunks) -> bytes:
        """The next chunk of the answer; empty if that is the task's to write, or nobody's."""
        events = self._events
        if not events.waiting:
            return b""
        if events.size > _SMALL or self.transport.get_write_buffer_size():
            events.wake()
            return b""
        found = events.take()
        if len(found) == 1 and self._encode is _line:
            return _shared(found[0], chunks)
        content = b"".join(map(self._encode, found))
        return _chunk(content) if content else b""


def _shared(event: WatchEvent, chunks: Chunks) -> bytes:
    """The chunk of one event, made once for all watches that see it."""
    if id(event) not in chunks:
        chunks[id(event)] = event, _chunk(_line(event))
    return chunks[id(event)][1]


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


async def send(
    request: web.BaseRequest,
    response: web.StreamResponse,
    events: Events,
    encode: Encoder,
    outbox: Outbox,
) -> None:
    """Write events to a prepared response until they end.

    Raises ConnectionError where the client has gone.  The events are closed in any case.
    """
    transport = request.transport
    if transport and response.chunked:  # not so for a client of HTTP/1.0
        events.on_events = partial(outbox.add, _Direct(transport, events, encode))
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
