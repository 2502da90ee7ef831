"""The EndpointSlice mirroring controller: Endpoints that people wrote, as EndpointSlices.

A Service without a selector has the endpoints that somebody gives it.  Who writes an Endpoints
object of its name, the older way, gets the EndpointSlices that proxies and DNS read.

reconcile: turn each subset into endpoints, ready and not ready ones, pack them (`slices`), write
the difference (`slicewriter`).  The slices' owner is the Endpoints object.  Endpoints of Services
with a selector are no concern of ours, nor are those that ask to be left alone.

Source: kube-controller-manager's endpointslicemirroring controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address

from labkit.client import Client
from labkit.clock import Clock
from labkit.controllers import slices
from labkit.controllers.backends import Port, address_type
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.controllers.slicewriter import MANAGED_BY, SERVICE_NAME, SliceWriter
from labkit.kube import objects
from labkit.kube.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES

OURSELVES = "endpointslicemirroring-controller.k8s.io"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_MOST_OF_SUBSET = 1000  # --mirroring-max-endpoints-per-subset
_MOST_OF_SLICE = 1000
_NOT_MIRRORED = (  # annotations
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
)


class EndpointSliceMirroringController(SharingController):
    """Keeps the mirrors of Endpoints without a selector behind them."""

    name = "endpointslicemirroring-controller"
    component = "endpoint-slice-mirroring-controller"

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._writer = SliceWriter(client, clock, OURSELVES)
        self._services = self.watch(SERVICES)
        self._endpoints = self.watch(ENDPOINTS)
        self._slices = self.watch(ENDPOINT_SLICES, self._writer.keys)
        self._slices.add_index("mirrored service", self._writer.keys)
        self.on_change(self._slices, self._writer.seen)

    async def reconcile(self, key: str) -> float | None:
        """Bring the mirrors of one Endpoints object up to date."""
        expectations = self._writer.expectations
        if not expectations.satisfied(key):
            return expectations.expires_in(key)
        existing = self._slices.by_index("mirrored service", key)
        endpoints = self._endpoints.store.get(key)
        if not is_mirrored(endpoints, self._services.store.get(key)):
            for slice_ in existing:
                await self._writer.delete(key, slice_)
            return None
        change = slices.changes(mirrored(endpoints), existing, _MOST_OF_SLICE)
        await self._writer.apply(key, change, existing, _head(endpoints))
        return None


def is_mirrored(endpoints: Mapping | None, service: Mapping | None) -> bool:
    """Whether an Endpoints object has, or is to have, EndpointSlices of ours."""
    if endpoints is None or service is None or service["spec"].get("selector"):
        return False
    annotations = endpoints["metadata"].get("annotations") or {}
    return _LEADER not in annotations and objects.labels(endpoints).get(SKIP_MIRROR) != "true"


def mirrored(endpoints: Mapping) -> dict[slices.Group, list[dict]]:
    """The endpoints of all subsets, by what they share a slice for."""
    found: dict[slices.Group, list[dict]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = tuple(
            sorted(
                Port(
                    port.get("name") or "",
                    port.get("protocol") or "TCP",
                    port["port"],
                    port.get("appProtocol") or "",
                )
                for port in subset.get("ports") or ()
            )
        )
        for number, endpoint in enumerate(_of_subset(subset)):
            if number < _MOST_OF_SUBSET:
                group = slices.Group(address_type(endpoint["addresses"][0]), ports)
                found.setdefault(group, []).append(endpoint)
    return found


def _of_subset(subset: Mapping) -> Iterator[dict]:
    for field, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(field) or ():
            endpoint = {"addresses": [_canonical(address["ip"])], "conditions": {"ready": ready}}
            for name in ("hostname", "nodeName", "targetRef"):
                if address.get(name):
                    endpoint[name] = address[name]
            yield endpoint


def _canonical(address: str) -> str:
    """EndpointSlices have one form of IPv6 addresses, Endpoints any."""
    return str(IPv6Address(address)) if ":" in address else address


def _head(endpoints: Mapping) -> dict:
    meta = endpoints["metadata"]
    annotations = {
        name: text
        for name, text in (meta.get("annotations") or {}).items()
        if name not in _NOT_MIRRORED
    }
    labels = {**objects.labels(endpoints), SERVICE_NAME: meta["name"], MANAGED_BY: OURSELVES}
    return {
        "generateName": f"{meta['name']}-",
        "namespace": meta["namespace"],
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [objects.controller_reference(endpoints)],
    }
