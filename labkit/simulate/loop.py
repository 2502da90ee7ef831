"""An event loop whose time is virtual: where everybody waits, it goes to the next moment at once.

Everything asynchronous is asyncio's own; only the place where a loop would sleep until the next
timer is due is another: it adds the waiting time to its clock and returns.  There is no input and
output on this loop, so the order of everything is fixed by the order in which it was asked for, and
a run can be repeated exactly.

Measured against looptime on the same work: see docs/simulate.md.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from labkit.errors import LabkitError

T = TypeVar("T")

_COLLECTIONS = (100_000, 20, 20)  # allocations, then collections of each generation


class Stalled(LabkitError):
    """Everybody waits for somebody else: nothing will ever happen again."""


class _Patience(selectors.SelectSelector):
    """Waits without waiting: what an event loop would sleep is added to `now`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list:
        """Nothing ever happens but the passing of time.  Raises Stalled."""
        if timeout is None:
            raise Stalled(
                "The simulation stands still: everybody waits for somebody else.",
                "A part has ended, or waits for what no part will do.",
                "Please report it with the scenario.",
            )
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time, which begins at 0 seconds."""

    def __init__(self) -> None:
        self._patience = _Patience()
        super().__init__(self._patience)
        # Timers that differ by less than this are due together; the default is the resolution of
        # the system's clock, and that of a virtual one is perfect.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._patience.now

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, wherever this is called from; other tasks go on the next time.

        A notebook's cell runs inside of an event loop already.  Virtual time needs no thread of its
        own, so the outer loop is set aside for the moment.
        """
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            with _rare_collections():
                return self.run_until_complete(work)
        finally:
            asyncio._set_running_loop(outer)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for cyclic garbage less often.

    A cluster's objects are many, live long and hold no cycles; with Python's own thresholds, which
    suit small programs, looking through them takes an eighth of the time of a large simulation.
    """
    usual = gc.get_threshold()
    gc.set_threshold(*_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on a loop of its own."""
    loop = VirtualLoop()
    try:
        return loop.run(work)
    finally:
        finish(loop)


def finish(loop: VirtualLoop) -> None:
    """Cancel what is left on the loop, and close it."""
    loop.run(_cancel_others())
    loop.run(loop.shutdown_asyncgens())
    loop.close()


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
