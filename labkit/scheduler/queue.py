"""The Pods that wait for a node.

Three places: *active* Pods are tried next, by priority and then by age; *unschedulable* ones fit
nowhere and wait for a change of the cluster that might help; after such a change a Pod that failed
recently waits out its *back-off* (1 s, doubling to 10 s) before it is active again.  After five
minutes an unschedulable Pod is tried again whatever happened.

Source: kube-scheduler's PriorityQueue and its defaults (podInitialBackoffSeconds,
podMaxBackoffSeconds, DefaultPodMaxInUnschedulablePodsDuration).  Left out: queueing hints, which
tell which change could help which Pod; here any change might.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from itertools import count

from labkit.clock import Clock

FIRST_BACKOFF, LAST_BACKOFF = 1.0, 10.0  # seconds
LONGEST_WAIT = 300.0  # seconds


class SchedulingQueue:
    """Keys of Pods.  `flush` must be called about once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._serial = count()
        self._active: list[tuple[int, int, str]] = []  # a heap: (-priority, serial, key)
        self._waiting: dict[str, int] = {}  # key → priority, of all that are known
        self._in_active: set[str] = set()
        self._unschedulable: dict[str, float] = {}  # key → since
        self._backoff: dict[str, float] = {}  # key → until
        self._failures: dict[str, tuple[int, float]] = {}  # key → (how often, when last)
        self._wakeup = asyncio.Event()

    def add(self, key: str, priority: int) -> None:
        """A Pod without a node has appeared or changed: try it now."""
        self._waiting[key] = priority
        self._unschedulable.pop(key, None)
        self._backoff.pop(key, None)
        self._activate(key)

    def remove(self, key: str) -> None:
        """The Pod is gone or has a node."""
        for place in (self._waiting, self._unschedulable, self._backoff, self._failures):
            place.pop(key, None)
        self._in_active.discard(key)

    def _activate(self, key: str) -> None:
        if key not in self._in_active:
            self._in_active.add(key)
            heapq.heappush(self._active, (-self._waiting[key], next(self._serial), key))
            self._wakeup.set()

    async def pop(self) -> str:
        """The next Pod to try."""
        while True:
            while self._active:
                key = heapq.heappop(self._active)[2]
                if key in self._in_active:  # else it was removed meanwhile
                    self._in_active.discard(key)
                    return key
            self._wakeup.clear()
            await self._wakeup.wait()

    def failed(self, key: str, retry: bool = False) -> None:
        """The Pod that was taken fits nowhere; with `retry` something else failed: back off."""
        if key not in self._waiting or key in self._in_active:
            return  # removed, or added again, meanwhile
        now = self._clock.monotonic()
        self._failures[key] = (self._failures.get(key, (0, 0.0))[0] + 1, now)
        if retry:
            self._move(key, now)
        else:
            self._unschedulable[key] = now

    def move_all(self) -> None:
        """The cluster has changed in a way that might help."""
        now = self._clock.monotonic()
        self._move_each(list(self._unschedulable), now)

    def flush(self) -> None:
        """Activate Pods whose back-off or longest wait is over."""
        now = self._clock.monotonic()
        for key in [key for key, until in self._backoff.items() if until <= now]:
            del self._backoff[key]
            self._activate(key)
        stale = [key for key, since in self._unschedulable.items() if now - since >= LONGEST_WAIT]
        self._move_each(stale, now)

    def _move_each(self, keys: Iterable[str], now: float) -> None:
        for key in keys:
            del self._unschedulable[key]
            self._move(key, now)

    def _move(self, key: str, now: float) -> None:
        until = self._backoff_until(key)
        if until > now:
            self._backoff[key] = until
        else:
            self._activate(key)

    def _backoff_until(self, key: str) -> float:
        times, last = self._failures.get(key, (0, float("-inf")))
        return last + min(FIRST_BACKOFF * 2.0 ** min(times - 1, 10), LAST_BACKOFF)
