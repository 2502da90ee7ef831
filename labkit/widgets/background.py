"""One coroutine on an event loop in a thread of its own, for as long as a live view lasts.

A notebook's own loop stands still while a cell runs, and a live view is most useful just then.  The
thread belongs to the view: it ends when the coroutine ends, when `stop` is called, and after
`seconds` in any case.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long (s) somebody who stops it waits for the thread; what it does between two looks is short.
_PATIENCE = 5.0


class Background:
    """Runs `work()`; `ended(why)` is called in its thread when it ends otherwise than by `stop`."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, None]],
        seconds: float,
        ended: Callable[[str], None],
    ) -> None:
        self._work, self._seconds, self._ended = work, seconds, ended
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"labkit {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the work and wait for the thread.  Safe to repeat, and from the thread itself."""
        self._stopped.set()
        if self._thread is threading.current_thread() or not self._thread.is_alive():
            return
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            pass  # the loop was closed just now
        self._thread.join(_PATIENCE)

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call `function(*args)` on the loop, soon; nothing happens once it has ended."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            pass

    def _cancel(self) -> None:
        if self._task:
            self._task.cancel()

    def _run(self) -> None:
        try:
            why = self._loop.run_until_complete(self._main())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
        if not self._stopped.is_set():
            self._ended(why)

    async def _main(self) -> str:
        """Why it ended."""
        self._task = asyncio.current_task()
        if self._stopped.is_set():
            return "stopped"
        try:
            async with asyncio.timeout(self._seconds):
                await self._work()
        except TimeoutError:
            return f"stopped after {self._seconds / 60:.0f} minutes"
        except asyncio.CancelledError:
            return "stopped"
        except Exception as error:  # whoever looks at the view must see that it stands still
            log.exception("live view failed")
            return f"failed: {error}"
        return "ended"


def once(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `work()`, on a loop in a thread that ends with it.

    For a notebook's cell, which itself runs inside of a loop."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work()))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="labkit once", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


class Pace:
    """How often a live view draws: at most every `every` seconds, and a tenth of the time at most.

    `wait` returns when there is news and it is time again.
    """

    def __init__(self, every: float = 0.5) -> None:
        self._every = every
        self._news = asyncio.Event()

    def news(self) -> None:
        """Something has changed."""
        self._news.set()

    async def wait(self, took: float = 0.0) -> None:
        """Return when the next drawing is due; the last one took so many seconds."""
        await asyncio.sleep(max(self._every, 10 * took))
        await self._news.wait()
        self._news.clear()
