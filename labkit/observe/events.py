"""Which events a figure has room for.  Pure.

At most six, with letters from A.  Our own marks say what we did and come first, then what the
autoscaler decided, then the rest; an event that only repeats another one at the same moment (the
Deployment's "Scaled up" after the autoscaler's "New size") is left out before anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

LIMIT = 6
_LETTERS = "ABCDEF"
_RANK = {"mark": 0, "SuccessfulRescale": 1, "ScalingReplicaSet": 3}
#: Events of one kind that are closer than this (s) are one event.
_SAME = 2.0
#: A rescale of the Deployment this soon (s) after the autoscaler's decision is its consequence.
_CONSEQUENCE = 3.0


@dataclass(frozen=True)
class Lettered:
    """An event that is drawn: its letter, when (s since the recording began), what it says."""

    letter: str
    t: float
    text: str


def choose(events: pd.DataFrame | None, start: float, end: float) -> list[Lettered]:
    """The events from `start` to `end` that are worth a letter, in order of time."""
    if events is None or events.empty:
        return []
    rows = events[(events["t"] >= start - 1) & (events["t"] <= end)].sort_values("t")
    rows = _without_consequences(_without_repetition(rows.to_dict("records")))
    rows.sort(key=lambda row: (_RANK.get(row["reason"], 2), row["t"]))
    best = sorted(rows[:LIMIT], key=lambda row: row["t"])
    return [
        Lettered(letter, max(start, row["t"]), text(row))
        for letter, row in zip(_LETTERS, best, strict=False)
    ]


def text(row: dict) -> str:
    """What the key says: a mark's own words, or reason and message."""
    if row["reason"] == "mark":
        return row["message"]
    return f"{row['reason']}: {row['message']}" if row["message"] else row["reason"]


def _without_repetition(rows: list[dict]) -> list[dict]:
    kept: list[dict] = []
    last: dict[tuple[str, str], float] = {}
    for row in rows:
        what = (row["reason"], row["message"])
        if row["t"] - last.get(what, float("-inf")) >= _SAME:
            kept.append(row)
        last[what] = row["t"]
    return kept


def _without_consequences(rows: list[dict]) -> list[dict]:
    decided = [row["t"] for row in rows if row["reason"] == "SuccessfulRescale"]
    return [
        row
        for row in rows
        if row["reason"] != "ScalingReplicaSet"
        or not any(abs(row["t"] - t) <= _CONSEQUENCE for t in decided)
    ]
