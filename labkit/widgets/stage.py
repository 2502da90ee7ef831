"""Which views are open in this kernel, and what ends them.

At most one view of a kind is open, so a cell that is run again never leaves another one behind.  A
view ends when its cell is run again, when the kernel is interrupted (■, also while no cell runs),
when another of its kind is shown, and when its time is over.  Then the widget in its output is
replaced by a static frame, which is what the saved notebook shows.  A kernel that ends can say no
more; its outputs keep the static faces that they were first shown with.

Where nobody can use a widget (nbconvert, nbclient, nbval, papermill; a plain Python), nothing is
opened: the static frame is shown at once, and no widget state is there to be saved.  Whether
somebody is there is told by the front end: it says with each cell whether it could be asked for
input (Jupyter messaging, "Execute", `allow_stdin`).
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Any, Protocol


class Open(Protocol):
    """What can be open."""

    kind: str

    def end(self, why: str) -> None: ...


def somebody_is_there() -> bool:
    """Whether the cell that runs was sent by a front end with a person before it."""
    if (shell := _shell()) is None or not hasattr(shell, "kernel"):
        return False
    parent = shell.kernel.get_parent("shell") or {}
    return bool((parent.get("content") or {}).get("allow_stdin"))


class Stage:
    """The open views by kind, with the cell that shows each."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Open, str | None]] = {}
        self._listening = False

    def enter(self, view: Open) -> None:
        """`view` is open now, in the cell that runs; another one of its kind ends."""
        before, _ = self._open.get(view.kind, (None, None))
        if before is not None and before is not view:
            before.end("another one was opened")
        self._listen()
        self._open[view.kind] = view, _cell()

    def leave(self, view: Open) -> None:
        """`view` has ended."""
        if self._open.get(view.kind, (None, None))[0] is view:
            del self._open[view.kind]

    def end(self, why: str, cell: str | None = None) -> None:
        """End all views, or those of one cell."""
        for view, shown_in in list(self._open.values()):
            if cell is None or cell == shown_in:
                view.end(why)

    # -- what the kernel tells ------------------------------------------------------------------

    def _listen(self) -> None:
        if self._listening:
            return
        self._listening = True
        if shell := _shell():
            shell.events.register("pre_run_cell", self._before)
            shell.events.register("post_run_cell", self._after)
            _when_idle(self._take_interrupts)

    def _before(self, info: Any) -> None:
        if cell := getattr(info, "cell_id", None):
            self.end("the cell was run again", cell)

    def _after(self, result: Any) -> None:
        if isinstance(result.error_in_exec, KeyboardInterrupt):
            self.end("interrupted")

    def _take_interrupts(self) -> None:
        signal.signal(signal.SIGINT, lambda *_: self.end("interrupted"))


def _shell() -> Any:
    """IPython's shell, if this is IPython."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def _cell() -> str | None:
    """The id of the cell that runs, where the front end tells it."""
    if (shell := _shell()) is None or not hasattr(shell, "kernel"):
        return None
    parent = shell.kernel.get_parent("shell") or {}
    return (parent.get("metadata") or {}).get("cellId")


def _when_idle(action: Callable[[], None]) -> None:
    """Call `action` between two cells.

    ipykernel ignores SIGINT between two cells, keeps what it finds there while a cell runs, and
    puts it back; so what is set there stays.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return

    def look() -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            action()
        else:
            loop.call_later(0.2, look)

    loop.call_later(0.2, look)


STAGE = Stage()
