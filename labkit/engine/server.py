"""The Docker Engine API on a unix socket: HTTP around the runtime.

What is done here and nowhere else: versions in paths, error bodies, the daemon's headers, streams.
A handler that changes something runs to its end in a task of the engine, also when its client
hangs up; a handler that only streams is cancelled with its connection.

*Hijacking*: for `attach` and exec `start` the client asks for `Upgrade: tcp`; the daemon answers
101, and from then on the connection carries raw frames until it is closed.  The client may close
its sending side at once (the CLI does, having no input), which must not end the answer; so whether
it is still there has to be asked of the socket.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import json
import logging
import select
import socket
import termios
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from aiohttp import web

from labkit.clock import Clock
from labkit.engine.errors import BadParameter, EngineError
from labkit.engine.runtime import Runtime
from labkit.wire.hijack import LIMIT as HIJACK_LIMIT
from labkit.wire.hijack import first, hijacked

log = logging.getLogger(__name__)

API_VERSION, MIN_API_VERSION = "1.43", "1.24"
VERSION = "24.0.0"  # the dockerd that speaks API_VERSION
HEADERS = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"Docker/{VERSION}-labkit (linux)",
}
RAW, MULTIPLEXED = (
    "application/vnd.docker.raw-stream",
    "application/vnd.docker.multiplexed-stream",
)
HEADERS_SECONDS = 1.0
LINGER_SECONDS = 1.0  # how long a client may take to see the end of a stream
GONE_SECONDS = 0.2  # how often a client that sends nothing more is looked for
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TakeInput = Callable[[asyncio.StreamReader], Awaitable[bool]]
Route = tuple[str, str, Handler]  # method, path, handler
RUNTIME = web.AppKey("runtime", Runtime)


def answer(value: Any, status: int = 200) -> web.Response:
    """A JSON answer, as the daemon writes it."""
    body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    # No charset: the CLI reads an error's message only from exactly this content type.
    return web.Response(body=body, status=status, content_type="application/json")


async def body_of(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; {} if there is none.  Raises EngineError."""
    data = await request.read()
    if not data:
        return {}
    try:
        value = json.loads(data)
    except ValueError:
        first = data[:1].decode(errors="replace")
        raise BadParameter(f"invalid character '{first}' looking for beginning of value") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadParameter(f"json: cannot unmarshal {type(value).__name__} into a Go value")
    return value


def flag(request: web.Request, name: str) -> bool:
    """A boolean of the query, by the daemon's rule."""
    return request.query.get(name, "").lower() not in ("", "0", "no", "false", "none")


def integer(request: web.Request, name: str, default: int | None) -> int | None:
    """A whole number of the query.  Raises EngineError."""
    text = request.query.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise EngineError(f'strconv.Atoi: parsing "{text}": invalid syntax') from None


async def stream(
    request: web.Request,
    items: AsyncIterable[bytes],
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Send the headers at once, then each item as it comes (chunked)."""
    response = web.StreamResponse(headers={"Content-Type": content_type, **(headers or {})})
    await response.prepare(request)
    async for item in items:
        await response.write(item)
    await response.write_eof()
    return response


async def stream_json(
    request: web.Request, items: AsyncIterable[dict[str, Any]]
) -> web.StreamResponse:
    """A stream of JSON objects, one a line."""

    async def encoded():
        async for item in items:
            yield json.dumps(item, separators=(",", ":")).encode() + b"\n"

    return await stream(request, encoded())


async def hijack(
    request: web.Request, items: AsyncGenerator[bytes], take: TakeInput | None = None
) -> web.StreamResponse:
    """Send `items` as the rest of the connection; as a plain stream if nobody asked to upgrade.

    `take` gets what the client sends, and returns whether that one is to be let go.
    """
    if "upgrade" not in request.headers.get("Connection", "").lower():
        return await stream(request, items, RAW)
    headers = {"Content-Type": RAW, "Connection": "Upgrade", "Upgrade": "tcp"}
    async with hijacked(request, headers, "UPGRADED") as (response, reader, writer):
        await _headers_read(request)
        clock = request.app[RUNTIME].clock
        await first(_send(items, writer, clock), _attend(request, reader, take or _ignore))
    return response


async def _send(items: AsyncGenerator[bytes], writer: asyncio.StreamWriter, clock: Clock) -> None:
    async with aclosing(items):
        async for item in items:
            writer.write(item)
            await writer.drain()
    # What a client is still sending must be read, or it finds the connection reset and not ended.
    writer.write_eof()
    await clock.sleep(LINGER_SECONDS)


async def _attend(request: web.Request, reader: asyncio.StreamReader, take: TakeInput) -> None:
    """Return when the client is to be let go, or is gone."""
    clock, peer = request.app[RUNTIME].clock, request.transport.get_extra_info("socket")
    if await take(reader):
        return
    while not _hung_up(peer):
        await clock.sleep(GONE_SECONDS)


async def _ignore(reader: asyncio.StreamReader) -> bool:
    while await reader.read(HIJACK_LIMIT):
        pass
    return False


def _hung_up(peer: socket.socket) -> bool:
    """Whether the other end is closed in both directions (poll(2): POLLHUP)."""
    poll = select.poll()
    poll.register(peer.fileno(), 0)
    return bool(poll.poll(0))


async def _headers_read(request: web.Request) -> None:
    """Wait until the client has read all that was sent, at most `HEADERS_SECONDS`.

    The docker SDK reads the headers through a buffer and the stream past it, so what arrives
    together with the headers is lost to it; dockerd is just too slow to show that.
    """
    clock = request.app[RUNTIME].clock
    transport, end = request.transport, clock.monotonic() + HEADERS_SECONDS
    peer = transport.get_extra_info("socket")
    while clock.monotonic() < end and not transport.is_closing():
        unread = array.array("i", [0])
        fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, unread)
        if not unread[0] and not transport.get_write_buffer_size():
            return
        await clock.sleep(0.001)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn exceptions into `{"message": ...}`."""
    try:
        check_version(request.match_info.get("version"))
        return await handler(request)
    except EngineError as error:
        if error.status == 304:
            return web.Response(status=304)
        return answer({"message": str(error)}, error.status)
    except web.HTTPException as error:
        message = "page not found" if error.status in (404, 405) else error.reason
        return answer({"message": message}, 404 if error.status == 405 else error.status)
    except (ConnectionResetError, asyncio.CancelledError):
        raise
    except Exception as error:
        log.exception("a request failed method=%s path=%s", request.method, request.path)
        return answer({"message": f"{type(error).__name__}: {error}"}, 500)


def check_version(version: str | None) -> None:
    """Raises BadParameter for a version that this API does not speak."""
    if version is None:
        return
    number = tuple(map(int, version.split(".")))
    if number > tuple(map(int, API_VERSION.split("."))):
        raise BadParameter(
            f"client version {version} is too new. Maximum supported API version is {API_VERSION}"
        )
    if number < tuple(map(int, MIN_API_VERSION.split("."))):
        raise BadParameter(
            f"client version {version} is too old. Minimum supported API version is "
            f"{MIN_API_VERSION}, please upgrade your client to a newer version"
        )


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def application(runtime: Runtime, tables: list[list[Route]]) -> web.Application:
    """The application with each route both with and without a version in front."""
    app = web.Application(middlewares=[errors], client_max_size=4 << 20)
    app[RUNTIME] = runtime
    app.on_response_prepare.append(add_headers)
    for method, path, handler in [route for table in tables for route in table]:
        for prefix in ("", r"/v{version:\d+\.\d+}"):
            app.router.add_route(method, prefix + path, handler)
    return app
