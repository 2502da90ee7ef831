"""The Endpoints controller: the older form of EndpointSlices, one object for each Service.

Nothing in labkit reads Endpoints; they are for people: `kubectl get endpoints` and older clients.

Source: kube-controller-manager's endpoints controller; the API has been deprecated since Kubernetes
1.33 in favour of EndpointSlices.  Left out: the cut at 1000 addresses.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.client import ApiError
from labkit.controllers.backends import (
    Port,
    backends,
    hostname,
    is_headless,
    is_managed,
    target_reference,
)
from labkit.controllers.endpointslice import HEADLESS, ServiceController
from labkit.kube import objects, pods
from labkit.kube.resources import ENDPOINTS

MANAGED_BY = "endpoints.kubernetes.io/managed-by"


class EndpointsController(ServiceController):
    """Keeps the Endpoints object of every Service that selects Pods."""

    name = "endpoints-controller"
    component = "endpoint-controller"

    async def reconcile(self, key: str) -> None:
        """Bring the Endpoints of one Service up to date."""
        namespace, name = objects.split_key(key)
        service = self.services.store.get(key)
        if service is None:
            self.sizes.pop(key, None)
            await self._delete(namespace, name)
        elif is_managed(service) and not objects.is_deleting(service):
            await self._write(service)

    async def _delete(self, namespace: str | None, name: str) -> None:
        present = await self._present(namespace, name)
        # Endpoints without this label are somebody's own, for a Service without a selector.
        if present and objects.labels(present).get(MANAGED_BY):
            meta = present["metadata"]
            await self.client.delete(ENDPOINTS, name, namespace, uid=meta["uid"])

    async def _write(self, service: Mapping) -> None:
        meta = service["metadata"]
        found = backends(
            service, self.pods.by_index("namespace", meta["namespace"]), terminating=False
        )
        self.sizes[objects.key(service)] = len(found)
        wanted = {"subsets": subsets(service, found)}
        labels = {**objects.labels(service), MANAGED_BY: "endpoint-controller"}
        if is_headless(service):
            labels[HEADLESS] = ""
        present = await self._present(meta["namespace"], meta["name"])
        if present is None:
            head = {"name": meta["name"], "namespace": meta["namespace"], "labels": labels}
            await self.client.create(ENDPOINTS, {"metadata": head, **wanted})
        elif (present.get("subsets") or []) != wanted["subsets"] or (
            objects.labels(present) != labels
        ):
            fresh = {**present, **wanted, "metadata": {**present["metadata"], "labels": labels}}
            await self.client.update(ENDPOINTS, fresh)

    async def _present(self, namespace: str | None, name: str) -> dict | None:
        try:
            return await self.client.get(ENDPOINTS, name, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise


def subsets(service: Mapping, found: list) -> list[dict]:
    """Addresses grouped by their ports, ready and not ready ones apart."""
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[tuple[Port, ...], dict[str, list[dict]]] = {}
    for ports, pod in found:
        group = groups.setdefault(ports, {"addresses": [], "notReadyAddresses": []})
        ready = always or pods.is_ready(pod)
        group["addresses" if ready else "notReadyAddresses"].append(_address(service, pod))
    return [
        {
            **{field: _sorted(addresses) for field, addresses in group.items() if addresses},
            "ports": [port.as_dict() for port in ports],
        }
        for ports, group in sorted(groups.items())
    ]


def _address(service: Mapping, pod: Mapping) -> dict:
    address = {"ip": pod["status"]["podIP"], "targetRef": target_reference(pod)}
    optional = {"hostname": hostname(service, pod), "nodeName": pods.node_name(pod)}
    return address | {field: value for field, value in optional.items() if value}


def _sorted(addresses: list[dict]) -> list[dict]:
    return sorted(addresses, key=lambda address: (address["ip"], address["targetRef"]["uid"]))
