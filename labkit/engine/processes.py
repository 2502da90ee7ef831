"""Processes of containers: the engine's end of the spawner.

Mechanism: `Processes` owns one spawner (see spawner/) and a datagram socket to it.  To run a
process it makes pipes, or a terminal (`tty`), sends the process's ends with the request, and hands
what it reads from its own ends to the caller's sink (see pipes.py).  If the spawner dies, all its
processes count as killed, what is left of them is killed, and the next run starts a new spawner.

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.clock import Clock
from labkit.engine import accounting
from labkit.engine.logs import STDERR, STDOUT
from labkit.engine.pipes import Inlet, Outlet, Sink
from labkit.engine.resources import Limits

log = logging.getLogger(__name__)

SCRIPT = Path(__file__).with_name("spawner") / "__main__.py"
# The interpreter below any virtual environment: it needs no site-packages and starts faster.
PYTHON = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
BUSY_PAUSE = 0.01  # seconds until a spawner that is behind is asked again
KILLED = 128 + signal.SIGKILL


class SpawnError(OSError):
    """The process could not be started; `errno` is why."""


class Process:
    """One process of a container, started by the spawner: its main process or that of an exec.

    `stdin` is set if it has a standard input or a terminal.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.stdin: Inlet | None = None
        self.outlets: list[Outlet] = []

    @property
    def running(self) -> bool:
        return not self.exited.done()

    def finish(self, status: int) -> None:
        """Take what is left in the pipes, then publish the exit status (as a shell's `$?`)."""
        for outlet in self.outlets:
            outlet.drain()
        if self.stdin is not None:
            self.stdin.close()
        if not self.exited.done():
            self.exited.set_result(status)

    def connect(self, sink: Sink, clock: Clock, *, stdin: bool, tty: bool) -> list[int]:
        """Make the streams; the process's ends of them, which the caller closes.

        They are standard output, error and, if asked for, input; or one terminal for all three.
        """
        if tty:
            master, slave = os.openpty()
            self.stdin = Inlet(os.dup(master))
            self.outlets = [Outlet(master, STDOUT, sink, clock)]
            return [slave]
        out, err = os.pipe(), os.pipe()
        ends = [out[1], err[1]]
        self.outlets = [
            Outlet(out[0], STDOUT, sink, clock),
            Outlet(err[0], STDERR, sink, clock),
        ]
        if stdin:
            reader, writer = os.pipe()
            self.stdin = Inlet(writer)
            ends.append(reader)
        return ends


class Processes:
    """Starts, signals and reaps the processes of all containers of one engine.

    `out_of_memory` is told the group that is killed for using more than its limit.
    """

    def __init__(self, clock: Clock, root: Path, out_of_memory: Callable[[str], None]) -> None:
        self._clock = clock
        self._root = root  # every process here has a CONTAINER_ROOT below it
        self._out_of_memory = out_of_memory
        self._spawner: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._number = 0
        self._starting: dict[int, tuple[Process, asyncio.Future[None]]] = {}
        self._running: dict[int, Process] = {}
        self._asked: dict[int, asyncio.Future[Any]] = {}

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
        self,
        group: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        sink: Sink,
        *,
        stdin: bool = False,
        tty: bool = False,
        limits: Limits | None = None,
    ) -> Process:
        """Start `argv[0]` (a path) with `argv[1:]` as its arguments, its own name included.

        `group` is the CONTAINER_ROOT of the container; what is written goes to `sink`; `stdin`
        gives it a standard input, `tty` a terminal.  A main process brings the `limits` of its
        container.  Raises SpawnError if it cannot be started.
        """
        if self._spawner is None:
            self.start()
        self._number += 1
        number = self._number
        process = Process()
        ends = process.connect(sink, self._clock, stdin=stdin, tty=tty)
        started = asyncio.get_running_loop().create_future()
        self._starting[number] = process, started
        try:
            own = tuple(limits) if limits is not None else None
            await self._send(("run", number, group, list(argv), dict(env), cwd, own), ends)
        except OSError as error:
            del self._starting[number]
            process.finish(KILLED)
            raise SpawnError(error.errno, os.strerror(error.errno or 0)) from error
        finally:
            for end in ends:
                os.close(end)
        await started
        return process

    async def signal(self, process: Process, number: int) -> None:
        """Send a signal to a main process; nothing happens if it has ended."""
        if process.running:
            try:
                await self._send(("kill", process.pid, int(number)))
            except SpawnError:
                pass  # the spawner has died, and the process with it

    async def limit(self, group: str, limits: Limits) -> None:
        """New limits for a container that runs."""
        await self._send(("limit", group, tuple(limits)))

    async def pause(self, group: str) -> None:
        """Return when all processes of a container stand still."""
        await self._ask("pause", group)

    async def unpause(self, group: str) -> None:
        """Let a container that was paused go on."""
        await self._ask("unpause", group)

    async def throttling(self, group: str) -> tuple[int, int, int]:
        """(periods, throttled periods, nanoseconds throttled) of a container with a CPU limit."""
        return await self._ask("figures", group)

    async def _ask(self, kind: str, group: str) -> Any:
        """Raises SpawnError if there is no spawner, or no more."""
        self._number += 1
        number = self._number
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send((kind, number, group))
            return await self._asked[number]
        finally:
            del self._asked[number]

    async def _send(self, request: tuple, descriptors: Sequence[int] = ()) -> None:
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

    def _on_done(self, number: int, result: Any) -> None:
        if number in self._asked and not self._asked[number].done():
            self._asked[number].set_result(result)

    def _on_oom(self, group: str, _: None) -> None:
        self._out_of_memory(group)

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
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(SpawnError(errno.ESRCH, "the spawner has ended"))
        self._starting.clear()
        self._running.clear()
