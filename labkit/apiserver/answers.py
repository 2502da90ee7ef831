"""The parts that all answers have in common, and the form of a refusal."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import orjson
from aiohttp import web
from multidict import CIMultiDict

from labkit.client.errors import ApiError
from labkit.client.transport import JSON


def headers(given: Mapping[str, str]) -> CIMultiDict[str]:
    """`given` and what every answer carries."""
    found: CIMultiDict[str] = CIMultiDict(given)
    found["Audit-Id"] = str(uuid.uuid4())
    found.setdefault("Cache-Control", "no-cache, private")
    return found


def refusal(error: ApiError) -> web.Response:
    """The answer that carries an error's Status."""
    found = headers({"Content-Type": JSON})
    if seconds := (error.status.get("details") or {}).get("retryAfterSeconds"):
        found["Retry-After"] = str(seconds)
    if error.code == 401:
        found["WWW-Authenticate"] = "Certificate"
    response = web.Response(status=error.code, body=orjson.dumps(error.status), headers=found)
    if error.code in (408, 413):
        # What is left of the body is not worth reading.
        response.force_close()
    return response
