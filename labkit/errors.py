"""Everything that labkit raises on purpose.

    LabkitError
    ├── UsageError            the caller asked for something that cannot be; says what to type next
    ├── ClusterError          a cluster cannot be started, reached or stopped
    └── WaitTimeout           a condition did not come true before its deadline
    ApiError (labkit.client)  an answer of the API server: a real Kubernetes Status

A learner's mistake is one of these, with a message of up to three sentences: what happened (with
the value), the likely cause, and the exact next line to type.  Anything else that escapes is a bug
of labkit.
"""

from __future__ import annotations

import linecache
import traceback
from types import TracebackType


class LabkitError(Exception):
    """Base of all deliberate errors.  `str(error)` is the whole message for a person."""

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        super().__init__(" ".join(part for part in (what, why, fix) if part))
        self.what, self.why, self.fix = what, why, fix

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback: the message, and the line that led to it."""
        first = f"\033[1m{type(self).__name__}:\033[0m {self.what}"
        lines = [*_line_of_the_cell(self.__traceback__), first, self.why, self.fix]
        return [line for line in lines if line]


class UsageError(LabkitError):
    """An argument or a file that cannot be used as given."""


class ClusterError(LabkitError):
    """The cluster cannot be started, reached or stopped."""


class WaitTimeout(LabkitError):
    """`condition` was not met after `seconds`; `last` is the state seen last."""

    def __init__(self, condition: str, seconds: float, last: str, fix: str = "") -> None:
        super().__init__(
            f"Waited {seconds:g} s for {condition}, in vain.", f"Last seen: {last}.", fix
        )


def _line_of_the_cell(trace: TracebackType | None) -> list[str]:
    """Of a cell of several lines, the one that failed; nothing for a magic, which IPython rewrote.

    IPython names the code of cells `/tmp/ipykernel_7/42.py` or `<ipython-input-3-...>`.
    """
    for frame, number in traceback.walk_tb(trace):
        name = frame.f_code.co_filename
        if "ipykernel_" in name or name.startswith("<ipython-input"):
            line = linecache.getline(name, number).rstrip()
            several = len(linecache.getlines(name)) > 1
            return [f"----> {number} {line}"] if several and "get_ipython()" not in line else []
    return []
