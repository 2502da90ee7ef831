"""The client's seam over HTTPS: any Kubernetes API server.

Requests share a bounded number of connections; each watch has one of its own, because it lasts.
Events are JSON lines of any length.  What goes wrong on the way is an OSError, what the server says
is an ApiError, whether it says it as a Status or not.

Source: client-go rest.Request; Kubernetes API concepts, "Efficient detection of changes".
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping

import aiohttp
import orjson

from labkit.client.errors import ApiError, status_error
from labkit.client.transport import JSON

_CONNECTIONS = 32  # requests at once; more wait, and none is refused
_CONNECT_TIMEOUT = 5.0  # seconds, TLS handshake included
_REQUEST_TIMEOUT = 60.0  # seconds for a whole answer, as long as an API server gives itself
_KEEPALIVE = 30.0  # seconds; shorter than any server's, so that no request meets a closing one
_SHOWN = 1024  # letters of an answer that is no Status

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class HttpTransport:
    """Carries requests to `server` (`https://host:port`), as whom `ssl_context` or `headers` say.

    `ssl_context` holds the CA and, if any, the client's certificate; `server_name` is the name
    that the server's certificate must have, where it is not the host's.
    """

    def __init__(
        self,
        server: str,
        ssl_context: ssl.SSLContext | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        server_name: str | None = None,
    ) -> None:
        self.server = server.rstrip("/")
        self.ssl_context, self._server_name = ssl_context, server_name
        # The part before the slash is the name in which what it writes is owned.
        self.headers = {"Accept": JSON, "User-Agent": "labkit/1", **(headers or {})}
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
    ) -> dict:
        """The decoded answer.  Raises ApiError and OSError as `Transport.request` says."""
        data = None if body is None else orjson.dumps(body)
        headers = None if body is None else {"Content-Type": content_type}
        return _decoded(*await self._read(method, path, params=params, data=data, headers=headers))

    async def text(self, path: str) -> str:
        """What is there as text: a metrics page, a log.  Raises ApiError and OSError."""
        answer, content = await self._read("GET", path, headers={"Accept": "text/plain, */*"})
        if answer.status != 200:
            _decoded(answer, content)
        return content.decode(errors="replace")

    async def _read(
        self, method: str, path: str, **options: object
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT, sock_connect=_CONNECT_TIMEOUT)
        async with self._places:
            try:
                async with self._open(method, path, timeout=timeout, **options) as answer:
                    return answer, await answer.read()
            except aiohttp.ClientError as error:
                raise _unreachable(error) from error

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[dict]:
        """The watch's events until either side ends it."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT)
        params = {**params, "watch": "true"}
        try:
            async with self._open("GET", path, params=params, timeout=timeout) as answer:
                if answer.status != 200:
                    _decoded(answer, await answer.read())
                async for line in _lines(answer.content):
                    yield orjson.loads(line)
        except aiohttp.ClientError as error:
            raise _unreachable(error) from error

    def _open(self, method: str, path: str, **options: object):
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=self.headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session.request(
            method,
            self.server + path,
            ssl=True if self.ssl_context is None else self.ssl_context,
            server_hostname=self._server_name,
            allow_redirects=False,
            **options,
        )

    async def close(self) -> None:
        """Give back sockets.  Safe to repeat."""
        if self._session:
            await self._session.close()
            self._session = None


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Complete lines of a stream, however long (aiohttp's own lines are limited)."""
    parts: list[bytes] = []
    async for chunk in content.iter_any():
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            parts.append(line)
            if text := b"".join(parts).strip():
                yield text
            parts.clear()
        parts.append(rest)


def _decoded(answer: aiohttp.ClientResponse, content: bytes) -> dict:
    """The object in an answer.  Raises ApiError for an answer that is not success."""
    try:
        body = orjson.loads(content) if content else {}
    except orjson.JSONDecodeError:
        body = None
    if 200 <= answer.status < 300 and isinstance(body, dict):
        return body
    if isinstance(body, dict) and body.get("kind") == "Status":
        raise ApiError({"code": answer.status, **body})
    text = content[:_SHOWN].decode(errors="replace").strip() or answer.reason or "no explanation"
    if text == "404 page not found":
        text = "the server could not find the requested resource"
    if answer.status < 400:
        text = f"the server's answer is not JSON: {text}"
    raise status_error(answer.status, _REASONS.get(answer.status, "InternalError"), text)


def _unreachable(error: aiohttp.ClientError) -> OSError:
    """The OSError that stands for whatever aiohttp met on the way."""
    if isinstance(error, OSError):
        return error
    return ConnectionError(str(error) or type(error).__name__)
