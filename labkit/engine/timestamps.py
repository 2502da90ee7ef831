"""Times as the Docker Engine API spells them: RFC 3339 with nanoseconds, and Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DURATION = re.compile(r"(\d+(\.\d+)?[hms])+")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
ZERO = "0001-01-01T00:00:00Z"  # Go's zero time: "never"


def rfc3339_nano(seconds: float) -> str:
    """Unix seconds → `2026-01-31T09:30:00.123456789Z`; 0 → Go's zero time."""
    if not seconds:
        return ZERO
    nanos = int(seconds * 1e9)
    day = datetime.fromtimestamp(nanos // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{day}.{nanos % 10**9:09d}Z"


def parse(text: str, now: float | None = None) -> float:
    """A `since` or `until` of the API → Unix seconds; "" → 0.  ValueError on anything else.

    With `now` also a duration (`1h30m`): so long before it.
    """
    if not text:
        return 0.0
    if now is not None and _DURATION.fullmatch(text):
        parts = re.findall(r"([\d.]+)([hms])", text)
        return now - sum(float(count) * _UNITS[unit] for count, unit in parts)
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def spoken(seconds: float) -> str:
    """A duration as Docker says it: `Less than a second`, `3 minutes`, `About an hour`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 2:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = round(seconds / 3600)
    if hours == 1:
        return "About an hour"
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"
