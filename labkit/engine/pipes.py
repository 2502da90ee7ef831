"""The engine's ends of a process's standard streams: pipes, or one terminal for all three.

Mechanism: `Outlet` reads what a process writes, when the loop says that there is something, and
hands it to a *sink* (a container's `Record`, an exec's `Feed`).  While the sink is full nothing is
read, so that the process waits in its write(2).  `Inlet` writes what a client sends, and waits
while the process does not read.

Invariant: nothing here blocks the event loop; a descriptor is closed exactly once.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from typing import Protocol

from labkit.clock import Clock

READ_BYTES = 64 << 10  # what a pipe holds


class Sink(Protocol):
    """Where output goes.  `pause`: seconds to wait after a full read, so that a container that
    writes without end cannot keep the loop busy."""

    pause: float

    @property
    def full(self) -> bool: ...

    def append(self, time: float, stream: int, data: bytes) -> None: ...

    def when_room(self, resume: Callable[[], None]) -> None: ...


class Outlet:
    """The read end of a process's standard output or error, or of its terminal."""

    def __init__(self, fd: int, stream: int, sink: Sink, clock: Clock) -> None:
        os.set_blocking(fd, False)
        self._fd: int | None = fd
        self._stream, self._sink, self._clock = stream, sink, clock
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._ready)

    def _ready(self) -> None:
        busy = self._read() == READ_BYTES and self._sink.pause
        if self._fd is None:
            return
        if self._sink.full:
            self._loop.remove_reader(self._fd)
            self._sink.when_room(self._resume)
        elif busy:
            self._loop.remove_reader(self._fd)
            self._loop.call_later(self._sink.pause, self._resume)

    def _resume(self) -> None:
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._ready)

    def _read(self) -> int:
        """Read once; the number of bytes; closes the descriptor at its end."""
        if self._fd is None:
            return 0
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # EIO: nobody has the terminal open any more
        if data:
            self._sink.append(self._clock.now(), self._stream, data)
        else:
            self.close()
        return len(data)

    def drain(self) -> None:
        """Read what the dead process left behind, and close."""
        while self._read():
            pass
        self.close()

    def close(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


class Inlet:
    """The write end of a process's standard input, or of its terminal."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd: int | None = fd
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()  # several clients may be attached
        self._waiter: asyncio.Future[None] | None = None

    async def write(self, data: bytes) -> None:
        """Write all of `data`.  Raises BrokenPipeError once nobody can read it."""
        async with self._turn:
            rest = memoryview(data)
            while rest:
                rest = rest[await self._write(rest) :]

    async def _write(self, data: memoryview) -> int:
        if self._fd is None:
            raise BrokenPipeError("standard input is closed")
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            await self._writable(self._fd)
            return 0
        except OSError as error:
            self.close()
            raise BrokenPipeError("nobody reads standard input") from error

    async def _writable(self, fd: int) -> None:
        self._waiter = self._loop.create_future()
        self._loop.add_writer(fd, self._wake)
        try:
            await self._waiter
        finally:
            if self._fd is not None:
                self._loop.remove_writer(fd)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def resize(self, height: int, width: int) -> None:
        """Tell the terminal its size in characters; nothing happens where there is none."""
        if self._fd is not None and os.isatty(self._fd):
            fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def close(self) -> None:
        """The process reads end-of-file.  Safe to repeat."""
        if self._fd is not None:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = None
            self._wake()
