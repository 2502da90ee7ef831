"""A small HTTP server with known delays, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from aiohttp import web


class Server:
    """`with Server() as server:` — `server.url` ends in a slash; its paths are the methods."""

    def __init__(self) -> None:
        self.connections = 0
        self.agents: Counter[str] = Counter()
        self._stalled = False
        self._ready = threading.Event()

    async def fast(self, request: web.Request) -> web.Response:
        self.agents[request.headers["User-Agent"]] += 1
        return web.Response(text="ok", headers={"X-Served-By": "pod-a"})

    async def slow(self, request: web.Request) -> web.Response:
        """Answers after 100 ms."""
        await asyncio.sleep(0.1)
        return web.Response(text="ok")

    async def stall(self, request: web.Request) -> web.Response:
        """Once, the whole server stands still for a second."""
        if not self._stalled:
            self._stalled = True
            await asyncio.to_thread(self._loop.call_soon_threadsafe, _block, 1.0)
        return web.Response(text="ok")

    async def broken(self, request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"X-Served-By": "pod-b"})

    async def close(self, request: web.Request) -> web.Response:
        """Closes the connection without an answer."""
        request.transport.close()
        return web.Response()

    async def never(self, request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        for handler in (self.fast, self.slow, self.stall, self.broken, self.close, self.never):
            app.router.add_get(f"/{handler.__name__}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        make = runner.server

        def connected() -> asyncio.Protocol:
            self.connections += 1
            return make()

        server = await self._loop.create_server(connected, "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        self._ready.set()
        await self._stop.wait()
        server.close()
        await runner.cleanup()


def _block(seconds: float) -> None:
    threading.Event().wait(seconds)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server
