"""What happened in a simulation, as lines for a terminal.

    0:02:13  myapp  1 → 3  4 replicas = ceil(1 × 106 % / 30 %); limited to maxReplicas 3
    0:03:20  fault         node-3 is lost

Of the looks of autoscalers those that changed something, and of the others the first for each
reason why not; what went wrong; and what the cluster autoscaler told Pods and Nodes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from labkit.observe.sample import MARK
from labkit.simulate.decisions import Look, clock, telling

if TYPE_CHECKING:
    from labkit.simulate.simulation import Recording


class _Entry(NamedTuple):
    t: float
    who: str
    change: str
    words: str


def story(recording: Recording, width: int = 0) -> Iterator[str]:
    """The lines, in order of time; with a `width` (characters) long ones are wrapped."""
    looks = map(Look._make, recording.decisions.itertuples(index=False))
    entries = [*_faults(recording.events), *map(_look, telling(looks))]
    entries = sorted([*entries, *_machines(recording.events)], key=lambda entry: entry.t)
    who = max((len(entry.who) for entry in entries), default=0)
    change = max((len(entry.change) for entry in entries), default=0)
    for entry in entries:
        head = f"{clock(entry.t)}  {entry.who:<{who}}  {entry.change:<{change}}  "
        if width > len(head) + 30:
            rest = " " * len(head)
            yield from textwrap.wrap(
                entry.words, width, initial_indent=head, subsequent_indent=rest
            )
        else:
            yield head + entry.words


def _look(look: Look) -> _Entry:
    return _Entry(look.t, look.hpa, look.change, look.because)


def _faults(events: pd.DataFrame) -> Iterator[_Entry]:
    for event in events[events["reason"] == MARK].itertuples():
        yield _Entry(event.t, "fault", "", event.message)


def _machines(events: pd.DataFrame) -> Iterator[_Entry]:
    """What the cluster autoscaler told Pods and Nodes; what many heard, once."""
    told = events[events["object"].str.match("Pod/|Node/")]
    for (t, message), heard in told.groupby(["t", "message"], sort=False)["object"]:
        more = f" and {len(heard) - 1} more" if len(heard) > 1 else ""
        yield _Entry(t, "nodes", "", f"{heard.iloc[0]}{more}: {message}")
