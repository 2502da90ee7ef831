"""The audit log: one line for each request over the network, whoever sent it and however it ended.

A line is an audit.k8s.io/v1 Event of level Metadata, as compact JSON.  It is put together from
prepared pieces when the request is over, and lines are written by a thread, many at once, so that a
request waits for nothing.  The file is readable by its owner alone and has a size that it does not
exceed: then it becomes `audit.log.1`, whose predecessor is forgotten.

Source: Kubernetes documentation, "Auditing"; k8s.io/apiserver pkg/audit.  Left out: policies,
webhooks, the stages before the end, requests of the components in this process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from pathlib import Path
from time import gmtime, strftime

import orjson

from labkit.apiserver import attributes
from labkit.apiserver.authorizer import Decision
from labkit.apiserver.request import User
from labkit.clock import Clock

log = logging.getLogger(__name__)

MAX_SIZE = 16 * 1024 * 1024  # bytes of one file; there are two at most
_FLUSH_AFTER = 0.25  # seconds that a line waits at most for others
_MAX_WAITING = 20_000  # lines; beyond that the disk is not keeping up, and lines are dropped
_LONGEST_ID = 64

_LINE = (
    b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"%b",'
    b'"stage":"ResponseComplete","requestURI":%b,%b"user":%b,"sourceIPs":["%b"],'
    b'"userAgent":%b,"responseStatus":{"metadata":{},%b},"requestReceivedTimestamp":"%b.%06dZ",'
    b'"stageTimestamp":"%b.%06dZ","annotations":{"authorization.k8s.io/decision":"%b",'
    b'"authorization.k8s.io/reason":%b}}\n'
)


class Trail:
    """What becomes known of one request on its way."""

    __slots__ = ("address", "code", "decision", "failure", "id", "method", "params", "path")
    __slots__ += ("received", "sender", "uri", "user", "user_agent")

    def __init__(self, id: str, method: str, uri: str, received: float) -> None:
        self.id, self.method, self.uri, self.received = id, method, uri, received
        self.path = self.address = self.user_agent = ""
        self.params: Mapping[str, str] = {}
        self.sender: User | None = None  # None until he is known
        self.user: User | None = None  # who he acts as
        self.decision: Decision | None = None  # None where nobody was let in
        self.code = 0
        self.failure: Mapping | None = None  # the Status of an answer that is not success


class AuditLog:
    """Writes the lines of one server to `path`; without a path it only numbers requests."""

    def __init__(self, path: Path | None, clock: Clock, max_size: int = MAX_SIZE) -> None:
        self._path, self._clock, self._max_size = path, clock, max_size
        self._waiting: list[bytes] = []
        self._task: asyncio.Task | None = None
        self._size = 0
        self._broken = False
        # Unique as a UUID is, for a fraction of its price.
        self._prefix, self._numbers = str(uuid.uuid4())[:24], count(1)

    def new_id(self, given: str) -> str:
        """The id of a request: what its sender calls it, or a new one."""
        if given and len(given) <= _LONGEST_ID and given.isascii() and given.isprintable():
            return given
        return f"{self._prefix}{next(self._numbers):012x}"

    def start(self) -> None:
        """Begin to write.  Raises OSError if the file cannot be."""
        if self._path:
            self._size = os.fstat(file := _open(self._path)).st_size
            os.close(file)
            self._task = asyncio.create_task(self._flush_again(), name="audit")

    async def stop(self) -> None:
        """Write what waits and end.  Safe to repeat."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._flush()

    def add(self, trail: Trail) -> None:
        """Note a request that is over."""
        if self._path and len(self._waiting) < _MAX_WAITING:
            self._waiting.append(line(trail, self._clock.now()))

    async def _flush_again(self) -> None:
        while True:
            await self._clock.sleep(_FLUSH_AFTER)
            await self._flush()

    async def _flush(self) -> None:
        if not self._waiting:
            return
        lines, self._waiting = self._waiting, []
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._write, lines)
            self._broken = False
        except OSError as error:
            if not self._broken:
                log.warning("audit log cannot be written path=%s error=%s", self._path, error)
            self._broken = True

    def _write(self, lines: list[bytes]) -> None:
        if self._size > self._max_size:
            self._path.replace(f"{self._path}.1")
            self._size = 0
        content = b"".join(lines)
        file = _open(self._path)
        try:
            os.write(file, content)
        finally:
            os.close(file)
        self._size += len(content)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def line(trail: Trail, now: float) -> bytes:
    """The Event of a request that ended at `now`."""
    began, ended, sender, decision = int(trail.received), int(now), trail.sender, trail.decision
    who = _user(sender) if sender else b"{}"
    if trail.user is not sender and trail.user:
        who += b',"impersonatedUser":' + _user(trail.user)
    if trail.params:
        what = _about(trail.method, trail.path, trail.params)
    else:
        what = _about_path(trail.method, trail.path)
    return _LINE % (
        trail.id.encode(),
        orjson.dumps(trail.uri),
        what,
        who,
        trail.address.encode(),
        _quoted(trail.user_agent),
        b'"code":%d' % trail.code if trail.failure is None else _failure(trail.failure),
        _second(began),
        (trail.received - began) * 1e6,
        _second(ended),
        (now - ended) * 1e6,
        b"allow" if decision else b"forbid",
        _quoted(decision.reason) if decision else b'""',
    )


_quoted = lru_cache(1024)(orjson.dumps)


def _about(method: str, path: str, params: Mapping[str, str]) -> bytes:
    """The verb and, for a resource, the objectRef."""
    wanted = attributes.of(method, path, params)
    verb = b'"verb":%b,' % orjson.dumps(wanted.verb)
    if not wanted.resource:
        return verb
    fields = {
        "resource": wanted.resource,
        "namespace": wanted.namespace,
        "name": wanted.name,
        "apiGroup": wanted.group,
        "apiVersion": wanted.version,
        "subresource": wanted.subresource,
    }
    found = {key: value for key, value in fields.items() if value}
    return b'%b"objectRef":%b,' % (verb, orjson.dumps(found))


@lru_cache(4096)
def _about_path(method: str, path: str) -> bytes:
    return _about(method, path, {})


_users: dict[int, tuple[User, bytes]] = {}


def _user(user: User) -> bytes:
    """A User as JSON, which is made once for as long as he keeps asking."""
    known = _users.get(id(user))
    if known and known[0] is user:
        return known[1]
    if len(_users) > 1024:
        _users.clear()
    fields = {
        "username": user.name,
        "uid": user.uid,
        "groups": user.groups,
        "extra": dict(user.extra),
    }
    made = orjson.dumps({key: value for key, value in fields.items() if value})
    _users[id(user)] = user, made
    return made


def _failure(status: Mapping) -> bytes:
    fields = {key: status[key] for key in ("status", "message", "reason", "code") if key in status}
    return orjson.dumps(fields)[1:-1]


@lru_cache(16)
def _second(whole: int) -> bytes:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(whole)).encode()
