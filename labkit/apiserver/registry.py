"""What this API server serves: one row per resource.

A row joins a resource's identity (`labkit.kube.resources`) with its names for people, its
subresources, its schema and its behaviour (`Strategy`).  Routing, discovery, OpenAPI and tables
all read this table; to serve another kind, add a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.apiserver import strategies
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources as known
from labkit.kube.resources import Resource


@dataclass(frozen=True)
class Registration:
    """One served resource.

    `definition` names the kind in Kubernetes' schema.  `storage` is the resource under which
    objects are kept: another version or group of the same thing is converted on the way.
    """

    resource: Resource
    singular: str
    definition: str
    strategy: Strategy
    storage: Resource
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()


_PACKAGES = {
    "": "io.k8s.api.core",
    "events.k8s.io": "io.k8s.api.events",
    "discovery.k8s.io": "io.k8s.api.discovery",
    "coordination.k8s.io": "io.k8s.api.coordination",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
}


def _definition(resource: Resource) -> str:
    package = _PACKAGES.get(resource.group, f"io.k8s.api.{resource.group}")
    return f"{package}.{resource.version}.{resource.kind}"


def _row(
    resource: Resource,
    short: str,
    strategy: Strategy,
    *,
    subresources: str = "",
    categories: str = "",
    storage: Resource | None = None,
) -> Registration:
    return Registration(
        resource=resource,
        singular=resource.kind.lower(),
        definition=_definition(resource),
        strategy=strategy,
        storage=storage or resource,
        short_names=tuple(short.split()),
        categories=tuple(categories.split()),
        subresources=tuple(subresources.split()),
    )


HPA_V1 = Resource("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
EVENTS_V1 = Resource("events.k8s.io", "v1", "events", "Event")
API_SERVICES = Resource(
    "apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False
)

REGISTRATIONS: tuple[Registration, ...] = (
    _row(
        known.PODS,
        "po",
        strategies.POD,
        subresources="status log binding eviction",
        categories="all",
    ),
    _row(known.SERVICES, "svc", strategies.SERVICE, subresources="status", categories="all"),
    _row(known.ENDPOINTS, "ep", strategies.ENDPOINTS),
    _row(known.CONFIG_MAPS, "cm", strategies.CONFIG_MAP),
    _row(known.SECRETS, "", strategies.SECRET),
    _row(known.NAMESPACES, "ns", strategies.NAMESPACE, subresources="status finalize"),
    _row(known.NODES, "no", strategies.NODE, subresources="status"),
    _row(known.EVENTS, "ev", strategies.EVENT),
    _row(known.SERVICE_ACCOUNTS, "sa", strategies.SERVICE_ACCOUNT),
    _row(
        known.DEPLOYMENTS,
        "deploy",
        strategies.DEPLOYMENT,
        subresources="status scale",
        categories="all",
    ),
    _row(
        known.REPLICA_SETS,
        "rs",
        strategies.REPLICA_SET,
        subresources="status scale",
        categories="all",
    ),
    _row(
        known.HORIZONTAL_POD_AUTOSCALERS,
        "hpa",
        strategies.HPA,
        subresources="status",
        categories="all",
    ),
    _row(
        HPA_V1,
        "hpa",
        strategies.HPA,
        subresources="status",
        categories="all",
        storage=known.HORIZONTAL_POD_AUTOSCALERS,
    ),
    _row(known.ENDPOINT_SLICES, "", strategies.ENDPOINT_SLICE),
    _row(known.LEASES, "", strategies.LEASE),
    _row(EVENTS_V1, "ev", strategies.EVENT, storage=known.EVENTS),
    _row(
        API_SERVICES, "", strategies.API_SERVICE, subresources="status", categories="api-extensions"
    ),
)

_BY_NAME = {
    (row.resource.group, row.resource.version, row.resource.plural): row for row in REGISTRATIONS
}


def find(group: str, version: str, plural: str) -> Registration | None:
    """The row that serves `plural` in `group`/`version`, or None."""
    return _BY_NAME.get((group, version, plural))
