"""Handlers of what a client talks with: `attach`, `exec`, and the sizes of their terminals.

What a container or exec writes goes to the client in frames that name the stream, or as it is if
it has a terminal.  What the client sends goes to standard input.  At the end of its input, that is
closed; where it may not be (a terminal, a container that keeps its input open), the client is let
go instead, as by dockerd (moby daemon/stream, AttachStreams).

Left out: detach keys (the CLI looks for them itself), attach over WebSocket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from labkit.engine import execs
from labkit.engine.container_routes import target
from labkit.engine.containers import Container
from labkit.engine.errors import not_running
from labkit.engine.logs import STDERR, STDOUT, Chunk, frame
from labkit.engine.processes import Process
from labkit.engine.server import RUNTIME, Route, answer, body_of, flag, hijack, integer

_READ = 32 << 10


async def attach(request: web.Request) -> web.StreamResponse:
    """What the container writes from now on (with `logs`: has written), and its input.

    A client attaches before it starts the container, so "from now on" includes the next run.
    """
    _, container = target(request)
    exits = container.exits
    wanted = {n for n, key in ((STDOUT, "stdout"), (STDERR, "stderr")) if flag(request, key)}
    begin = 0 if flag(request, "logs") else container.record.end
    live, config = flag(request, "stream"), container.config

    async def output() -> AsyncGenerator[bytes]:
        if live:
            await _started(container, exits)
        chunks = container.record.attach(begin) if live else _past(container, begin)
        async with aclosing(chunks):
            async for chunk in chunks:
                if chunk.stream in wanted:
                    yield _sent(chunk, config["Tty"])

    async def take(reader: asyncio.StreamReader) -> bool:
        await _started(container, exits)
        closes = config["StdinOnce"] and not config["Tty"]
        return await _pump(reader, container.process, closes=closes)

    takes = live and config["OpenStdin"] and flag(request, "stdin")
    return await hijack(request, output(), take if takes else None)


async def _started(container: Container, exits: int) -> None:
    """Wait until it runs, or has run meanwhile: there were `exits` runs before."""
    while not container.state.running and container.exits == exits and not container.gone:
        await container.change()


async def _past(container: Container, begin: int) -> AsyncGenerator[Chunk]:
    for chunk in container.record.read(begin):
        yield chunk


def _sent(chunk: Chunk, tty: bool) -> bytes:
    return chunk.data if tty else frame(chunk.stream, chunk.data)


async def _pump(reader: asyncio.StreamReader, process: Process | None, *, closes: bool) -> bool:
    """Pass on what the client sends; whether it is to be let go at the end of its input."""
    stdin = process.stdin if process else None
    try:
        while data := await reader.read(_READ):
            if stdin is not None:
                try:
                    await stdin.write(data)
                except BrokenPipeError:
                    stdin = None  # the rest goes nowhere; the client must not wait for that
    finally:
        if stdin is not None and closes:
            stdin.close()
    return stdin is not None and not closes


async def resize(request: web.Request) -> web.StreamResponse:
    _, container = target(request)
    if container.process is None:
        raise not_running(container.id)
    return _resize(request, container.process)


async def exec_create(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    return answer({"Id": execs.create(runtime, container, await body_of(request)).id}, 201)


async def exec_start(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    found = runtime.find_exec(request.match_info["id"])
    detach = (await body_of(request)).get("Detach", False)
    execs.check_startable(found)

    async def output() -> AsyncGenerator[bytes]:
        await runtime.complete(execs.start(runtime, found))
        async with aclosing(found.feed.follow()) as chunks:
            async for chunk in chunks:
                if chunk.stream in found.streams:
                    yield _sent(chunk, found.tty)

    async def take(reader: asyncio.StreamReader) -> bool:
        await found.begun.wait()
        return await _pump(reader, found.process, closes=not found.tty)

    try:
        if not detach:
            return await hijack(request, output(), take if found.stdin else None)
        await runtime.complete(execs.start(runtime, found))
        return web.Response(status=200)
    finally:
        found.feed.discard()


async def exec_inspect(request: web.Request) -> web.StreamResponse:
    return answer(request.app[RUNTIME].find_exec(request.match_info["id"]).view())


async def exec_resize(request: web.Request) -> web.StreamResponse:
    found = request.app[RUNTIME].find_exec(request.match_info["id"])
    if found.started:
        await found.begun.wait()
    if found.process is None or not found.process.running:
        raise not_running(found.container.id)
    return _resize(request, found.process)


def _resize(request: web.Request, process: Process) -> web.StreamResponse:
    height, width = integer(request, "h", 0), integer(request, "w", 0)
    if process.stdin is not None:
        process.stdin.resize(height & 0xFFFF, width & 0xFFFF)
    return web.Response(status=200)


ROUTES: list[Route] = [
    ("POST", "/containers/{id}/attach", attach),
    ("POST", "/containers/{id}/resize", resize),
    ("POST", "/containers/{id}/exec", exec_create),
    ("POST", "/exec/{id}/start", exec_start),
    ("POST", "/exec/{id}/resize", exec_resize),
    ("GET", "/exec/{id}/json", exec_inspect),
]
