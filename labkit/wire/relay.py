"""The headers of an HTTP message that is passed on from one connection to another.

Source: RFC 9110, section 7.6.1; Go's net/http/httputil (hopHeaders), as upstream's proxies use it.
"""

from __future__ import annotations

from collections.abc import Mapping

from multidict import CIMultiDict

HOP_BY_HOP = (
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Te",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)
"""Headers that are about one connection alone."""

AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp's client would add where the one who asks did not."""


def without(headers: Mapping[str, str], names: tuple[str, ...]) -> CIMultiDict[str]:
    """`headers` less those, and less what `Connection` names."""
    left: CIMultiDict[str] = CIMultiDict(headers)
    named = [name.strip() for name in headers.get("Connection", "").split(",") if name.strip()]
    for name in (*names, *named):
        left.popall(name, None)
    return left
