"""Processes of containers: the engine's end of the spawner.

Mechanism: `Processes` owns one spawner (see spawner.py) and a datagram socket to it.  To run a
process it makes two pipes, sends their write ends with the request, and hands what it reads from
the other ends to the caller's `Record`.  If the spawner dies, all its processes count as killed,
what is left of them is killed, and the next run starts a new spawner.

Invariants: a `Process` gets its exit status exactly once, after all that its main process wrote is
in the record.  No call here blocks the event loop for longer than a system call.
"""

from __future__ import annotations

import array
import asyncio
import errno
import logging
import marshal
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.clock import Clock
from labkit.engine import accounting
from labkit.engine.logs import STDERR, STDOUT, Record

log = logging.getLogger(__name__)

SCRIPT = Path(__file__).with_name("spawner.py")
# The interpreter below any virtual environment: it needs no site-packages and starts faster.
PYTHON = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
READ_BYTES = 64 << 10  # what a pipe holds
# A container that fills its pipe again and again is read this often, so that it cannot keep the
# loop busy: 6 MB/s, and then the container waits.
BUSY_PAUSE = 0.01
KILLED = 128 + signal.SIGKILL


class SpawnError(OSError):
    """The process could not be started; `errno` is why."""


class Process:
    """One process of a container, started by the spawner: its main process or that of an exec."""

    def __init__(self, record: Record) -> None:
        self.pid = 0
        self.record = record
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.pipes: list[_Pipe] = []

    @property
    def running(self) -> bool:
        return not self.exited.done()

    def finish(self, status: int) -> None:
        """Take what is left in the pipes, then publish the exit status (as a shell's `$?`)."""
        for pipe in self.pipes:
            pipe.drain()
        if not self.exited.done():
            self.exited.set_result(status)


class _Pipe:
    """The read end of a container's standard output or error."""

    def __init__(self, fd: int, stream: int, record: Record, clock: Clock) -> None:
        os.set_blocking(fd, False)
        self._fd: int | None = fd
        self._stream, self._record, self._clock = stream, record, clock
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._ready)

    def _ready(self) -> None:
        if self._read() == READ_BYTES and self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._loop.call_later(BUSY_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._ready)

    def _read(self) -> int:
        """Read once; the number of bytes; closes the pipe at its end."""
        if self._fd is None:
            return 0
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._record.append(self._clock.now(), self._stream, data)
        else:
            self.close()
        return len(data)

    def drain(self) -> None:
        """Read what the dead process left in the pipe, and close it."""
        while self._read():
            pass
        self.close()

    def close(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


class Processes:
    """Starts, signals and reaps the processes of all containers of one engine."""

    def __init__(self, clock: Clock, root: Path) -> None:
        self._clock = clock
        self._root = root  # every process here has a CONTAINER_ROOT below it
        self._spawner: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._number = 0
        self._starting: dict[int, tuple[Process, asyncio.Future[None]]] = {}
        self._running: dict[int, Process] = {}

    @property
    def spawner_pid(self) -> int:
        """The spawner's process id; 0 if none runs."""
        return self._spawner.pid if self._spawner else 0

    def start(self) -> None:
        """Start the spawner, after killing what an engine that was killed left behind."""
        accounting.kill_strays(self._root)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._spawner = subprocess.Popen(
                [PYTHON, "-I", "-S", str(SCRIPT)], stdin=theirs, start_new_session=True
            )
        ours.setblocking(False)
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours, self._receive)

    async def stop(self) -> None:
        """End the spawner, and with it every process; returns when all are gone."""
        spawner = self._spawner
        if spawner is None:
            return
        self._hang_up()
        await asyncio.to_thread(spawner.wait)
        self._lose()

    async def run(
        self, group: str, argv: Sequence[str], env: Mapping[str, str], cwd: str, record: Record
    ) -> Process:
        """Start `argv[0]` (a path) with `argv[1:]` as its arguments, its own name included.

        `group` is the CONTAINER_ROOT of the container; what is written goes to `record`.
        Raises SpawnError if the process cannot be started.
        """
        if self._spawner is None:
            self.start()
        self._number += 1
        number = self._number
        process = Process(record)
        out, out_writer = os.pipe()
        err, err_writer = os.pipe()
        process.pipes = [
            _Pipe(out, STDOUT, record, self._clock),
            _Pipe(err, STDERR, record, self._clock),
        ]
        started = asyncio.get_running_loop().create_future()
        self._starting[number] = process, started
        try:
            request = ("run", number, group, list(argv), dict(env), cwd)
            await self._send(request, (out_writer, err_writer))
        except OSError as error:
            del self._starting[number]
            process.finish(KILLED)
            raise SpawnError(error.errno, os.strerror(error.errno or 0)) from error
        finally:
            os.close(out_writer)
            os.close(err_writer)
        await started
        return process

    async def signal(self, process: Process, number: int) -> None:
        """Send a signal to a main process; nothing happens if it has ended."""
        if process.running:
            try:
                await self._send(("kill", process.pid, int(number)), ())
            except SpawnError:
                pass  # the spawner has died, and the process with it

    async def _send(self, request: tuple, descriptors: tuple[int, ...]) -> None:
        data = marshal.dumps(request)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        while True:
            if self._socket is None:
                raise SpawnError(errno.ESRCH, "the spawner has ended")
            try:
                self._socket.sendmsg([data], rights if descriptors else [])
                return
            except BlockingIOError:
                await self._clock.sleep(BUSY_PAUSE)  # the spawner is behind by 200 KB of requests

    def _receive(self) -> None:
        """Take the spawner's reports; end-of-file means that it has died."""
        while self._socket is not None:
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                log.error("the spawner has died; its containers are dead pid=%d", self.spawner_pid)
                self._hang_up()
                accounting.kill_strays(self._root)
                self._lose()
                return
            kind, key, value = marshal.loads(data)
            getattr(self, f"_on_{kind}")(key, value)

    def _on_started(self, number: int, pid: int) -> None:
        process, started = self._starting.pop(number)
        process.pid = pid
        self._running[pid] = process
        started.set_result(None)

    def _on_failed(self, number: int, code: int) -> None:
        process, started = self._starting.pop(number)
        process.finish(KILLED)
        started.set_exception(SpawnError(code, os.strerror(code)))

    def _on_exited(self, pid: int, status: int) -> None:
        self._running.pop(pid).finish(status)

    def _hang_up(self) -> None:
        """Close the lifeline: the spawner then kills everything and ends."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _lose(self) -> None:
        """All processes of the spawner are dead: say so to those who wait for them."""
        if self._spawner is not None:
            self._spawner.wait()
            self._spawner = None
        for process, started in self._starting.values():
            process.finish(KILLED)
            started.set_exception(SpawnError(errno.ESRCH, "the spawner has ended"))
        for process in self._running.values():
            process.finish(KILLED)
        self._starting.clear()
        self._running.clear()
