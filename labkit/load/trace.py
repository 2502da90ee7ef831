"""A load that was recorded, or drawn up, as a table: CSV → profile.

Either the columns `t` and `rate` (seconds and requests per second): straight lines from point to
point, of which the first is the start and the last the end.  Or one column, `rate`: a rate for each
second.  The line with the names may be missing; other columns beside `t` and `rate` are ignored.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import UsageError
from labkit.load.profile import MAX_RATE, Piece, Profile, through

_FIX = "Write for example the lines: t,rate / 0,5 / 60,50"
_Row = tuple[int, list[str]]  # the number of the line in the file, and its cells


def trace(path: str | Path) -> Profile:
    """The profile in a CSV file.  Raises UsageError that names the line at fault."""
    path = Path(path)
    columns, rows = _table(path)
    rates = [_number(path, row, columns["rate"], "rate", MAX_RATE) for row in rows]
    if "t" not in columns:
        words = f"{path.name} for {len(rates)} s"
        return Profile(tuple(Piece(rate, rate, 1.0) for rate in rates), words)
    times = [_number(path, row, columns["t"], "time", math.inf) for row in rows]
    _check_times(path, rows, times)
    words = f"{path.name} for {times[-1] - times[0]:g} s"
    return through(zip(times, rates, strict=True), words)


def _table(path: Path) -> tuple[dict[str, int], Sequence[_Row]]:
    """Where `rate` and perhaps `t` are in a row, and the rows of numbers."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(
            f"The trace {str(path)!r} cannot be read ({why}).",
            "A path in a scenario counts from the directory of its file.",
            "Look for it with: ls",
        ) from error
    reader = csv.reader(lines)
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    if not rows:
        raise UsageError(f"The trace {str(path)!r} is empty.", "There is no rate in it.", _FIX)
    head = rows[0][1]
    if any(_parsed(cell) is not None for cell in head):
        columns = {1: {"rate": 0}, 2: {"t": 0, "rate": 1}}.get(len(head), {})
    else:
        columns = {name: head.index(name) for name in ("t", "rate") if name in head}
        rows = rows[1:]
    if "rate" not in columns or not rows:
        raise UsageError(
            f"The trace {str(path)!r} holds no rates.",
            "It needs a column rate, and either a column t or a line for each second.",
            _FIX,
        )
    return columns, rows


def _number(path: Path, row: _Row, column: int, what: str, most: float) -> float:
    line, cells = row
    text = cells[column] if column < len(cells) else ""
    value = _parsed(text)
    if value is None or not 0 <= value <= most:
        limit = f"from 0 to {most:g}" if most < math.inf else "and not below 0"
        raise UsageError(
            f"Line {line} of the trace {str(path)!r} has the {what} {text!r}.",
            f"It must be a number, {limit}.",
            _FIX,
        )
    return value


def _parsed(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _check_times(path: Path, rows: Sequence[_Row], times: Sequence[float]) -> None:
    if len(times) < 2:
        raise UsageError(
            f"The trace {str(path)!r} has one time only.",
            "The last time is the end of the load, so there must be two at least.",
            _FIX,
        )
    for (line, _), before, after in zip(rows[1:], times, times[1:], strict=False):
        if after <= before:
            raise UsageError(
                f"Line {line} of the trace {str(path)!r} goes from {before:g} s to {after:g} s.",
                "Times must ascend.",
                "Sort the lines by t, and leave out times that come twice.",
            )
