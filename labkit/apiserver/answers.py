"""The parts that all answers have in common, and the form of a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

import orjson
from aiohttp import web
from multidict import CIMultiDict

from labkit.client.errors import ApiError
from labkit.client.transport import JSON

AUDIT_ID: ContextVar[str] = ContextVar("audit_id", default="")
"""The id of the request that is being answered, by which it is found in the audit log."""


def headers(given: Mapping[str, str]) -> CIMultiDict[str]:
    """`given` and what every answer carries."""
    found: CIMultiDict[str] = CIMultiDict(given)
    found["Audit-Id"] = AUDIT_ID.get()
    found.setdefault("Cache-Control", "no-cache, private")
    return found


def refusal(error: ApiError) -> web.Response:
    """The answer that carries an error's Status."""
    found = headers({"Content-Type": JSON})
    if seconds := (error.status.get("details") or {}).get("retryAfterSeconds"):
        found["Retry-After"] = str(seconds)
    response = web.Response(status=error.code, body=orjson.dumps(error.status), headers=found)
    if error.code in (408, 413):
        # What is left of the body is not worth reading.
        response.force_close()
    return response
