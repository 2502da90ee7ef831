"""What is counted: one row per second, and the sum of all.

Each request is counted once as *offered*, in the second in which it was scheduled, and at most once
as *completed* or as an *error*, in the second in which it ended; while requests wait for their
answers the two lines part, and that gap is the backlog.

`p50` and `p99` are the latencies, in milliseconds, of the requests completed in that second,
counted from their scheduled times.  A request that ended in an error has no latency that means
anything (a refusal is quick), so it appears in the errors only.  Percentiles are observed values
(nearest rank), None in a second in which nothing was completed.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

#: The columns of a result, in this order.
COLUMNS = ("second", "time", "offered", "completed", "errors", "p50", "p99")


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile of ascending values; None if there are none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


class Second:
    """The counts of one second."""

    def __init__(self) -> None:
        self.offered = 0
        self.latencies: list[float] = []  # milliseconds
        self.errors: Counter[str] = Counter()
        self.served_by: Counter[str] = Counter()

    def row(self, second: int, start: float) -> dict[str, Any]:
        """This second as a row; `start` is the Unix time at which the load began."""
        ordered = sorted(self.latencies)
        return {
            "second": second,
            "time": start + second,
            "offered": self.offered,
            "completed": len(ordered),
            "errors": self.errors.total(),
            "p50": percentile(ordered, 50),
            "p99": percentile(ordered, 99),
            "kinds": dict(self.errors),
            "served_by": dict(self.served_by),
        }


class Tally:
    """Seconds that are being counted; a second that is closed becomes a row and is forgotten."""

    def __init__(self) -> None:
        self.closed = 0
        self._seconds: dict[int, Second] = {}
        self._latencies = array("d")  # all of them, 8 bytes each, for the percentiles of the whole

    def offered(self, at: float) -> None:
        """A request was scheduled `at` seconds after the start."""
        self._at(at).offered += 1

    def completed(self, at: float, latency_ms: float, served_by: str | None) -> None:
        """A request was answered well, `at` seconds after the start."""
        second = self._at(at)
        second.latencies.append(latency_ms)
        self._latencies.append(latency_ms)
        if served_by:
            second.served_by[served_by] += 1

    def failed(self, at: float, kind: str, served_by: str | None = None) -> None:
        """A request ended in an error of `kind`, `at` seconds after the start."""
        second = self._at(at)
        second.errors[kind] += 1
        if served_by:
            second.served_by[served_by] += 1

    def close(self, start: float) -> dict[str, Any]:
        """The row of the oldest open second."""
        row = self._seconds.pop(self.closed, Second()).row(self.closed, start)
        self.closed += 1
        return row

    def is_empty(self) -> bool:
        """Whether no open second holds anything."""
        return not self._seconds

    def percentiles(self) -> dict[str, float | None]:
        """The percentiles of all completed requests, in milliseconds."""
        ordered = sorted(self._latencies)
        return {"p50": percentile(ordered, 50), "p99": percentile(ordered, 99)}

    def _at(self, at: float) -> Second:
        # A row that has been reported is final: what comes late counts in the oldest open second.
        return self._seconds.setdefault(max(int(at), self.closed), Second())


def summarize(rows: Iterable[dict[str, Any]], end: dict[str, Any] | None) -> dict[str, Any]:
    """The sum of the worker's `rows`, and its last message `end` (None if it could send none)."""
    total = completed = errors = 0
    kinds: Counter[str] = Counter()
    served_by: Counter[str] = Counter()
    for row in rows:
        total, completed = total + row["offered"], completed + row["completed"]
        errors += row["errors"]
        kinds.update(row["kinds"])
        served_by.update(row["served_by"])
    return {
        "total": total,
        "completed": completed,
        "errors": errors,
        "unfinished": total - completed - errors,
        "error_rate": errors / total if total else 0.0,
        "errors_by_kind": dict(kinds.most_common()),
        "served_by": dict(sorted(served_by.items())),
        **(end or {"p50": None, "p99": None, "late_ms": None, "cpu_seconds": None}),
    }
