"""The processes of a cluster's parts: the daemon's end of the `forkserver`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

KILLED = 128 + signal.SIGKILL
_MOST = 64 << 10  # bytes of a report


class Child:
    """A part's process; `said` is called with each line of its standard output.

    `pid` is 0 until it has `started`.
    """

    def __init__(self, said: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        self.started: asyncio.Future[None] = loop.create_future()
        self.exited: asyncio.Future[int] = loop.create_future()
        self._said, self._rest = said, b""
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        loop.add_reader(self._reading, self._read)

    def finish(self, status: int) -> None:
        """It has ended: take what it said last, publish its exit status (as a shell's `$?`)."""
        self._read()
        self._close()
        for future, result in ((self.started, None), (self.exited, status)):
            if not future.done():
                future.set_result(result)

    def _read(self) -> None:
        try:
            data = os.read(self._reading, 65536) if self._reading >= 0 else b""
        except BlockingIOError:
            return
        if not data:
            self._close()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._said(line.decode(errors="replace"))

    def _close(self) -> None:
        if self._reading >= 0:
            asyncio.get_running_loop().remove_reader(self._reading)
            os.close(self._reading)
            self._reading = -1


class Children:
    """Starts, signals and reaps the parts' processes.

    If the fork server dies, all of them die with it, and the next `run` starts a new one.
    """

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._starting: list[Child] = []  # in the order in which they were asked for
        self._running: dict[int, Child] = {}

    @property
    def pid(self) -> int:
        """The fork server's process id, 0 if none runs."""
        return self._server.pid if self._server else 0

    def start(self) -> None:
        """Start the fork server."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "labkit.clusters.forkserver"]
        with theirs:
            self._server = subprocess.Popen(command, stdin=theirs, start_new_session=True)
        ours.setblocking(False)
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours, self._receive)

    async def stop(self) -> None:
        """End the fork server, and with it every process; returns when all are gone."""
        server = self._server
        if server is not None:
            self._hang_up()
            await asyncio.to_thread(server.wait)
            self._lose()

    def run(self, part: str, directory: Path, log: Path, said: Callable[[str], None]) -> Child:
        """Start a part; what it logs is appended to the file `log`.  Raises OSError."""
        if self._server is None:
            self.start()
        child = Child(said)
        self._starting.append(child)
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        request = json.dumps({"start": part, "directory": str(directory)}).encode()
        try:
            socket.send_fds(self._socket, [request], [child.writing, errors])
        except OSError:
            self._starting.remove(child)
            child.finish(KILLED)
            raise
        finally:
            os.close(child.writing)
            os.close(errors)
        return child

    async def signal(self, child: Child, number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        await asyncio.wait([child.started])
        if self._socket and not child.exited.done():
            with suppress(OSError):
                self._socket.send(json.dumps({"signal": number, "pid": child.pid}).encode())

    def _receive(self) -> None:
        """Take the fork server's reports; end-of-file means that it has died."""
        while self._socket is not None:
            try:
                data = self._socket.recv(_MOST)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                log.error("the fork server has died, and all parts with it pid=%d", self.pid)
                self._hang_up()
                self._lose()
                return
            self._take(json.loads(data))

    def _take(self, report: dict) -> None:
        if "started" in report:
            child = self._starting.pop(0)
            child.pid = report["pid"]
            self._running[child.pid] = child
            child.started.set_result(None)
        else:
            self._running.pop(report["exited"]).finish(report["status"])

    def _hang_up(self) -> None:
        """Close the lifeline: the fork server then kills everything and ends."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _lose(self) -> None:
        """All parts are dead: say so to those who wait for them."""
        if self._server is not None:
            self._server.wait()
            self._server = None
        for child in (*self._starting, *self._running.values()):
            child.finish(KILLED)
        self._starting.clear()
        self._running.clear()
