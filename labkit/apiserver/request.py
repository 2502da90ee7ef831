"""One request to the API server, without its transport.

HTTP and the in-memory transport both make a `Request`; the registry answers it with a `Result` or
a `Watch`, or raises ApiError.  Nothing below this seam knows about HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: a name, the groups it is in, and what else its credential says of it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Request:
    """`body` is decoded (from JSON or YAML); `params` are the query's, the last value of each.

    `repeated` is what strict decoding has against a body whose fields are there twice.
    """

    method: str
    path: str
    user: User
    params: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content_type: str = "application/json"
    user_agent: str = ""
    repeated: tuple[str, ...] = ()


class Encoded(NamedTuple):
    """An object of the store and its JSON, encoded once and never again.  Read-only."""

    obj: Mapping
    json: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """An answer: an HTTP status code and an object (`Encoded` when it comes from the store)."""

    code: int
    body: Mapping | Encoded
    warnings: tuple[str, ...] = ()


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    item: Encoded


class Events(Protocol):
    """The events of a watch, one by one or as many as there are.

    While `batch` waits, what comes may be written to `sink`, if one is set (see watch.Sink).
    """

    sink: object

    def __aiter__(self) -> AsyncIterator[WatchEvent]: ...

    async def batch(self, most: int) -> list[WatchEvent]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Watch:
    """An answer that goes on: events until the server or the client ends it (`aclose`)."""

    events: Events
