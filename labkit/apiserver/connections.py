"""Open connections: who is at the other end, and what runs for them.

An identity is read once, when the TLS handshake is over.  A stream (a watch, a followed log) is a
task that belongs to its connection and is cancelled when that is lost; other requests run to their
end, since a write that has begun is not undone by a client that has gone.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiohttp import web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.streams import StreamReader

from labkit.apiserver import answers, auth
from labkit.apiserver.request import ANONYMOUS, User
from labkit.client.errors import status_error


class Peer(NamedTuple):
    """The other end of a connection: whom its certificate names, and its IP address."""

    user: User
    address: str


NOBODY = Peer(ANONYMOUS, "")


class _Protocol(web.RequestHandler):
    """aiohttp's, except that what is not even HTTP is refused by a Status too."""

    def log_exception(self, *args: object, **options: object) -> None:
        # A body that cannot be decompressed is the client's fault; it has been told, or has gone.
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size:
            raise ConnectionAbortedError(str(exc))
        reason = "BadRequest" if status < 500 else "InternalError"
        response = answers.refusal(status_error(status, reason, message or str(exc)))
        response.force_close()
        return response


class Connections(web.Server):
    """The open connections: who is at the other end, and what runs for them."""

    def __init__(self, handler, max_body: int, **options: object) -> None:
        """`handler` answers requests; bodies have at most `max_body` bytes."""
        super().__init__(handler, request_factory=self._make_request, **options)
        self._max_body, self._options = max_body, options
        self.peers: dict[web.RequestHandler, Peer] = {}
        self._streams: dict[web.RequestHandler, asyncio.Task] = {}

    def __call__(self) -> web.RequestHandler:
        loop = asyncio.get_running_loop()
        return _Protocol(self, loop=loop, **self._options)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: StreamWriter,
        task: asyncio.Task,
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        limit = self._max_body
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=limit
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        name = transport.get_extra_info("peername")
        self.peers[handler] = Peer(_certified(transport), name[0] if name else "")

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self.peers.pop(handler, None)
        if task := self._streams.pop(handler, None):
            task.cancel()

    def streaming(self, request: web.BaseRequest) -> _Streaming:
        """While this context is entered, the current task ends with the request's connection."""
        return _Streaming(self._streams, request.protocol)

    def end_streams(self) -> None:
        """Cancel all streams; their connections are closed by that."""
        for task in list(self._streams.values()):
            task.cancel()


def _certified(transport: asyncio.Transport) -> User:
    session = transport.get_extra_info("ssl_object")
    if session is None:
        return ANONYMOUS
    return auth.user_of(session.getpeercert(), session.getpeercert(binary_form=True))


class _Streaming:
    def __init__(self, tasks: dict[web.RequestHandler, asyncio.Task], key) -> None:
        self._tasks, self._key = tasks, key

    def __enter__(self) -> None:
        if self._key.transport is None:
            raise ConnectionResetError("the client has gone")
        self._tasks[self._key] = asyncio.current_task()

    def __exit__(self, *_: object) -> None:
        self._tasks.pop(self._key, None)
