"""`Driver`: brings the load that is sent to the load that is wanted.

The slider and the button say what is wanted, in the notebook's thread, and go on; the driver looks
each time round and writes the difference, in its own.  So many movements of a slider cost one
change, and nothing waits for a process to start or to end.
"""

from __future__ import annotations

from typing import NamedTuple

from labkit.errors import LabkitError
from labkit.load import Load, step
from labkit.load.handle import Row
from labkit.observe import Recorder


class Wanted(NamedTuple):
    """Requests per second, and whether to send them."""

    rate: float
    on: bool


class Driver:
    """The load on `url`, for `seconds` from each start at most; `recorder` gets its seconds."""

    def __init__(self, url: str, seconds: float, recorder: Recorder) -> None:
        self._url, self._seconds, self._recorder = url, seconds, recorder
        self._load: Load | None = None
        self._sent = 0.0
        self.last: Row | None = None  # the newest second

    def reconcile(self, wanted: Wanted) -> None:
        """Start, change or stop.  Raises UsageError where nobody listens at the URL, LabkitError
        where a load has ended by itself."""
        if not wanted.on:
            self.stop()
        elif self._load is None:
            profile = step(wanted.rate, self._seconds)
            self._load = Load(self._url, profile, on_second=self._second).start()
            self._sent = wanted.rate
            self._recorder.mark(f"load starts: {wanted.rate:g}/s")
        elif not self._load.running:
            self.stop()
            raise LabkitError(
                "The load has ended.",
                "Its time was over, or its process was killed.",
                "Start it again.",
            )
        elif wanted.rate != self._sent:
            self._load.change(step(wanted.rate, self._seconds))
            self._sent = wanted.rate
            self._recorder.mark(f"load changes to {wanted.rate:g}/s")

    def stop(self) -> None:
        """Send no more.  Safe to repeat."""
        load, self._load, self.last = self._load, None, None
        if load is not None:
            load.stop()
            self._recorder.mark("load stops")

    def _second(self, row: Row) -> None:
        self.last = row
        self._recorder.load_second(row)
