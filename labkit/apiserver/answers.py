"""The parts that all answers have in common, and the form of a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from aiohttp import web
from multidict import CIMultiDict

from labkit.apiserver import compression, negotiation
from labkit.apiserver.negotiation import Form
from labkit.apiserver.reads import EncodedList
from labkit.apiserver.request import Result
from labkit.apiserver.statuses import PageNotFound
from labkit.client.errors import ApiError
from labkit.client.transport import JSON

AUDIT_ID: ContextVar[str] = ContextVar("audit_id", default="")
"""The id of the request that is being answered, by which it is found in the audit log."""

_WARNINGS, _WARNING = 4096, 256  # letters of all warnings together, and of each of many
_MANY_WARNINGS = 64  # Python's http.client reads no more than a hundred headers


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


class ListResponse(web.StreamResponse):
    """A list that is sent piece by piece, no faster than the client reads."""

    def __init__(self, pieces: Sequence[bytes], found: CIMultiDict[str]) -> None:
        super().__init__(headers=found)
        self.content_length = sum(map(len, pieces))
        self._pieces = pieces

    async def write_eof(self, data: bytes = b"") -> None:
        for piece in self._pieces:
            await self.write(piece)
        await super().write_eof(data)


async def response(
    answer: Result, form: Form, params: Mapping[str, str], given: Mapping[str, str], now: float
) -> web.StreamResponse:
    """The answer to a request with these parameters and headers.  Raises ApiError 400, 406."""
    compress = compression.accepted(given.get("Accept-Encoding", ""))
    found = headers({"Content-Type": form.media})
    for warning in _told(answer.warnings):
        found.add("Warning", f"299 - {json.dumps(warning, ensure_ascii=False)}")
    if isinstance(answer.body, EncodedList) and form == negotiation.PLAIN and not compress:
        return ListResponse(answer.body.pieces(), found)
    include = params.get("includeObject") or "Metadata"
    content = negotiation.encode(answer.body, form, now, include)
    if compress and len(content) > compression.THRESHOLD:
        content = await compression.compressed(content)
        found["Content-Encoding"] = "gzip"
        found["Vary"] = "Accept-Encoding"
    return web.Response(status=answer.code, body=content, headers=found)


def _told(warnings: Sequence[str]) -> list[str]:
    """Each warning once, and no more than clients read: if they are many, each is cut short."""
    found = list(dict.fromkeys(warnings))
    if len(found) <= _MANY_WARNINGS and sum(map(len, found)) <= _WARNINGS:
        return found
    room, told = _WARNINGS, []
    for warning in found:
        warning = warning[:_WARNING]
        room -= len(warning)
        if room < 0 or len(told) == _MANY_WARNINGS:
            break
        told.append(warning)
    return told


def is_pretty(request: web.BaseRequest) -> bool:
    """Whether a refusal of this request is laid out for people."""
    agent = request.headers.get("User-Agent", "")
    return negotiation.is_pretty(negotiation.PLAIN, request.query, agent)


def refusal(error: ApiError, *, pretty: bool = False) -> web.Response:
    """The answer that carries an error's Status."""
    if isinstance(error, PageNotFound):
        return web.Response(status=error.code, text=error.text, headers=headers({}))
    found = headers({"Content-Type": JSON})
    if seconds := (error.status.get("details") or {}).get("retryAfterSeconds"):
        found["Retry-After"] = str(seconds)
    body = negotiation.dump(error.status, JSON, pretty=pretty)
    response = web.Response(status=error.code, body=body, headers=found)
    if error.code in (408, 413):
        # What is left of the body is not worth reading.
        response.force_close()
    return response
