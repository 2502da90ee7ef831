"""The client's seam answered in memory: no sockets, no encoding, no copying of what is read.

A component that has this transport cannot tell it from HTTPS, except that it is fast.  What it
reads is the server's own and read-only; what it writes is copied.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing

import orjson

from labkit.apiserver.request import Encoded, Request, Result, User, Watch
from labkit.client.transport import JSON

Handle = Callable[[Request], Awaitable[Result | Watch]]


class MemoryTransport:
    """Carries the requests of one user to `handle`, in the name of one program."""

    def __init__(self, handle: Handle, user: User, user_agent: str = "") -> None:
        self._handle, self._user, self._user_agent = handle, user, user_agent

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
    ) -> dict:
        """The decoded answer.  Raises ApiError."""
        if body is not None:
            body = orjson.loads(orjson.dumps(body))
        request = Request(
            method, path, self._user, params or {}, body, content_type, self._user_agent
        )
        result = await self._handle(request)
        if method != "GET":
            # A write over a socket lets others run; a loop of writes must do so here too, or
            # whoever watches falls behind without limit.
            await asyncio.sleep(0)
        return result.body.obj if isinstance(result.body, Encoded) else result.body

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[dict]:
        """The watch's events until either side ends it."""
        request = Request("GET", path, self._user, {**params, "watch": "true"})
        answer = await self._handle(request)
        async with aclosing(answer.events) as events:
            async for event in events:
                yield {"type": event.type, "object": event.item.obj}

    async def close(self) -> None:
        """Nothing to give back."""
