"""What programs say at `/metrics`, as metrics of the present: gauges, and the rates of counters.

A counter tells nothing by itself.  `http_requests_total` becomes `http_requests_per_second`: its
increase between the last two scrapes, divided by the time between them; one that went back has
begun anew, from zero.  Buckets of histograms are left out; their sums and counts are counters.

Source: Prometheus "Metric types" and rate(); the sample configuration of prometheus-adapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from labkit.metrics.exposition import parse, types

Labels = tuple[tuple[str, str], ...]
_COUNTING = ("_total", "_count", "_sum")


class Scrape(NamedTuple):
    """One look at a program at `at` (Unix seconds)."""

    at: float
    gauges: dict[tuple[str, Labels], float]
    counters: dict[tuple[str, Labels], float]


class Series(NamedTuple):
    """One number with its labels, at `at`, over the `window` seconds before it (0 for a gauge)."""

    metric: str
    labels: Labels
    value: float
    at: float
    window: float = 0.0


def scrape(text: str, at: float) -> Scrape:
    """Read Prometheus' text format.  Raises ValueError."""
    declared = types(text)
    found = Scrape(at, {}, {})
    for name, labels, value, _ in parse(text):
        if name.endswith("_bucket") and "le" in labels:
            continue
        counts = declared.get(name) == "counter" or name.endswith(_COUNTING)
        kept = found.counters if counts and declared.get(name) != "gauge" else found.gauges
        kept[name, tuple(sorted(labels.items()))] = value
    return found


def series(previous: Scrape | None, last: Scrape) -> Iterator[Series]:
    """What the last scrape says, given the one before it, if there was one."""
    for (name, labels), value in last.gauges.items():
        yield Series(name, labels, value, last.at)
    window = last.at - previous.at if previous else 0.0
    if window <= 0:
        return
    for key, value in last.counters.items():
        before = previous.counters.get(key, 0.0)
        increase = value - before if value >= before else value
        metric = f"{key[0].removesuffix('_total')}_per_second"
        yield Series(metric, key[1], increase / window, last.at, window)
