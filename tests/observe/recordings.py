"""Recordings that never happened, for the tests of the finding and the figure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from labkit.observe.sample import COLUMNS

EPOCH = 1_800_000_000.0


def recording(rows: int, **columns: object) -> pd.DataFrame:
    """`rows` samples a second apart; a column is NaN unless it is given."""
    t = np.arange(rows, dtype=float)
    frame = pd.DataFrame({name: np.full(rows, np.nan) for name in COLUMNS})
    return frame.assign(time=EPOCH + t, t=t, **columns)


def phases(*parts: tuple[int, float]) -> np.ndarray:
    """(10, 1), (5, 3) → ten times 1, then five times 3."""
    return np.repeat([float(value) for _, value in parts], [count for count, _ in parts])


def scaling() -> pd.DataFrame:
    """120 s: load from 10 to 70, desired 3 at 22, ready 3 at 30, both 1 again at 95."""
    ready = phases((26, 1), (4, 2), (65, 3), (25, 1))
    loaded = phases((11, 0), (60, 1), (49, 0)) > 0
    return recording(
        120,
        offered=np.where(loaded, 50.0, 0),
        completed=np.where(loaded, np.minimum(50, ready * 22), 0),
        errors=0.0,
        p50=np.where(loaded, np.where(ready < 3, 900, 20), np.nan),
        p99=np.where(loaded, np.where(ready < 3, 1900, 60), np.nan),
        cpu_target=50.0,
        cpu_utilization=phases((12, 2), (20, 150), (43, 52), (45, 3)),
        replicas_spec=phases((22, 1), (73, 3), (25, 1)),
        replicas_desired=phases((22, 1), (73, 3), (25, 1)),
        replicas_ready=ready,
    )


def happenings(*rows: tuple[float, str, str]) -> pd.DataFrame:
    """Events: (t, reason, message)."""
    frame = pd.DataFrame(rows, columns=["t", "reason", "message"])
    return frame.assign(time=EPOCH + frame["t"], object="HorizontalPodAutoscaler/web")
