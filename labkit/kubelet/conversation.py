"""A talk with a container through the engine: the hijacked connection of `exec` and `attach`.

What the container writes comes in Docker's frames, or as it is from a terminal; what is sent goes
to its standard input, whose end is the end of this direction of the connection.

Source: Docker Engine API, "Attach to a container".
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiodocker.exceptions import DockerError

from labkit.wire.hijack import LIMIT
from labkit.wire.upgrade import Upgraded, upgrade

STDOUT, STDERR = 1, 2
_FRAME = struct.Struct(">BxxxL")  # stream number, length


class Conversation:
    """Both directions; what is read is never more than what was asked for."""

    def __init__(self, upgraded: Upgraded, tty: bool) -> None:
        self._reader, self._writer, self._tty = upgraded.reader, upgraded.writer, tty

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(STDOUT or STDERR, bytes) as the container writes, until it ends."""
        if self._tty:
            while data := await self._reader.read(LIMIT):
                yield STDOUT, data
            return
        while header := await self._reader.read(1):
            header += await self._reader.readexactly(_FRAME.size - 1)
            stream, left = _FRAME.unpack(header)
            while left and (data := await self._reader.read(min(left, LIMIT))):
                left -= len(data)
                yield stream, data

    async def send(self, data: bytes) -> None:
        """Bytes for standard input.  Raises ConnectionError where nobody listens any more."""
        self._writer.write(data)
        await self._writer.drain()

    def end(self) -> None:
        """The end of standard input."""
        if self._writer.can_write_eof():
            self._writer.write_eof()


@asynccontextmanager
async def converse(
    docker_url: str, path: str, body: Mapping | None, *, tty: bool
) -> AsyncIterator[Conversation]:
    """Begin a talk by `POST path`.  Raises DockerError, OSError."""
    headers = {"Connection": "Upgrade", "Upgrade": "tcp", "Content-Type": "application/json"}
    content = json.dumps(body).encode() if body else b""
    async with upgrade(docker_url, path, method="POST", headers=headers, body=content) as upgraded:
        if upgraded.status not in (101, 200):
            raise DockerError(upgraded.status, _message(await upgraded.explanation()))
        yield Conversation(upgraded, tty)


def _message(text: str) -> str:
    try:
        return json.loads(text)["message"]
    except (ValueError, LookupError, TypeError):
        return text
