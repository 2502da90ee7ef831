"""The process that sends the requests: `python -m labkit.load.worker`.

A process of its own, because a notebook's kernel that draws a figure holds Python's global lock
for tenths of a second, and requests would leave late.

    stdin    one JSON line, the order; then perhaps more, each with other pieces to send from then
             on.  Its end (the owner closed it or died) means stop
    stdout   one JSON line per second (a row of `tally`), then one with the key "end"

One loop sends what is due and closes the seconds that are over; each request is a task.  Bounded
in every direction: the profile ends, requests time out, and a request that would be one too many
in flight is dropped and counted as an error.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from labkit.clock import Clock
from labkit.load.profile import Piece, Profile
from labkit.load.tally import Tally

#: Event loops count whole milliseconds (uvloop the nearest one).  The sender sleeps at least one,
#: or it would spin, and half of one more, or it would wake too early.
_TICK = 0.001
_PR_SET_PDEATHSIG = 1
_STDIN, _STDOUT = 0, 1


@dataclass(frozen=True)
class Order:
    """What to send: the JSON of the first line on stdin."""

    url: str
    pieces: list[list[float]]
    timeout: float
    connections: int
    keep_alive: bool
    seed: int | None

    @property
    def profile(self) -> Profile:
        return _profile(self.pieces)


def _profile(pieces: list[list[float]]) -> Profile:
    return Profile(tuple(Piece(*piece) for piece in pieces))


class Sender:
    """Sends one order.  `report` gets each row when its second is over."""

    def __init__(
        self, order: Order, clock: Clock, report: Callable[[dict[str, Any]], None]
    ) -> None:
        self._order, self._clock, self._report = order, clock, report
        self._url = URL(order.url)
        self._tally = Tally()
        self._tasks: set[asyncio.Task[None]] = set()
        self._late = 0.0
        self._changed: Profile | None = None
        self._follow(order.profile, 0.0)

    async def run(self) -> dict[str, Any]:
        """Send everything, wait for the answers, and return the percentiles of the whole.

        When cancelled it gives up the requests in flight, and still reports and returns.
        """
        async with _session(self._order) as self._session:
            self._started, self._epoch = self._clock.monotonic(), self._clock.now()
            try:
                await self._send_all()
            except asyncio.CancelledError:
                await self._abandon()
            self._close_rest()
        return {**self._tally.percentiles(), "late_ms": round(self._late * 1000, 3)}

    def change(self, profile: Profile) -> None:
        """Send `profile` in place of what is left, from when the sender next looks."""
        self._changed = profile

    def _now(self) -> float:
        return self._clock.monotonic() - self._started

    def _follow(self, profile: Profile, begin: float) -> None:
        self._arrivals = (begin + at for at in profile.arrivals(self._order.seed))
        self._end = begin + profile.duration

    async def _send_all(self) -> None:
        due = next(self._arrivals, None)
        while True:
            now = self._now()
            while due is not None and due <= now:
                self._send(due)
                due = next(self._arrivals, None)
            self._close_until(now)
            if self._changed is not None:
                self._follow(self._changed, now)
                self._changed, due = None, next(self._arrivals, None)
            if due is None and not self._tasks and now >= self._end:
                return
            await self._clock.sleep(max(_TICK, self._next_look(due) - self._now() + _TICK / 2))

    def _next_look(self, due: float | None) -> float:
        # When only answers are awaited, the end should not wait for the end of the second.
        return self._now() + 0.05 if due is None else min(due, self._tally.closed + 1)

    def _send(self, due: float) -> None:
        self._tally.offered(due)
        self._late = max(self._late, self._now() - due)
        if len(self._tasks) >= self._order.connections:
            self._tally.failed(self._now(), "dropped")
            return
        task = asyncio.create_task(self._request(due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _request(self, due: float) -> None:
        try:
            async with self._session.get(self._url, allow_redirects=False) as response:
                await response.read()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            self._tally.failed(self._now(), error_kind(error))
            return
        now, pod = self._now(), response.headers.get("X-Served-By")
        if response.status >= 400:
            self._tally.failed(now, f"HTTP {response.status}", pod)
        else:
            self._tally.completed(now, round((now - due) * 1000, 3), pod)

    def _close_until(self, now: float) -> None:
        while self._tally.closed + 1 <= now:
            self._report(self._tally.close(self._epoch))

    def _close_rest(self) -> None:
        while not self._tally.is_empty():
            self._report(self._tally.close(self._epoch))

    async def _abandon(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def error_kind(error: Exception) -> str:
    """The word under which an exception of a request is counted."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "refused" if isinstance(error.os_error, ConnectionRefusedError) else "unreachable"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError | OSError):
        return "closed"
    return type(error).__name__


def _session(order: Order) -> aiohttp.ClientSession:
    # A Service balances connections, not requests: a client that keeps its connection stays with
    # one Pod.  Hence a new connection for each request unless asked otherwise.
    connector = aiohttp.TCPConnector(
        limit=0,  # the limit is ours, and a request above it is dropped, not queued out of sight
        force_close=not order.keep_alive,
        happy_eyeballs_delay=None,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=order.timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "labkit-load"},
        skip_auto_headers=("Accept-Encoding",),
    )


async def _serve(order: Order, lifeline: int, heard: bytes) -> None:
    loop, clock = asyncio.get_running_loop(), Clock()
    before = _cpu_seconds()  # without what it took to start Python
    sender = Sender(order, clock, _write)
    work = asyncio.create_task(sender.run())

    def hear(fresh: bytes) -> None:
        nonlocal heard
        *lines, heard = (heard + fresh).split(b"\n")
        for line in lines:
            sender.change(_profile(json.loads(line)["pieces"]))

    def read() -> None:
        if fresh := os.read(lifeline, 65536):
            hear(fresh)
        else:
            loop.remove_reader(lifeline)
            work.cancel()

    hear(b"")
    loop.add_reader(lifeline, read)
    try:
        end = await work
    except asyncio.CancelledError:  # stopped before it began
        return
    loop.remove_reader(lifeline)
    _write({"end": {**end, "cpu_seconds": round(_cpu_seconds() - before, 3)}})


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _die_with(parent: int) -> None:
    """Linux: be killed when the thread that started this process ends; nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            raise SystemExit(1)


def main() -> None:
    """Read the order, carry it out, and report on stdout."""
    # Not through sys.stdin: its buffer could swallow the end that the loop waits for.
    heard = b""
    while b"\n" not in heard:
        chunk = os.read(_STDIN, 65536)
        if not chunk:
            return
        heard += chunk
    line, _, heard = heard.partition(b"\n")
    order = json.loads(line)
    if (parent := order.pop("parent")) is not None:
        _die_with(parent)
    try:
        _run(_serve(Order(**order), _STDIN, heard))
    except BrokenPipeError:
        # The owner is gone and with it everybody who would read; do not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)


def _run(work: Any) -> None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
