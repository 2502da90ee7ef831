"""An upgraded connection, passed through to a kubelet: bytes in both directions.

The kubelet speaks WebSocket or SPDY with the client; the API server only asks it for the upgrade
that it was asked for itself, and then copies.  Whoever is slow holds up the other, and when one
side ends, so does the other.

Source: k8s.io/apimachinery pkg/util/proxy (UpgradeAwareHandler).  Upstream's API server also
translates between the two protocols, for kubelets that know only one.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from labkit.apiserver import answers, statuses
from labkit.apiserver.kubelets import dial_failure
from labkit.client.errors import ApiError, status_error
from labkit.wire.hijack import copy, first, hijacked
from labkit.wire.upgrade import Upgraded, upgrade

_PASSED_ON = (
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "X-Stream-Protocol-Version",
)


async def tunnel(
    request: web.BaseRequest,
    url: str,
    ssl_context: ssl.SSLContext,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Upgrade the connection to `url`'s server, asking with `headers`, else with those of the
    client's that an upgrade is about.  Raises ApiError where that is refused.
    """
    if "upgrade" not in request.headers.get("Connection", "").lower():
        raise statuses.bad_request("Upgrade request required")
    parts = urlsplit(url)
    if headers is None:
        # X-Stream-Protocol-Version may come several times.
        headers = CIMultiDict(
            (name, value) for name in _PASSED_ON for value in request.headers.getall(name, ())
        )
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        async with upgrade(
            f"{parts.scheme}://{parts.netloc}",
            target,
            method=request.method,
            headers=headers,
            ssl_context=ssl_context,
        ) as upstream:
            return await _pass_on(request, upstream)
    except OSError as error:
        if request.writer.output_size:
            raise ConnectionAbortedError(str(error)) from None
        raise statuses.internal(f"error dialing backend: {dial_failure(url, error)}") from None


async def _pass_on(request: web.BaseRequest, upstream: Upgraded) -> web.StreamResponse:
    if upstream.status != 101:
        raise _refusal(upstream.status, await upstream.explanation())
    headers = answers.headers(upstream.headers)
    async with hijacked(request, headers) as (response, reader, writer):
        await first(copy(reader, upstream.writer), copy(upstream.reader, writer))
    return response


def _refusal(code: int, text: str) -> ApiError:
    reasons = {400: "BadRequest", 403: "Forbidden", 404: "NotFound"}
    if code in reasons:
        return status_error(code, reasons[code], text)
    return statuses.internal(text)
