"""The EndpointSlice controller: the addresses behind every Service that selects Pods.

reconcile: find the Pods behind the Service (`backends`), pack them (`slices`), write the
difference.  Slices of others (another `endpointslice.kubernetes.io/managed-by`) and Services
without a selector are left alone.

Source: kube-controller-manager's endpointslice controller; documentation "EndpointSlices".
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.client import Client
from labkit.clock import Clock
from labkit.controllers import slices
from labkit.controllers.backends import address_type, backends, endpoint, is_headless, is_managed
from labkit.controllers.informers import InformerFactory, SharingController, batch_delay
from labkit.controllers.slicewriter import MANAGED_BY, SERVICE_NAME, SliceWriter
from labkit.kube import objects, pods
from labkit.kube.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES

OURSELVES = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
_ZONE = "topology.kubernetes.io/zone"


class ServiceController(SharingController):
    """What the controllers of EndpointSlices and of Endpoints share: Services and their Pods."""

    workers = 5  # --concurrent-service-endpoint-syncs, --concurrent-endpoint-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self.services = self.watch(SERVICES)
        self.services.add_index("namespace", lambda obj: (obj["metadata"]["namespace"],))
        self.pods = self.watch(PODS, enqueue=False)
        self.pods.add_index("namespace", lambda obj: (obj["metadata"]["namespace"],))
        self.on_change(self.pods, self._pod_changed)
        self.sizes: dict[str, int] = {}  # how many Pods each Service had when it was looked at

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        for key in {key for pod in (old, new) if pod for key in self._services_of(pod)}:
            self.queue.add_after(key, batch_delay(self.sizes.get(key, 0)))

    def _services_of(self, pod: Mapping) -> list[str]:
        labels = objects.labels(pod)
        return [
            objects.key(service)
            for service in self.services.by_index("namespace", pod["metadata"]["namespace"])
            if is_managed(service) and service["spec"]["selector"].items() <= labels.items()
        ]


class EndpointSliceController(ServiceController):
    """Keeps the EndpointSlices of every Service."""

    name = "endpointslice-controller"
    component = "endpoint-slice-controller"

    def __init__(
        self,
        client: Client,
        clock: Clock,
        informers: InformerFactory | None = None,
        max_endpoints_per_slice: int = slices.MOST,
    ) -> None:
        super().__init__(client, clock, informers)
        self.most = max_endpoints_per_slice
        self._writer = SliceWriter(client, clock, OURSELVES)
        self._nodes = self.watch(NODES, enqueue=False)
        self._slices = self.watch(ENDPOINT_SLICES, self._writer.keys)
        self._slices.add_index("service", self._writer.keys)
        self.on_change(self._slices, self._writer.seen)

    async def reconcile(self, key: str) -> float | None:
        """Bring the slices of one Service up to date."""
        service, expectations = self.services.store.get(key), self._writer.expectations
        if service is None:
            expectations.forget(key)  # its slices have it as owner and go with it
            self.sizes.pop(key, None)
            return None
        if not is_managed(service) or objects.is_deleting(service):
            return None
        if not expectations.satisfied(key):
            return expectations.expires_in(key)  # the watch wakes us sooner
        existing = self._slices.by_index("service", key)
        change = slices.changes(self._desired(service), existing, self.most)
        await self._writer.apply(key, change, existing, _head(service))
        return None

    def _desired(self, service: Mapping) -> dict[slices.Group, list[dict]]:
        namespace = service["metadata"]["namespace"]
        found: dict[slices.Group, list[dict]] = {}
        pods_behind = backends(
            service, self.pods.by_index("namespace", namespace), terminating=True
        )
        self.sizes[objects.key(service)] = len(pods_behind)
        for ports, pod in pods_behind:
            group = slices.Group(address_type(pod["status"]["podIP"]), tuple(sorted(ports)))
            found.setdefault(group, []).append(endpoint(service, pod, self._zone(pod)))
        families = service["spec"].get("ipFamilies") or ["IPv4"]
        return found or {slices.Group(families[0], ()): []}

    def _zone(self, pod: Mapping) -> str:
        node = self._nodes.get(pods.node_name(pod))
        return objects.labels(node).get(_ZONE, "") if node else ""


def _labels(service: Mapping) -> dict[str, str]:
    own = {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: OURSELVES}
    if is_headless(service):
        own[HEADLESS] = ""
    return {**objects.labels(service), **own}


def _head(service: Mapping) -> dict:
    """The metadata of a slice: its Service's labels are its own too."""
    meta = service["metadata"]
    return {
        "generateName": f"{meta['name']}-",
        "namespace": meta["namespace"],
        "labels": _labels(service),
        "ownerReferences": [objects.controller_reference(service)],
    }
