"""The seam between a client and an API server: one request, or one watch.

Two things implement `Transport`: `labkit.client.http.HttpTransport` (any API server, over HTTPS)
and the API server's own in-memory transport.  Bodies and answers are decoded JSON (dicts).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

JSON = "application/json"
PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Transport(Protocol):
    """Carries requests of one identity to one API server."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
    ) -> dict:
        """The decoded answer.

        Raises ApiError for an answer that is not success, OSError (ConnectionError, TimeoutError)
        where the server cannot be reached.
        """
        ...

    def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[dict]:
        """The watch's events, `{"type": ..., "object": ...}`, until the server ends it.

        Raises as `request` does.  An event of type ERROR is yielded, not raised.  Closing the
        iterator (`aclose`) ends the watch.
        """
        ...

    async def close(self) -> None:
        """Give back sockets.  Safe to repeat."""
        ...
