"""Bytes on their way from one task to another, a bounded number of them."""

from __future__ import annotations

import asyncio
from collections import deque

LIMIT = 64 << 10


class ByteQueue:
    """One writer waits while `limit` bytes or more are not taken; one reader takes them."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._taken = True  # somebody reads, or will
        self._some, self._room = asyncio.Event(), asyncio.Event()

    async def put(self, data: bytes) -> None:
        """Waits until there is room.  What comes after the end goes nowhere."""
        if not data or self._ended or not self._taken:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._some.set()
        while self._size >= self._limit and self._taken:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """There will be no more.  Safe to repeat."""
        self._ended = True
        self._some.set()

    def abandon(self) -> None:
        """Nobody reads any more: a writer need not wait."""
        self._taken = False
        self._chunks.clear()
        self._size = 0
        self._room.set()

    async def get(self) -> bytes:
        """The next bytes; b"" at the end."""
        while not self._chunks:
            if self._ended:
                return b""
            self._some.clear()
            await self._some.wait()
        data = self._chunks.popleft()
        self._size -= len(data)
        self._room.set()
        return data
