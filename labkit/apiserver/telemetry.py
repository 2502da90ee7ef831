"""What the API server tells of itself at `/metrics`: requests, how long they took, what is stored.

Names, labels and buckets are upstream's.  A request is counted when it is over; a watch, which
lasts as long as its client likes, is a gauge before.  Paths that are no resource's are not counted,
and of the others so many kinds at most; so clients cannot make labels without end.

Source: k8s.io/apiserver pkg/endpoints/metrics; Kubernetes documentation, "Kubernetes Metrics
Reference".  Left out: requests of the parts in this process, which come in memory (with `--parts
separate` there are none); admission, priority and fairness, etcd.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

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
_MOST_KINDS = 1024  # of requests, by their labels; a cluster that works hard has some hundred
_CONNECTS = ("attach", "exec", "portforward", "proxy")


class _Kind(NamedTuple):
    """What requests are counted by that have all labels in common."""

    requests: Counter
    duration: Histogram


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
        inflight = Gauge(
            "apiserver_current_inflight_requests",
            "Maximal number of currently used inflight request limit of this apiserver per request "
            "kind in last second.",
            ["request_kind"],
            registry=page,
        )
        self._reading, self._mutating = map(inflight.labels, ("readOnly", "mutating"))
        self._kinds: dict[tuple, _Kind] = {}
        page.register(_Stored(api))

    def text(self) -> str:
        """The page."""
        return telemetry.text(self._page)

    def add(self, trail: Trail, now: float) -> None:
        """A request is over."""
        wanted = attributes.of(trail.method, trail.path, trail.params)
        somebody, somewhere = wanted.name and "*", wanted.namespace and "*"
        about = wanted._replace(path="", name=somebody, namespace=somewhere, selected=())
        key = about, trail.params.get("dryRun", ""), trail.code
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _MOST_KINDS or not (labels := self._labels(wanted)):
                return
            kind = self._kinds[key] = _Kind(
                self._requests.labels(*labels, key[1], str(key[2])),
                self._duration.labels(*labels, key[1]),
            )
        kind.requests.inc()
        kind.duration.observe(now - trail.received)

    def running(self, trail: Trail) -> AbstractContextManager:
        """Something that lasts as long as its client likes."""
        labels = self._labels(attributes.of(trail.method, trail.path, trail.params))
        return self._running.labels(*labels).track_inprogress() if labels else nullcontext()

    def inflight(self, method: str) -> AbstractContextManager:
        """A request that is being answered."""
        return (self._reading if method == "GET" else self._mutating).track_inprogress()

    def _labels(self, wanted: attributes.Attributes) -> tuple[str, ...] | None:
        """The labels of a request; None where nothing is served, or nobody could be asked."""
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
