"""What the Service proxy has carried, as Prometheus reads it: `http://NODE:10249/metrics`.

10249 is kube-proxy's port for its metrics.  kube-proxy has none of these, for the kernel forwards
its connections and tells it nothing of them; a userspace proxy sees each one.  The page is at one
node's address, for one proxy works for all nodes; through the API server it is
`kubectl get --raw /api/v1/nodes/NODE:10249/proxy/metrics`.

Source: Prometheus' text format 0.0.4.  Left out: kube-proxy's own metrics (how long it takes to
write its rules).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

_ENDPOINT = {
    "connections": ("connections_total", "counter", "Connections that the endpoint has taken"),
    "active": ("active_connections", "gauge", "Connections to the endpoint that are open"),
    "failures": ("failures_total", "counter", "Connections that the endpoint has not taken"),
    "sent_bytes": ("sent_bytes_total", "counter", "Bytes from clients to the endpoint"),
    "received_bytes": ("received_bytes_total", "counter", "Bytes from the endpoint to clients"),
}


def text(counts: Iterable[Mapping], clients: Iterable[Mapping]) -> str:
    """The page, from `ServiceProxy.counts` and `ServiceProxy.clients`."""
    return "".join(f"{line}\n" for line in _lines(list(counts), clients))


def _lines(counts: list[Mapping], clients: Iterable[Mapping]) -> Iterator[str]:
    for column, (name, kind, words) in _ENDPOINT.items():
        name = f"labkit_proxy_endpoint_{name}"
        yield f"# HELP {name} {words}"
        yield f"# TYPE {name} {kind}"
        for row in counts:
            yield f"{name}{{{_labels(row, 'endpoint')}}} {row[column]}"
    name = "labkit_proxy_client_connections_total"
    yield f"# HELP {name} Connections of a client's address that an endpoint has taken"
    yield f"# TYPE {name} counter"
    for row in clients:
        yield f"{name}{{{_labels(row, 'client')}}} {row['connections']}"


def _labels(row: Mapping, other: str) -> str:
    namespace, _, service = row["service"].partition("/")
    pairs = {
        "address": row["address"],
        other: row[other],
        "namespace": namespace,
        "service": service,
    }
    return ",".join(f'{name}="{value}"' for name, value in sorted(pairs.items()))
