"""Exponential back-off, as values.

An entry says how long to wait and when it was last raised.  Source: client-go util/flowcontrol
Backoff: the delay doubles up to a maximum, and starts anew for an event that comes later than ten
minutes after the entry was last raised.
"""

from __future__ import annotations

from typing import NamedTuple

_FORGOTTEN_AFTER = 600.0  # seconds


class BackOff(NamedTuple):
    """Wait `delay` seconds after an event; raised at `updated` (Unix seconds)."""

    delay: float
    updated: float


def _expired(entry: BackOff, event: float) -> bool:
    return event - entry.updated > _FORGOTTEN_AFTER


def raised(
    entry: BackOff | None, event: float, now: float, initial: float, maximum: float
) -> BackOff:
    """The entry after one more retry of what ended at `event`."""
    if entry is None or _expired(entry, event):
        return BackOff(initial, now)
    return BackOff(min(entry.delay * 2, maximum), now)


def remaining(entry: BackOff | None, event: float, now: float) -> float:
    """Seconds still to wait before a retry of what ended at `event`; 0 if it may be now."""
    if entry is None or _expired(entry, event):
        return 0.0
    return max(0.0, event + entry.delay - now)
