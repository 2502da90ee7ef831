"""A queue of keys to reconcile.

A key that is added twice before it is taken is handed out once; a key that is added while it is
being worked on is handed out again afterwards, never to two workers at once; failures come back
after an exponentially growing delay.  Hence a burst of events costs one reconciliation, and none
is lost.

Source: client-go util/workqueue (dedup, delaying and rate limiting queues; the delays are those of
DefaultControllerRateLimiter without its overall bucket, which protects a shared API server).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from labkit.clock import Clock

_FIRST_RETRY = 0.005
_LAST_RETRY = 1000.0


class _Counter(Protocol):
    def inc(self) -> None: ...


class _Histogram(Protocol):
    def observe(self, seconds: float) -> None: ...


class Metrics(Protocol):
    """Who counts what a queue does: see `labkit.client.telemetry`."""

    adds: _Counter
    retries: _Counter
    waited: _Histogram
    worked: _Histogram


class WorkQueue:
    """Keys in order of arrival.  For one event loop; not for threads.

    `metrics` counts, if somebody has set it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.metrics: Metrics | None = None
        self._ready: dict[str, float] = {}  # key → since, in order of arrival
        self._busy: dict[str, float] = {}  # key → since
        self._again: set[str] = set()  # added while busy
        self._failures: dict[str, int] = {}
        self._timers: dict[str, tuple[float, asyncio.Task]] = {}
        self._wakeup = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: str) -> None:
        """Hand out `key` as soon as a worker is free."""
        if key in self._ready or key in self._again:
            return
        if self.metrics:
            self.metrics.adds.inc()
        if key in self._busy:
            self._again.add(key)
        else:
            self._enter(key)

    def _enter(self, key: str) -> None:
        self._ready[key] = self._clock.monotonic()
        self._wakeup.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Hand out `key` in `seconds`; of several pending delays the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        pending = self._timers.get(key)
        if pending and pending[0] <= due:
            return
        if pending:
            pending[1].cancel()
        task = asyncio.create_task(self._add_later(key, seconds), name=f"delayed {key}")
        self._timers[key] = (due, task)

    async def _add_later(self, key: str, seconds: float) -> None:
        await self._clock.sleep(seconds)
        del self._timers[key]
        self.add(key)

    def retry(self, key: str) -> float:
        """Hand out `key` again after its back-off, which doubles with each call; that delay, s."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        if self.metrics:
            self.metrics.retries.inc()
        delay = min(_FIRST_RETRY * 2.0 ** min(count, 64), _LAST_RETRY)
        self.add_after(key, delay)
        return delay

    def forget(self, key: str) -> None:
        """`key` succeeded: its next failure starts with the shortest delay again."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key; the caller must call `done` when finished with it."""
        while not self._ready:
            self._wakeup.clear()
            await self._wakeup.wait()
        key = next(iter(self._ready))
        came = self._ready.pop(key)
        now = self._busy[key] = self._clock.monotonic()
        if self.metrics:
            self.metrics.waited.observe(now - came)
        return key

    def done(self, key: str) -> None:
        """The work on `key` has ended, well or not."""
        began = self._busy.pop(key, None)
        if self.metrics and began is not None:
            self.metrics.worked.observe(self._clock.monotonic() - began)
        if key in self._again:
            self._again.discard(key)
            self._enter(key)

    def close(self) -> None:
        """Cancel all pending delays."""
        for _, task in self._timers.values():
            task.cancel()
        self._timers.clear()
