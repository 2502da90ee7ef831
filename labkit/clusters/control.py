"""How a supervising daemon is told what to do: one JSON line in, one out, over a unix socket.

A request is `{"do": "list" | "start" | "stop" | "kill", "parts": [names], ...}`; without names it
means all.  The answer is `{"parts": [facts]}` or `{"error": {"what", "why", "fix"}}`.  The socket
is its owner's alone (0600).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from labkit.errors import ClusterError, LabkitError, UsageError

_TIMEOUT = 60.0  # seconds; longer than any start or stop takes


class ControlServer:
    """Answers requests with what `do(request)` returns."""

    def __init__(self, path: Path, do: Callable[[dict], Awaitable[list[dict]]]) -> None:
        self._path, self._do = path, do
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.  Raises OSError."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._answer, self._path)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Listen no more.  Safe to repeat."""
        if self._server:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            try:
                answer = {"parts": await self._do(json.loads(await reader.readline()))}
            except LabkitError as error:
                answer = {"error": {"what": error.what, "why": error.why, "fix": error.fix}}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()


def ask(path: Path, **request: object) -> list[dict]:
    """Send a request; the facts of all parts.  Raises UsageError, ClusterError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(os.fspath(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile() as answers:
                answer = json.loads(answers.readline())
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"The daemon of the cluster does not answer at {path} ({error}).",
                "The cluster is down, or all of its parts share one process.",
                "Start it so that they have one each: labkit up --parts separate",
            ) from None
    if error := answer.get("error"):
        raise UsageError(error["what"], error["why"], error["fix"])
    return answer["parts"]
