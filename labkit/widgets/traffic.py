"""Counters of the Service proxy → connections per second.  Pure.

The proxy counts what goes through it (`labkit_proxy_*` on its metrics page), so the map can tell
the traffic of Services truthfully, and nothing else: what goes straight to a Pod, or from an
Ingress controller to Pods, passes no Service.  kube-proxy itself does not count, for the kernel
forwards; on such a cluster the map shows no traffic, and says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.metrics.exposition import parse

ENDPOINTS = "labkit_proxy_endpoint_connections_total"
CLIENTS = "labkit_proxy_client_connections_total"
#: Seconds over which rates are taken: long enough to be steady, short enough to be now.
_WINDOW = 3.0

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Counters:
    """Connections so far, by Service and address of its endpoint, and by Service and client."""

    endpoints: Mapping[Pair, float]
    clients: Mapping[Pair, float]


@dataclass(frozen=True, slots=True)
class Traffic:
    """New connections per second; `known` is whether anybody counts them.

    `from_clients` has only what Pods ask for; the rest of a Service's comes from elsewhere.
    """

    known: bool = False
    to_endpoints: Mapping[Pair, float] = field(default_factory=dict)
    from_clients: Mapping[Pair, float] = field(default_factory=dict)

    def to_address(self, address: str) -> float:
        """To one endpoint, by all Services."""
        return sum(rate for (_, one), rate in self.to_endpoints.items() if one == address)

    def to_service(self, key: str) -> float:
        """By one Service."""
        return sum(rate for (service, _), rate in self.to_endpoints.items() if service == key)


def read(text: str) -> Counters | None:
    """The counters of a metrics page; None if it has none of ours, or is none."""
    found: dict[str, dict[Pair, float]] = {ENDPOINTS: {}, CLIENTS: {}}
    try:
        for sample in parse(text):
            if sample.name in found:
                labels = sample.labels
                other = labels.get("endpoint", "").rpartition(":")[0] or labels.get("client", "")
                pair = f"{labels['namespace']}/{labels['service']}", other
                counts = found[sample.name]
                counts[pair] = counts.get(pair, 0.0) + sample.value
    except (ValueError, KeyError):
        return None
    known = f"# TYPE {ENDPOINTS} " in text
    return Counters(found[ENDPOINTS], found[CLIENTS]) if known else None


class Rates:
    """The last few looks at the counters."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Counters]] = deque()

    def add(self, now: float, counters: Counters | None) -> Traffic:
        """The traffic, after a look at `now` (s)."""
        if counters is None:
            self._looks.clear()
            return Traffic()
        self._looks.append((now, counters))
        while len(self._looks) > 2 and self._looks[1][0] <= now - _WINDOW:
            self._looks.popleft()
        then, before = self._looks[0]
        return Traffic(
            True,
            _rates(before.endpoints, counters.endpoints, now - then),
            _rates(before.clients, counters.clients, now - then),
        )


def _rates(
    before: Mapping[Pair, float], after: Mapping[Pair, float], seconds: float
) -> dict[Pair, float]:
    """What grew.  A counter that fell began anew: its proxy was started again."""
    if seconds <= 0:
        return {}
    grown = {
        pair: count - before.get(pair, 0.0) if count >= before.get(pair, 0.0) else count
        for pair, count in after.items()
    }
    return {pair: count / seconds for pair, count in grown.items() if count}
