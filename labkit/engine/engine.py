"""`Engine`: the embedded container engine as one object, from socket to processes.

`async with Engine(...)` serves the Docker Engine API until the block ends; then every container is
dead, and its files and the socket are gone.  One engine owns one state directory (a lock file says
so), so that two engines cannot take each other's containers for leftovers.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import IO

from aiohttp import web

from labkit.clock import Clock
from labkit.engine import (
    archive_routes,
    attach_routes,
    build_routes,
    container_routes,
    image_routes,
    lifecycle,
    other_routes,
)
from labkit.engine.host import Host
from labkit.engine.images import Images
from labkit.engine.networks import Networks
from labkit.engine.runtime import Runtime
from labkit.engine.server import application
from labkit.engine.timestamps import rfc3339_nano
from labkit.errors import ClusterError, UsageError

# How long clients that follow events or statistics may take to hear that the engine ends; those
# who wait for containers have been answered before.
SHUTDOWN_SECONDS = 0.1
SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less its final zero


class Engine:
    """The embedded container engine.

    `state_dir` holds containers' files, `socket_path` is where the API is served (created 0600).
    `bridge_subnet` (inside 127.0.0.0/8) is the default network.  `cpus` and `memory` (bytes) are
    what `docker info` reports; by default the machine's own.  `images` and `registry` are
    directories that outlive the engine, by default in `state_dir`; a registry may be shared.
    """

    def __init__(
        self,
        state_dir: Path,
        socket_path: Path,
        clock: Clock,
        *,
        bridge_subnet: str = "127.244.0.0/24",
        cpus: int | None = None,
        memory: int | None = None,
        name: str = "labkit",
        images: Path | None = None,
        registry: Path | None = None,
    ) -> None:
        self.state_dir = Path(state_dir).absolute()
        self.socket_path = Path(socket_path).absolute()
        networks = Networks(bridge_subnet, rfc3339_nano(clock.now()))
        kept = Images(images or self.state_dir / "images", registry or self.state_dir / "registry")
        host = Host.describe(name, cpus, memory)
        self.runtime = Runtime(self.state_dir, clock, networks, host, kept)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.AbstractServer | None = None
        self._lock: IO[str] | None = None

    async def __aenter__(self) -> Engine:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve.  Raises UsageError for paths that cannot be used, ClusterError if it is taken."""
        self._check()
        for directory in (self.socket_path.parent, self.state_dir):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = self._take_lock()
        try:
            await self._serve()
        except BaseException:
            await self.stop()
            raise

    async def _serve(self) -> None:
        await self.runtime.start_up()
        parts = (
            container_routes,
            attach_routes,
            archive_routes,
            image_routes,
            build_routes,
            other_routes,
        )
        app = application(self.runtime, [part.ROUTES for part in parts])
        # Handlers that only stream end with their connection; see Runtime.complete for the others.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._runner.server, sock=self._bind())

    async def stop(self) -> None:
        """Kill all containers, remove socket and files.  Does nothing if not started."""
        if self._lock is None:
            return
        if self._server is not None:
            self._server.close()
            self._server = None
        await lifecycle.end_all(self.runtime)
        await self.runtime.shut_down()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.socket_path.unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def _check(self) -> None:
        if not sys.platform.startswith("linux"):
            raise UsageError(
                f"The embedded container engine does not run on {sys.platform}.",
                "It needs Linux' /proc, and an address of 127.0.0.0/8 for each container.",
                "Use Docker Desktop's daemon in its place, or run the lab on mybinder.org.",
            )
        if len(os.fsencode(self.socket_path)) > SOCKET_PATH_BYTES:
            raise UsageError(
                f"The socket's path {self.socket_path} is too long.",
                f"A unix socket's path has at most {SOCKET_PATH_BYTES} bytes.",
                "Choose a shorter one: --socket /tmp/labkit.sock",
            )

    def _take_lock(self) -> IO[str]:
        lock = open(self.state_dir / "engine.lock", "w")  # noqa: SIM115 (held until stop)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise ClusterError(
                f"Another engine uses the state directory {self.state_dir}.",
                "It was started before and still runs.",
                f"End it, or choose another directory: --state-dir {self.state_dir}-2",
            ) from None
        return lock

    def _bind(self) -> socket.socket:
        """The listening socket: for this user only, from its first moment on."""
        self.socket_path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(str(self.socket_path))
        finally:
            os.umask(before)
        return listener
