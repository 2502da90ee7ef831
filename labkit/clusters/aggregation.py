"""The metrics API between two processes: the API server hands requests on to the metrics-server.

The metrics-server serves HTTPS and answers the API server alone, which it knows by the certificate
of the front proxy; who may read metrics has been decided by then.  The API server's end is a
handler as `APIServer.aggregate` takes it.

Source: Kubernetes documentation, "Configure the Aggregation Layer"; kube-aggregator's
handler_proxy.go.  Left out: a CA of its own for the front proxy, the headers that name the user,
and APIServices of others.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web

from labkit.client import ApiError
from labkit.client.errors import status_error
from labkit.client.http import HttpTransport
from labkit.client.transport import JSON
from labkit.clusters.roster import FRONT_PROXY

Handler = Callable[[str, Mapping[str, str]], Awaitable[dict]]
PORT = 10250
_UNAVAILABLE = "the server is currently unable to handle the request"


class RemoteAPI:
    """The API server's end: asks the server at `address` as the front proxy."""

    def __init__(self, address: str, ssl_context: ssl.SSLContext) -> None:
        self._transport = HttpTransport(f"https://{address}:{PORT}", ssl_context)

    async def start(self) -> None:
        """Nothing: connections are made when they are needed."""

    async def stop(self) -> None:
        """Close all connections.  Safe to repeat."""
        await self._transport.close()

    async def handle(self, path: str, params: Mapping[str, str]) -> dict:
        """The answer to a GET.  Raises ApiError, 503 where the server cannot be reached."""
        try:
            return await self._transport.request("GET", path, params=params)
        except OSError:
            raise status_error(503, "ServiceUnavailable", _UNAVAILABLE) from None


class ExtensionServer:
    """The other end: serves `handler` on `address` over HTTPS."""

    def __init__(self, handler: Handler, address: str, ssl_context: ssl.SSLContext) -> None:
        self._handler, self._address, self._ssl = handler, address, ssl_context
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen.  Raises OSError."""
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None))
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, PORT, ssl_context=self._ssl).start()

    async def stop(self) -> None:
        """Close everything.  Safe to repeat."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            if _common_name(request) != FRONT_PROXY:
                raise status_error(401, "Unauthorized", "Unauthorized")
            code, body = 200, await self._handler(request.path, dict(request.query))
        except ApiError as error:
            code, body = error.code, error.status
        return web.Response(status=code, body=orjson.dumps(body), content_type=JSON)


def _common_name(request: web.BaseRequest) -> str:
    certificate = request.transport.get_extra_info("peercert") or {}
    names = dict(pair for part in certificate.get("subject", ()) for pair in part)
    return names.get("commonName", "")
