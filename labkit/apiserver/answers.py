"""The parts that all answers have in common, and the form of a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar

from aiohttp import web
from multidict import CIMultiDict

from labkit.apiserver import compression, negotiation
from labkit.apiserver.negotiation import Form
from labkit.apiserver.request import Result
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


def form(given: Mapping[str, str], params: Mapping[str, str]) -> Form:
    """The form that a request's headers and parameters ask for.  Raises ApiError 406."""
    found = negotiation.accepted(given.get("Accept", ""))
    if negotiation.is_pretty(found, params, given.get("User-Agent", "")):
        return found._replace(pretty=True)
    return found


async def response(
    answer: Result, form: Form, params: Mapping[str, str], given: Mapping[str, str], now: float
) -> web.Response:
    """The answer to a request with these parameters and headers.  Raises ApiError 400, 406."""
    include = params.get("includeObject") or "Metadata"
    content = negotiation.encode(answer.body, form, now, include)
    found = headers({"Content-Type": form.media})
    for warning in answer.warnings:
        found.add("Warning", f"299 - {json.dumps(warning, ensure_ascii=False)}")
    if len(content) > compression.THRESHOLD and compression.accepted(
        given.get("Accept-Encoding", "")
    ):
        content = await compression.compressed(content)
        found["Content-Encoding"] = "gzip"
        found["Vary"] = "Accept-Encoding"
    return web.Response(status=answer.code, body=content, headers=found)


def is_pretty(request: web.BaseRequest) -> bool:
    """Whether a refusal of this request is laid out for people."""
    agent = request.headers.get("User-Agent", "")
    return negotiation.is_pretty(negotiation.PLAIN, request.query, agent)


def refusal(error: ApiError, *, pretty: bool = False) -> web.Response:
    """The answer that carries an error's Status."""
    found = headers({"Content-Type": JSON})
    if seconds := (error.status.get("details") or {}).get("retryAfterSeconds"):
        found["Retry-After"] = str(seconds)
    body = negotiation.dump(error.status, JSON, pretty=pretty)
    response = web.Response(status=error.code, body=body, headers=found)
    if error.code in (408, 413):
        # What is left of the body is not worth reading.
        response.force_close()
    return response
