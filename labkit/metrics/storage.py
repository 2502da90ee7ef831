"""The last two points of every container and node, and the usage between them.

CPU usage is the difference of two counters divided by the real time between their two readings, so
it is right at any interval, and however late a scrape comes.  Both points must belong to the same
run of the container: after a restart the counter begins anew, and usage is unknown until there are
two points of the new run.  One is enough when the container is old enough to speak for itself (10
seconds) and still younger than the scrape interval: its counter began at zero when it started.

Source: metrics-server pkg/storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from labkit.metrics.exposition import Batch, Point

# Milliseconds: from less a container's first moments would look like its habit.
_FRESH_MINIMUM = 10_000


class Usage(NamedTuple):
    """CPU in nanocores and memory in bytes at `at`, over the `window` before it (milliseconds)."""

    cpu: int
    memory: int
    at: int
    window: int


class Storage:
    """What was scraped last and before; `resolution` is the scrape interval in seconds."""

    def __init__(self, resolution: float) -> None:
        self._resolution = round(resolution * 1000)
        self._last, self._previous = Batch(), Batch()

    def store(self, batch: Batch) -> None:
        """Take in one round of scrapes: what is not in it is forgotten."""
        previous = Batch(
            nodes=advance(self._last.nodes, self._previous.nodes, batch.nodes, self._resolution)
        )
        for key, containers in batch.pods.items():
            last, before = self._last.pods.get(key, {}), self._previous.pods.get(key, {})
            previous.pods[key] = advance(last, before, containers, self._resolution)
        self._last, self._previous = batch, previous

    def node(self, name: str) -> Usage | None:
        """The Node's usage, or None while it is unknown."""
        return usage(self._previous.nodes.get(name), self._last.nodes.get(name))

    def pod(self, namespace: str, name: str) -> dict[str, Usage] | None:
        """The usage of each container by name; None while that of any is unknown."""
        key = (namespace, name)
        last, previous = self._last.pods.get(key, {}), self._previous.pods.get(key, {})
        found = {each: usage(previous.get(each), point) for each, point in last.items()}
        return found if found and all(found.values()) else None


def advance(
    last: Mapping[str, Point],
    previous: Mapping[str, Point],
    fresh: Mapping[str, Point],
    resolution: int,
) -> dict[str, Point]:
    """For each fresh point the one to compare it with, where there is one."""
    found = {}
    for name, point in fresh.items():
        partner = _partner(last.get(name), previous.get(name), point, resolution)
        if partner:
            found[name] = partner
    return found


def _partner(
    last: Point | None, previous: Point | None, point: Point, resolution: int
) -> Point | None:
    age = point.at - point.start
    if point.start and _FRESH_MINIMUM <= age < resolution:
        return Point(point.start, 0, point.memory, point.start)
    if last is None or point.start >= last.at:
        return None  # new, or restarted since
    if point.at > last.at:
        return last
    # The kubelet has not looked again since: the older pair is still the newest there is.
    return previous if previous and previous.at < point.at else None


def usage(previous: Point | None, last: Point | None) -> Usage | None:
    """The usage between two points; None without two, or where the counter went back."""
    if previous is None or last is None:
        return None
    if last.start < previous.start or last.cpu < previous.cpu or last.at <= previous.at:
        return None
    window = last.at - previous.at
    return Usage((last.cpu - previous.cpu) * 1000 // window, last.memory, last.at, window)
