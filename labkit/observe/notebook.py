"""One display of a Jupyter cell that is updated in place; plain lines elsewhere.

A display belongs to the cell that is running, so everything here is called in the foreground, by
the cell that drives the load or waits.  It ends in a static picture, which is what is saved.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.clock import Clock

if TYPE_CHECKING:
    from labkit.observe.figure import Timeline
    from labkit.observe.recorder import Recorder


def in_jupyter() -> bool:
    """Whether the caller runs in a Jupyter kernel (not merely in an IPython terminal)."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


class Display:
    """A place in the output of the running cell; each `show` replaces what was there."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> None:
        """Show a MIME bundle."""
        from IPython.display import display

        if self._handle is None:
            self._handle = display(dict(data), metadata=metadata or {}, raw=True, display_id=True)
        else:
            self._handle.update(dict(data), metadata=metadata or {}, raw=True)


class Progress:
    """The state while something is waited for: updated in Jupyter, a line per change elsewhere."""

    def __init__(self) -> None:
        self._display = Display() if in_jupyter() else None
        self._last: str | None = None

    def show(self, text: str | None, seconds: float) -> None:
        """`text` holds `seconds` after the start; None says nothing."""
        if text is None:
            return
        line = f"{seconds:4.0f} s  {text}"
        if self._display is not None:
            self._display.show({"text/plain": line})
        elif text != self._last:
            print(line, flush=True)
        self._last = text


class LiveFigure:
    """The house figure of a recording while it is made.

        with LiveFigure(recorder, objective_ms=250) as live:
            recorder.until(lambda now: now.replicas_ready >= 3, timeout=120, progress=live)

    Call it as often as you like, it draws about every two seconds, and less often where drawing is
    slow.  The last picture is that of the end of the block.  Outside Jupyter it does nothing.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        objective_ms: float | None = None,
        tolerance: float = 0.1,
        every: float = 2.0,
        clock: Clock | None = None,
    ) -> None:
        self._recorder = recorder
        self._options = {"objective_ms": objective_ms, "tolerance": tolerance}
        self._every, self._clock = every, clock or Clock()
        self._display = Display() if in_jupyter() else None
        self._next = 0.0

    def __call__(self, row: object = None) -> None:
        """Draw if it is time: the `progress` of `Recorder.until`, or `on_second` of a load."""
        began = self._clock.monotonic()
        if self._display is None or began < self._next:
            return
        self._draw(scale=1)
        took = self._clock.monotonic() - began
        # Drawing may take a tenth of the time of a machine that has a cluster to run.
        self._next = began + max(self._every, 10 * took)

    def __enter__(self) -> LiveFigure:
        self()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._display is not None:
            self._draw(scale=2)

    def _draw(self, scale: float) -> None:
        self._display.show(*self.figure().bundle(scale))

    def figure(self) -> Timeline:
        """The figure of the recording so far."""
        from labkit.observe.figure import hpa_timeline

        return hpa_timeline(self._recorder.frame(), self._recorder.events, **self._options)
