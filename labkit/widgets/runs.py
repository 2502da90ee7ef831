"""`Newest`: work in the background of which only what was asked for last matters.

Somebody who moves a slider asks for many things in a row.  One is worked on at a time, in a thread
that ends when there is nothing left to do; whoever asks again makes what is older stale: what waits
is forgotten, what runs is told, and gives up at the next occasion.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")

_PATIENCE = 5.0  # s


class Newest(Generic[A, R]):
    """`work(asked, stale)` gives a result, or None if it gave up because `stale()` was true.

    `done(asked, result)` is called with each result, and with the exception of work that failed,
    in the thread of the work.
    """

    def __init__(
        self,
        work: Callable[[A, Callable[[], bool]], R | None],
        done: Callable[[A, R | Exception], None],
    ) -> None:
        self._work, self._done = work, done
        self._lock = threading.Lock()
        self._waiting: list[A] = []  # none or one
        self._thread: threading.Thread | None = None
        self._closed = False

    def ask(self, wanted: A) -> None:
        """Work on this, instead of all that was asked for before."""
        with self._lock:
            if self._closed:
                return
            self._waiting = [wanted]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="labkit runs", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Give up, and wait for the thread.  Safe to repeat, and from the thread itself."""
        with self._lock:
            self._closed = True
            self._waiting = []
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def _stale(self) -> bool:
        return bool(self._waiting) or self._closed

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                wanted = self._waiting.pop()
            try:
                found = self._work(wanted, self._stale)
            except Exception as error:  # a scenario that cannot be played is an answer, too
                found = error
            if found is not None and not self._stale():
                self._done(wanted, found)
