"""What an exec writes, on its way to the one client that asked for it.

Unlike a container's log an exec's output must arrive whole, however slow its reader is (`kubectl
cp` reads a tar from it).  So nothing is forgotten here: a feed that is full holds up the process.
Once nobody reads, output is thrown away, no faster than a container's log is read, and the process
goes on, as with dockerd.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable

from labkit.engine.logs import Chunk, Record

FEED_BYTES = 256 << 10


class Feed:
    """A queue of chunks from one process to one reader; a `Sink` of pipes.py."""

    def __init__(self, limit: int = FEED_BYTES) -> None:
        self.pause = 0.0  # the reader sets the pace
        self._limit = limit
        self._chunks: deque[Chunk] = deque()
        self._size = 0
        self._read = True  # somebody reads, or will
        self._open = True
        self._some = asyncio.Event()
        self._waiting: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        """Whether the process has to wait."""
        return self._size >= self._limit

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, when the feed is no longer full."""
        self._waiting.append(resume)

    def append(self, time: float, stream: int, data: bytes) -> None:
        """Take what the process wrote."""
        if self._read:
            self._chunks.append(Chunk(time, stream, data, False))
            self._size += len(data)
            self._some.set()

    def close(self) -> None:
        """The process has ended: the reader ends after the last chunk."""
        self._open = False
        self._some.set()

    def discard(self) -> None:
        """Nobody reads (any more)."""
        self._read = False
        self.pause = Record.pause
        self._chunks.clear()
        self._size = 0
        self._make_room()

    async def follow(self) -> AsyncGenerator[Chunk]:
        """The chunks as they come.  A reader that leaves before the end is the last one."""
        try:
            while True:
                await self._some.wait()
                while self._chunks:
                    chunk = self._chunks.popleft()
                    self._size -= len(chunk.data)
                    if not self.full:
                        self._make_room()
                    yield chunk
                if not self._open:
                    return
                self._some.clear()
        finally:
            self.discard()

    def _make_room(self) -> None:
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()
