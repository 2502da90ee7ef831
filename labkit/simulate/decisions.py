"""What every autoscaler decided at every look, and why: the log of a simulation.

The words are the autoscaler's own (`labkit.controllers.podautoscaler.words`).  A look every 15
seconds makes a long log in which little happens; `telling` leaves what a reader wants to know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from labkit.controllers.podautoscaler import Decision
from labkit.kube import objects

_NUMBERS = re.compile(r"[\d.]+")


class Look(NamedTuple):
    """One look of an autoscaler.

    time, t   Unix seconds, and seconds since the simulation began
    hpa       the name of the HorizontalPodAutoscaler
    current   replicas that there were
    desired   replicas that it wants
    because   how that comes about, with the numbers
    rescale   whether it changed the number of replicas
    error     what was wrong; empty if nothing was
    """

    time: float
    t: float
    hpa: str
    current: int
    desired: int
    because: str
    rescale: bool
    error: str

    @property
    def change(self) -> str:
        """From how many replicas to how many."""
        return f"{self.current} → {self.desired}" if self.rescale else f"{self.current}"

    def __str__(self) -> str:
        return f"{clock(self.t)}  {self.hpa}  {self.change}  {self.because}"


def look(key: str, decision: Decision, time: float, t: float) -> Look:
    """A Decision about the autoscaler with this key, as a row of the log."""
    numbers = decision.current, decision.desired
    name = objects.split_key(key)[1]
    return Look(time, t, name, *numbers, decision.words, decision.rescale, decision.error)


def telling(looks: Iterable[Look]) -> Iterator[Look]:
    """Those that changed something, and of the others the first for each reason why not."""
    last: dict[str, str] = {}
    for one in looks:
        reason = _NUMBERS.sub("", one.because)
        if one.rescale or last.get(one.hpa) != reason:
            yield one
        last[one.hpa] = reason


def clock(t: float) -> str:
    """Seconds as hours, minutes and seconds: `0:02:15`."""
    minutes, seconds = divmod(round(t), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
