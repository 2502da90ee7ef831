"""What a container wrote: a bounded record with readers that follow it.

Mechanism: every read from a container's pipe is one `Chunk`, kept in order with its time.  The
record keeps the newest `limit` bytes and forgets whole chunks from the front.  A reader holds the
number of the next chunk it wants; one that falls behind skips what is forgotten, so that a slow
client costs the engine no memory and does not block the container.  Only who is attached holds the
container up rather than miss something, as with dockerd.  Lines are split when somebody asks for
lines, not when they are written.

Invariant: chunk numbers grow by one; `first` is the number of the oldest chunk kept.

Left out compared with Docker's json-file driver: nothing is written to disk, and `max-size` and
`max-file` are not options.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import NamedTuple

from labkit.engine.timestamps import rfc3339_nano

STDOUT, STDERR = 1, 2
RECORD_BYTES = 1 << 20  # 30 chatty containers then cost the daemon 30 MB
CHUNK_OVERHEAD = 128  # what one Chunk object costs besides its bytes


class Chunk(NamedTuple):
    """Bytes as they were read: `time` in Unix seconds, `fresh` if they begin a line."""

    time: float
    stream: int
    data: bytes
    fresh: bool


class Selection(NamedTuple):
    """Which part of a record is wanted: the query of `GET /containers/{id}/logs`."""

    streams: frozenset[int] = frozenset({STDOUT, STDERR})
    since: float = 0.0
    until: float = 0.0  # 0: no end
    tail: int | None = None  # lines; None: all
    timestamps: bool = False

    def has(self, chunk: Chunk) -> bool:
        """Whether `chunk` is on a wanted stream and inside the time span."""
        return (
            chunk.stream in self.streams
            and chunk.time >= self.since
            and (not self.until or chunk.time <= self.until)
        )


class _Attached:
    """A reader that misses nothing: how many bytes it is behind."""

    def __init__(self, behind: int) -> None:
        self.behind = behind


class Record:
    """The output of one container, over all its runs; a `Sink` of pipes.py."""

    pause = 0.01  # seconds: a container that writes without end is read at 6 MB/s

    def __init__(self, limit: int = RECORD_BYTES) -> None:
        self._chunks: deque[Chunk] = deque()
        self._limit = limit
        self._size = 0
        self._fresh = {STDOUT: True, STDERR: True}
        self._changed: list[asyncio.Future[None]] = []
        self._attached: list[_Attached] = []
        self._waiting: list[Callable[[], None]] = []
        self.first = 0
        self.open = False

    @property
    def end(self) -> int:
        """The number that the next chunk will get."""
        return self.first + len(self._chunks)

    def begin(self) -> None:
        """A run starts: followers wait for more instead of ending."""
        self.open = True

    def append(self, time: float, stream: int, data: bytes) -> None:
        """Record what was read at `time` (Unix seconds)."""
        self._chunks.append(Chunk(time, stream, data, self._fresh[stream]))
        self._fresh[stream] = data.endswith(b"\n")
        self._size += _cost(data)
        for reader in self._attached:
            reader.behind += _cost(data)
        while self._size > self._limit and len(self._chunks) > 1:
            self._size -= _cost(self._chunks.popleft().data)
            self.first += 1
        self._wake()

    @property
    def full(self) -> bool:
        """Whether somebody who is attached would soon miss something."""
        return any(reader.behind > self._limit // 2 for reader in self._attached)

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, when nobody is too far behind."""
        self._waiting.append(resume)

    def _make_room(self) -> None:
        if self._waiting and not self.full:
            waiting, self._waiting = self._waiting, []
            for resume in waiting:
                resume()

    def close(self) -> None:
        """The run has ended: followers end after the last chunk."""
        self.open = False
        self._fresh = {STDOUT: True, STDERR: True}
        self._wake()

    def read(self, start: int) -> list[Chunk]:
        """The chunks from number `start` on that are still kept."""
        wanted = self.end - max(start, self.first)
        return [self._chunks[index] for index in range(-wanted, 0)]

    async def follow(self, start: int) -> AsyncGenerator[Chunk]:
        """The chunks from `start` on, as they come, until the run ends."""
        while True:
            chunks, start = self.read(start), self.end
            for chunk in chunks:
                yield chunk
            if self.end == start and not self.open:
                return
            await self._beyond(start)

    async def attach(self, start: int) -> AsyncGenerator[Chunk]:
        """The same; the container waits where this reader is slow."""
        reader = _Attached(sum(_cost(chunk.data) for chunk in self.read(start)))
        self._attached.append(reader)
        try:
            async for chunk in self.follow(start):
                reader.behind -= _cost(chunk.data)
                self._make_room()
                yield chunk
        finally:
            self._attached.remove(reader)
            self._make_room()

    async def _beyond(self, number: int) -> None:
        """Wait until there is more than the chunks before `number`, or the run has ended."""
        if self.end == number and self.open:
            waiter = asyncio.get_running_loop().create_future()
            self._changed.append(waiter)
            await waiter

    def _wake(self) -> None:
        waiters, self._changed = self._changed, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _cost(data: bytes) -> int:
    return len(data) + CHUNK_OVERHEAD


def frame(stream: int, data: bytes) -> bytes:
    """One frame of Docker's multiplexed stream: 1 byte stream, 3 zeros, 4 bytes length, data."""
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


def lines(chunk: Chunk) -> Iterator[tuple[bytes, bool]]:
    """(line with its newline, whether it begins a line) of a chunk."""
    fresh = chunk.fresh
    *whole, rest = chunk.data.split(b"\n")
    for line in whole:
        yield line + b"\n", fresh
        fresh = True
    if rest:
        yield rest, fresh


def tail(chunks: list[Chunk], count: int | None) -> list[Chunk]:
    """The end of `chunks` that holds the last `count` lines (None: all lines)."""
    if count is None:
        return chunks
    kept: list[Chunk] = []
    for chunk in reversed(chunks):
        if count <= 0:
            break
        parts = list(lines(chunk))
        for index in range(len(parts) - 1, -1, -1):
            count -= parts[index][1]
            if count == 0:
                parts = parts[index:]
                break
        kept.append(chunk._replace(data=b"".join(p[0] for p in parts), fresh=parts[0][1]))
    return kept[::-1]


def frames(chunk: Chunk, *, timestamps: bool, tty: bool) -> bytes:
    """`chunk` as the log endpoint sends it: one frame for each line, none for a terminal's."""
    stamp = rfc3339_nano(chunk.time).encode() + b" " if timestamps else b""
    stamped = (stamp + line if fresh else line for line, fresh in lines(chunk))
    return b"".join(stamped if tty else (frame(chunk.stream, line) for line in stamped))
