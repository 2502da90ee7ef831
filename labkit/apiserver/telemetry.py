"""What the API server tells of itself at `/metrics`: requests, how long they took, what is stored.

Names, labels and buckets are upstream's.  A request is counted when it is over; a watch, which
lasts as long as its client likes, is a gauge before.  Paths that are no resource's are not counted,
so clients cannot make labels without end.

Source: k8s.io/apiserver pkg/endpoints/metrics; Kubernetes documentation, "Kubernetes Metrics
Reference".  Left out: requests of the parts in this process, which come in memory (with `--parts
separate` there are none); admission, priority and fairness, etcd.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

from labkit.apiserver import attributes
from labkit.apiserver.audit import Trail
from labkit.client import telemetry

#: Seconds; upstream's of apiserver_request_duration_seconds.
BUCKETS = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0),
    *(6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0),
)
_ABOUT = ["verb", "group", "version", "resource", "subresource", "scope", "component"]
_VERBS = {"create": "POST", "update": "PUT"}
_CONNECTS = ("attach", "exec", "portforward", "proxy")


class RequestMetrics:
    """The instruments of one server; `api` has its `registry`, `aggregated` and `state`."""

    def __init__(self, api) -> None:
        self._api = api
        self._page = page = telemetry.registry()
        self._requests = Counter(
            "apiserver_request",
            "Counter of apiserver requests broken out for each verb, dry run value, group, "
            "version, resource, scope, component, and HTTP response code.",
            [*_ABOUT, "dry_run", "code"],
            registry=page,
        )
        self._duration = Histogram(
            "apiserver_request_duration_seconds",
            "Response latency distribution in seconds for each verb, dry run value, group, "
            "version, resource, subresource, scope and component.",
            [*_ABOUT, "dry_run"],
            buckets=BUCKETS,
            registry=page,
        )
        self._running = Gauge(
            "apiserver_longrunning_requests",
            "Gauge of all active long-running apiserver requests broken out by verb, group, "
            "version, resource, scope and component.",
            _ABOUT,
            registry=page,
        )
        self._inflight = Gauge(
            "apiserver_current_inflight_requests",
            "Maximal number of currently used inflight request limit of this apiserver per request "
            "kind in last second.",
            ["request_kind"],
            registry=page,
        )
        page.register(_Stored(api))

    def text(self) -> str:
        """The page."""
        return telemetry.text(self._page)

    def add(self, trail: Trail, now: float) -> None:
        """A request is over."""
        if (about := self._about(trail)) is None:
            return
        dry_run = trail.params.get("dryRun", "")
        self._requests.labels(*about, dry_run, str(trail.code)).inc()
        self._duration.labels(*about, dry_run).observe(now - trail.received)

    @contextmanager
    def running(self, trail: Trail) -> Iterator[None]:
        """Something that lasts as long as its client likes."""
        about = self._about(trail)
        gauge = self._running.labels(*about) if about else None
        if gauge:
            gauge.inc()
        try:
            yield
        finally:
            if gauge:
                gauge.dec()

    @contextmanager
    def inflight(self, method: str) -> Iterator[None]:
        """A request that is being answered."""
        gauge = self._inflight.labels("readOnly" if method == "GET" else "mutating")
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def _about(self, trail: Trail) -> tuple[str, ...] | None:
        """The labels of a request; None where nothing is served, or nobody could be asked."""
        wanted = attributes.of(trail.method, trail.path, trail.params)
        served = self._api.registry.find(wanted.group, wanted.version, wanted.resource)
        if not served and (wanted.group, wanted.version) not in self._api.aggregated:
            return None
        what = wanted.group, wanted.version, wanted.resource, wanted.subresource
        return (_verb(wanted), *what, _scope(wanted), "apiserver")


def _verb(wanted: attributes.Attributes) -> str:
    if wanted.subresource in _CONNECTS:
        return "CONNECT"
    return _VERBS.get(wanted.verb, wanted.verb.upper())


def _scope(wanted: attributes.Attributes) -> str:
    if wanted.name or wanted.verb == "create":
        return "resource"
    return "namespace" if wanted.namespace else "cluster"


class _Stored:
    """How many objects of each resource there are, counted when somebody looks."""

    def __init__(self, api) -> None:
        self._api = api

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "apiserver_storage_objects",
            "Number of stored objects at the time of last check split by kind.",
            labels=["resource"],
        )
        for name, collection in sorted(self._api.state.collections.items()):
            family.add_metric([name], len(collection.items))
        yield family
