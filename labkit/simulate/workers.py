"""The processes that play a sweep: as many as there are processors, each with one scenario a time.

They belong to the `with` block: at its end, and when it is interrupted, they are killed, for what
they do is lost anyway.  They are sessions of their own, so that an interrupt (Ctrl-C, or ■ in
Jupyter) reaches only the one who decides.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from labkit.observe.score import Prices
from labkit.simulate.scenario import Scenario

#: Each takes about 120 MB; a notebook in the cloud has 2 GB, whatever its machine has.
MOST = 4
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Order(NamedTuple):
    """What to play, and what to say of it."""

    scenario: Scenario
    objective_ms: float | None
    prices: Prices


class Answer(NamedTuple):
    """The scores; or the three sentences of a refusal; or the traceback of a bug."""

    scores: dict[str, float] | None = None
    refused: tuple[str, str, str] | None = None
    failed: str = ""


def processors() -> int:
    """How many processors this process may use: of its machine, and by its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = _QUOTA.read_text().split()
    except (OSError, ValueError):
        return allowed or 1
    return allowed if quota == "max" else max(1, min(allowed, round(int(quota) / int(period))))


class Workers:
    """`count` processes.  Use as a context manager."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Workers:
        command = [sys.executable, "-m", "labkit.simulate.worker", str(os.getpid())]
        try:
            for _ in range(self._count):
                self._processes.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        start_new_session=True,
                    )
                )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            process.stdout.close()
            process.stdin.raw.close()  # what is left in its buffer has no reader
        self._processes.clear()

    def play(self, orders: Sequence[Order]) -> Iterator[tuple[int, Answer]]:
        """The number of each order and its answer, as they come."""
        waiting = iter(enumerate(orders))
        with selectors.DefaultSelector() as selector:
            busy = sum(self._next(process, waiting, selector) for process in self._processes)
            while busy:
                for key, _ in selector.select():
                    process, number = key.data
                    answer = _answer(process)
                    selector.unregister(process.stdout)
                    busy += self._next(process, waiting, selector) - 1
                    yield number, answer

    def _next(self, process: subprocess.Popen[bytes], waiting: Iterator, selector) -> bool:
        """Give a process its next order; whether there was one."""
        number, order = next(waiting, (None, None))
        if order is None:
            return False
        with contextlib.suppress(BrokenPipeError):  # it has ended, as its answer will tell
            pickle.dump(order, process.stdin)
            process.stdin.flush()
        selector.register(process.stdout, selectors.EVENT_READ, (process, number))
        return True


def _answer(process: subprocess.Popen[bytes]) -> Answer:
    try:
        return pickle.load(process.stdout)
    except EOFError:
        code = process.wait()
        killed = f" by {signal.Signals(-code).name}" if code < 0 else f" with exit code {code}"
        why = "It needs more memory than there is." if code == -signal.SIGKILL else ""
        fix = "Try processes=1, or a smaller scenario." if why else ""
        return Answer(refused=(f"The process that played this was ended{killed}.", why, fix))
