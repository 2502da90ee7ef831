"""Times as the Kubernetes API spells them (metav1.Time and metav1.MicroTime, RFC 3339, UTC)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def rfc3339(seconds: float) -> str:
    """Unix seconds → `2026-01-31T09:30:00Z`; fractions are cut off, as metav1.Time does."""
    return _whole(int(seconds))


@lru_cache(maxsize=16)  # many objects of one second
def _whole(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(seconds: float) -> str:
    """Unix seconds → `2026-01-31T09:30:00.123456Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> float:
    """RFC 3339 → Unix seconds.  Raises ValueError on anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no time zone")
    return moment.timestamp()
