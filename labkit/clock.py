"""One clock for every component.

Nothing in labkit asks the operating system for the time or sleeps by itself: a `Clock` is passed
in.  `Clock` is the wall clock.  `LoopClock` takes its time from the running asyncio event loop, so
that under a loop whose time is virtual (looptime) the very same components are a simulator.

Both sleep through `asyncio.sleep`, which obeys the loop's own time: on an ordinary loop that is
real time, on a virtual one it is not.  Hence no component can tell which clock it runs under.
"""

from __future__ import annotations

import asyncio
import time

from labkit.kube import times


class Clock:
    """The wall clock: Unix time from the system, sleeping in real time."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back, unlike `now` when the clock is set."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` (at once, after one turn of the loop, if not positive)."""
        await asyncio.sleep(max(0.0, seconds))

    def timestamp(self) -> str:
        """`now` as metav1.Time: RFC 3339, UTC, whole seconds (`2026-01-31T09:30:00Z`)."""
        return times.rfc3339(self.now())

    def micro_timestamp(self) -> str:
        """`now` as metav1.MicroTime: RFC 3339 with six decimals, as in Leases and Events."""
        return times.rfc3339_micro(self.now())


class LoopClock(Clock):
    """A clock that starts at `epoch` (Unix seconds) and advances with the running loop's time."""

    def __init__(self, epoch: float) -> None:
        self._epoch = epoch
        self._start = asyncio.get_running_loop().time()

    def now(self) -> float:
        return self._epoch + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() - self._start
