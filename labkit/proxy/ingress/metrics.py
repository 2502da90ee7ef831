"""How many requests there were, and how long they took, as Prometheus reads it.

Names, labels and buckets are those of ingress-nginx, so that dashboards and HPAs of the field work.

Source: ingress-nginx, "Prometheus and Grafana"; Prometheus' text format 0.0.4.  Left out: sizes,
and times of the endpoints alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUESTS = "nginx_ingress_controller_requests"
DURATION = "nginx_ingress_controller_request_duration_seconds"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")


class Labels(NamedTuple):
    """What requests are told apart by.  The host and path are those of the rule."""

    namespace: str
    ingress: str
    service: str
    host: str
    path: str
    method: str
    status: str


class _Series:
    """Of one set of labels: all requests, their seconds, and how many took how long."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class RequestMetrics:
    """Counters that only grow, as long as this process lives; `constant` labels all of them."""

    def __init__(self, constant: Mapping[str, str]) -> None:
        self._constant = dict(constant)
        self._series: dict[Labels, _Series] = {}

    def observe(self, labels: Labels, seconds: float) -> None:
        """One request has been answered."""
        if labels.method not in _METHODS:
            labels = labels._replace(method="OTHER")  # clients must not make labels without end
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = _Series()
        series.counts[bisect_left(BUCKETS, seconds)] += 1
        series.seconds += seconds

    def forget(self, namespace: str, ingress: str) -> None:
        """An Ingress is gone, and with it what was counted."""
        for labels in [one for one in self._series if one[:2] == (namespace, ingress)]:
            del self._series[labels]

    def text(self) -> str:
        """The page that Prometheus scrapes."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"# HELP {DURATION} The request processing time in milliseconds"  # upstream's words
        yield f"# TYPE {DURATION} histogram"
        for labels, series in sorted(self._series.items()):
            text, total = self._text(labels), 0
            for bound, count in zip((*map(_number, BUCKETS), "+Inf"), series.counts, strict=True):
                total += count
                yield f'{DURATION}_bucket{{{text},le="{bound}"}} {total}'
            yield f"{DURATION}_sum{{{text}}} {series.seconds:.6f}"
            yield f"{DURATION}_count{{{text}}} {total}"
        yield f"# HELP {REQUESTS} The total number of client requests"
        yield f"# TYPE {REQUESTS} counter"
        for labels, series in sorted(self._series.items()):
            yield f"{REQUESTS}{{{self._text(labels)}}} {sum(series.counts)}"

    def _text(self, labels: Labels) -> str:
        pairs = {"canary": "", **self._constant, **labels._asdict()}
        return ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(pairs.items()))


def _number(bound: float) -> str:
    return f"{bound:g}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
