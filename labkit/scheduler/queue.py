"""The Pods that wait for a node.

Three places: *active* Pods are tried next, by priority and then by age; *unschedulable* ones fit
nowhere and wait for a change of the cluster that might help; after such a change a Pod that failed
recently waits out its *back-off* (1 s, doubling to 10 s) before it is active again.  Where nothing
is active, the next Pod that backs off is tried early, unless it is an error that it backs off from:
to wait would help nobody.  After five minutes an unschedulable Pod is tried again whatever
happened.

Source: kube-scheduler's PriorityQueue and its defaults (podInitialBackoffSeconds,
podMaxBackoffSeconds, DefaultPodMaxInUnschedulablePodsDuration, SchedulerPopFromBackoffQ).
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import count

from labkit.clock import Clock
from labkit.scheduler.hints import Change
from labkit.scheduler.podview import PodView

FIRST_BACKOFF, LAST_BACKOFF = 1.0, 10.0  # seconds
LONGEST_WAIT = 300.0  # seconds


class SchedulingQueue:
    """Keys of Pods.  `flush` must be called about once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._serial = count()
        self._active: list[tuple[int, int, str]] = []  # a heap: (-priority, serial, key)
        # Of all that are known: when they came or failed last, and what they are.
        self._waiting: dict[str, tuple[int, PodView]] = {}
        self._in_active: set[str] = set()
        self._early: list[tuple[int, int, str]] = []  # the same of those that back off
        self._unschedulable: dict[str, float] = {}  # key → since
        self._refused_by: dict[str, Collection[str]] = {}  # key → plugins, of the unschedulable
        self._by_plugin: dict[str, dict[str, None]] = defaultdict(dict)  # the reverse
        self._backoff: dict[str, float] = {}  # key → until
        self._in_error: set[str] = set()  # those of _backoff that wait for sure
        self._failures: dict[str, tuple[int, float]] = {}  # key → (how often, when last)
        self._wakeup = asyncio.Event()

    def add(self, pod: PodView) -> None:
        """A Pod without a node has appeared or changed: try it now."""
        age = self._waiting[pod.key][0] if pod.key in self._waiting else next(self._serial)
        self._waiting[pod.key] = age, pod
        self._leave(pod.key)
        self._backoff.pop(pod.key, None)
        self._in_error.discard(pod.key)
        self._activate(pod.key)

    def remove(self, key: str) -> None:
        """The Pod is gone or has a node."""
        self._leave(key)
        for place in (self._waiting, self._backoff, self._failures):
            place.pop(key, None)
        self._in_active.discard(key)
        self._in_error.discard(key)

    def _leave(self, key: str) -> None:
        """The Pod is not among the unschedulable any more."""
        self._unschedulable.pop(key, None)
        for plugin in self._refused_by.pop(key, ()):
            self._by_plugin[plugin].pop(key, None)

    def _activate(self, key: str) -> None:
        if key not in self._in_active:
            self._in_active.add(key)
            self._push(self._active, key)

    def _push(self, heap: list[tuple[int, int, str]], key: str) -> None:
        age, pod = self._waiting[key]
        heapq.heappush(heap, (-pod.priority, age, key))
        self._wakeup.set()

    async def pop(self) -> str:
        """The next Pod to try."""
        while True:
            while self._active:
                key = heapq.heappop(self._active)[2]
                if key in self._in_active:  # else it was removed meanwhile
                    self._in_active.discard(key)
                    return key
            while self._early:
                key = heapq.heappop(self._early)[2]
                if key in self._backoff and key not in self._in_error:
                    del self._backoff[key]
                    return key
            self._wakeup.clear()
            await self._wakeup.wait()

    def lengths(self) -> dict[str, int]:
        """How many Pods are in each place."""
        return {
            "active": len(self._in_active),
            "backoff": len(self._backoff),
            "unschedulable": len(self._unschedulable),
        }

    def waiting(self, key: str) -> PodView | None:
        """The Pod of that key as it was added, None if it does not wait any more."""
        return self._waiting[key][1] if key in self._waiting else None

    def failed(self, key: str, plugins: Collection[str] = (), error: bool = False) -> None:
        """The Pod that was taken fits nowhere, refused by `plugins`; or an error has happened.

        One that no plugin refused is tried again after any change.
        """
        if key not in self._waiting or key in self._in_active:
            return  # removed, or added again, meanwhile
        now = self._clock.monotonic()
        self._failures[key] = (self._failures.get(key, (0, 0.0))[0] + 1, now)
        self._waiting[key] = next(self._serial), self._waiting[key][1]
        if error:
            self._in_error.add(key)
            self._backoff[key] = self._backoff_until(key)
            return
        self._unschedulable[key] = now
        self._refused_by[key] = plugins = frozenset(plugins) or ("",)
        for plugin in plugins:
            self._by_plugin[plugin][key] = None

    def move(self, change: Change) -> None:
        """The cluster has changed: try those again that this might help."""
        waiting = {
            key: None  # a dict, for its order
            for plugin in change.concerns
            for key in self._by_plugin.get(plugin, ())
            if change.helps(self._waiting[key][1], plugin)
        }
        self._move_each([*waiting, *self._by_plugin.get("", ())])

    def move_all(self) -> None:
        """Try all again."""
        self._move_each(list(self._unschedulable))

    def retry(self, key: str) -> None:
        """Try one again."""
        self._move_each([key] if key in self._unschedulable else [])

    def flush(self) -> None:
        """Activate Pods whose back-off or longest wait is over."""
        now = self._clock.monotonic()
        for key in [key for key, until in self._backoff.items() if until <= now]:
            del self._backoff[key]
            self._in_error.discard(key)
            self._activate(key)
        self._move_each(
            [key for key, since in self._unschedulable.items() if now - since >= LONGEST_WAIT]
        )

    def _move_each(self, keys: Iterable[str]) -> None:
        now = self._clock.monotonic()
        for key in keys:
            self._leave(key)
            if (until := self._backoff_until(key)) > now:
                self._backoff[key] = until
                self._push(self._early, key)
            else:
                self._activate(key)

    def _backoff_until(self, key: str) -> float:
        times, last = self._failures.get(key, (0, float("-inf")))
        return last + min(FIRST_BACKOFF * 2.0 ** min(times - 1, 10), LAST_BACKOFF)
