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
import re
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
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
_ID = re.compile(r"[\w.-]+", re.ASCII)


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
        self._waiting: list[str] = []
        self._task: asyncio.Task | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._size = 0
        self._broken = False
        # Unique as a UUID is, for a fraction of its price.
        self._prefix, self._numbers = str(uuid.uuid4())[:24], count(1)

    def new_id(self, given: str) -> str:
        """The id of a request: what its sender calls it, or a new one."""
        if given and len(given) <= _LONGEST_ID and _ID.fullmatch(given):
            return given
        return f"{self._prefix}{next(self._numbers):012x}"

    def start(self) -> None:
        """Begin to write.  Raises OSError if the file cannot be."""
        if self._path:
            with os.fdopen(_open(self._path), "ab") as file:
                self._size = file.tell()
            # One thread, so that lines are written in their order.
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="audit")
            self._task = asyncio.create_task(self._flush_again(), name="audit")

    async def stop(self) -> None:
        """Write what waits and end.  Safe to repeat."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._flush()
            self._writer.shutdown()

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
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, lines)
            self._broken = False
        except OSError as error:
            if not self._broken:
                log.warning("audit log cannot be written path=%s error=%s", self._path, error)
            self._broken = True

    def _write(self, lines: list[str]) -> None:
        if self._size > self._max_size:
            self._path.replace(f"{self._path}.1")
            self._size = 0
        content = "".join(lines).encode()
        with os.fdopen(_open(self._path), "ab") as file:
            file.write(content)
        self._size += len(content)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def line(trail: Trail, now: float) -> str:
    """The Event of a request that ended at `now`."""
    began, ended, sender, decision = trail.received, now, trail.sender, trail.decision
    who = _user(sender) if sender else "{}"
    if trail.user is not sender and trail.user:
        who += f',"impersonatedUser":{_user(trail.user)}'
    status = f'"code":{trail.code}' if trail.failure is None else _failure(trail.failure)
    allowed, reason = ("allow", _quoted(decision.reason)) if decision else ("forbid", '""')
    return (
        '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",'
        f'"auditID":"{trail.id}","stage":"ResponseComplete",{_about(trail)}"user":{who},'
        f'"sourceIPs":["{trail.address}"],"userAgent":{_quoted(trail.user_agent)},'
        f'"responseStatus":{{"metadata":{{}},{status}}},'
        f'"requestReceivedTimestamp":"{_second(int(began))}{f"{began:.6f}"[-7:]}Z",'
        f'"stageTimestamp":"{_second(int(ended))}{f"{ended:.6f}"[-7:]}Z",'
        f'"annotations":{{"authorization.k8s.io/decision":"{allowed}",'
        f'"authorization.k8s.io/reason":{reason}}}}}\n'
    )


@lru_cache(1024)
def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


@lru_cache(16)
def _second(whole: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(whole))


def _about(trail: Trail) -> str:
    """What is asked, which the method and the URI tell, and so is made once for each."""
    found = _known_requests.get((trail.method, trail.uri))
    if found is None:
        found = _wanted(trail.uri, attributes.of(trail.method, trail.path, trail.params))
        if len(_known_requests) >= _MOST_KNOWN:
            _known_requests.clear()
        if len(found) <= _LONGEST_KNOWN:
            _known_requests[trail.method, trail.uri] = found
    return found


def _wanted(uri: str, wanted: attributes.Attributes) -> str:
    about = f'"requestURI":{orjson.dumps(uri).decode()},"verb":{_quoted(wanted.verb)},'
    if not wanted.resource:
        return about
    fields = {
        "resource": wanted.resource,
        "namespace": wanted.namespace,
        "name": wanted.name,
        "apiGroup": wanted.group,
        "apiVersion": wanted.version,
        "subresource": wanted.subresource,
    }
    found = {key: value for key, value in fields.items() if value}
    return f'{about}"objectRef":{orjson.dumps(found).decode()},'


def _user(user: User) -> str:
    """A user as JSON, made once for as long as he keeps asking."""
    known = _known_users.get(id(user))
    if known and known[0] is user:
        return known[1]
    if len(_known_users) >= _MOST_KNOWN:
        _known_users.clear()
    fields = {
        "username": user.name,
        "uid": user.uid,
        "groups": user.groups,
        "extra": dict(user.extra),
    }
    made = orjson.dumps({key: value for key, value in fields.items() if value}).decode()
    _known_users[id(user)] = user, made
    return made


def _failure(status: Mapping) -> str:
    fields = {key: status[key] for key in ("status", "message", "reason", "code") if key in status}
    return orjson.dumps(fields)[1:-1].decode()


_MOST_KNOWN, _LONGEST_KNOWN = 4096, 1024  # requests or users; characters of a request
_known_requests: dict[tuple[str, str], str] = {}
_known_users: dict[int, tuple[User, str]] = {}
