"""The EndpointSlice controller: the addresses behind every Service that selects Pods.

reconcile: find the Pods behind the Service (`backends`), pack them (`slices`), write the
difference.  Slices of others (another `endpointslice.kubernetes.io/managed-by`) and Services
without a selector are left alone.

Source: kube-controller-manager's endpointslice controller; documentation "EndpointSlices".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers import slices
from labkit.controllers.backends import address_type, backends, endpoint, is_headless, is_managed
from labkit.controllers.expectations import Expectations
from labkit.controllers.informers import InformerFactory, SharingController, batch_delay
from labkit.kube import objects, pods
from labkit.kube.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
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
        self.expectations = Expectations(clock)
        self._nodes = self.watch(NODES, enqueue=False)
        self._slices = self.watch(ENDPOINT_SLICES, _service_of)
        self._slices.add_index("service", _service_of)
        self.on_change(self._slices, self._slice_changed)

    async def reconcile(self, key: str) -> float | None:
        """Bring the slices of one Service up to date."""
        service = self.services.store.get(key)
        if service is None:
            self.expectations.forget(key)  # its slices have it as owner and go with it
            self.sizes.pop(key, None)
            return None
        if not is_managed(service) or objects.is_deleting(service):
            return None
        if not self.expectations.satisfied(key):
            return self.expectations.expires_in(key)  # the watch wakes us sooner
        existing = self._slices.by_index("service", key)
        change = slices.changes(self._desired(service), existing, self.most)
        await self._apply(key, service, change)
        await self._relabel(service, existing, change)
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

    async def _apply(self, key: str, service: Mapping, change: slices.Changes) -> None:
        for slice_, endpoints in change.update:
            await self.client.update(ENDPOINT_SLICES, {**slice_, "endpoints": endpoints})
        for group, endpoints in change.create:
            await self._create(key, _new_slice(service, group, endpoints))
        for slice_ in change.delete:
            await self._delete(key, slice_["metadata"])

    async def _create(self, key: str, slice_: Mapping) -> None:
        self.expectations.expect_creations(key, 1)
        try:
            await self.client.create(ENDPOINT_SLICES, slice_)
        except (ApiError, OSError):
            self.expectations.creations_observed(key)
            raise

    async def _delete(self, key: str, meta: Mapping) -> None:
        self.expectations.expect_deletions(key, [meta["uid"]])
        try:
            await self.client.delete(
                ENDPOINT_SLICES, meta["name"], meta["namespace"], uid=meta["uid"]
            )
        except (ApiError, OSError) as error:
            self.expectations.deletion_observed(key, meta["uid"])
            if not (isinstance(error, ApiError) and error.not_found):
                raise

    async def _relabel(
        self, service: Mapping, existing: Iterable[Mapping], change: slices.Changes
    ) -> None:
        """A Service's labels are its slices' labels too."""
        labels = _labels(service)
        touched = {slice_["metadata"]["uid"] for slice_, _ in change.update}
        touched |= {slice_["metadata"]["uid"] for slice_ in change.delete}
        for slice_ in existing:
            meta = slice_["metadata"]
            if meta["uid"] not in touched and objects.labels(slice_) != labels:
                fresh = {**slice_, "metadata": {**meta, "labels": labels}}
                await self.client.update(ENDPOINT_SLICES, fresh)

    def _slice_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        for key in _service_of(new or old):
            if old is None:
                self.expectations.creations_observed(key)
            if new is None:
                self.expectations.deletion_observed(key, old["metadata"]["uid"])


def _service_of(slice_: Mapping) -> tuple[str, ...]:
    labels = objects.labels(slice_)
    if labels.get(MANAGED_BY) != OURSELVES or not labels.get(SERVICE_NAME):
        return ()
    return (f"{slice_['metadata']['namespace']}/{labels[SERVICE_NAME]}",)


def _labels(service: Mapping) -> dict[str, str]:
    own = {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: OURSELVES}
    if is_headless(service):
        own[HEADLESS] = ""
    return {**objects.labels(service), **own}


def _new_slice(service: Mapping, group: slices.Group, endpoints: list[dict]) -> dict:
    meta = service["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": _labels(service),
            "ownerReferences": [objects.controller_reference(service)],
        },
        "addressType": group.address_type,
        "endpoints": endpoints,
        "ports": [port.as_dict() for port in group.ports],
    }
