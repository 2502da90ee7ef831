"""Which Pods stand behind a Service, at which addresses and ports: pure functions.

Source: kube-controller-manager's endpointslice and endpoints controllers (ShouldPodBeInEndpoints,
podToEndpoint, FindPort); documentation "EndpointSlices", section "Conditions".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.kube import objects, pods

IPV4, IPV6 = "IPv4", "IPv6"


class Port(NamedTuple):
    """One port of an EndpointSlice."""

    name: str
    protocol: str
    port: int
    app_protocol: str = ""

    def as_dict(self) -> dict:
        """As the API has it."""
        found = {"name": self.name, "protocol": self.protocol, "port": self.port}
        return {**found, "appProtocol": self.app_protocol} if self.app_protocol else found


class Backend(NamedTuple):
    """A Pod behind a Service: its ports as the Service names them, and the Pod itself."""

    ports: tuple[Port, ...]
    pod: Mapping


def is_managed(service: Mapping) -> bool:
    """Whether the Service's endpoints are ours to keep: it selects Pods and is no DNS alias."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_headless(service: Mapping) -> bool:
    """Whether the Service has no address of its own."""
    return service["spec"].get("clusterIP") == "None"


def backends(
    service: Mapping, candidates: Iterable[Mapping], *, terminating: bool
) -> list[Backend]:
    """The Pods behind a Service, ready or not; with `terminating` those that end, too."""
    selector = service["spec"]["selector"]
    found = []
    for pod in candidates:
        if not selector.items() <= objects.labels(pod).items():
            continue
        if not (pod.get("status") or {}).get("podIP") or pods.is_terminal(pod):
            continue
        if objects.is_deleting(pod) and not terminating:
            continue
        ports = pod_ports(service, pod)
        # A Service that names a port this Pod lacks says nothing of that port; see `pod_ports`.
        if ports or not service["spec"].get("ports"):
            found.append(Backend(ports, pod))
    return sorted(found, key=lambda backend: objects.key(backend.pod))


def pod_ports(service: Mapping, pod: Mapping) -> tuple[Port, ...]:
    """The Service's ports as numbers at this Pod; a named port that the Pod lacks is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        number = _number(pod, port.get("targetPort", port["port"]), protocol)
        if number:
            name, application = port.get("name") or "", port.get("appProtocol") or ""
            found.append(Port(name, protocol, number, application))
    return tuple(found)


def _number(pod: Mapping, target: int | str, protocol: str) -> int | None:
    if isinstance(target, int):
        return target or None
    spec = pod["spec"]
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in (*spec["containers"], *sidecars):
        for port in container.get("ports") or ():
            if (port.get("name"), port.get("protocol") or "TCP") == (target, protocol):
                return port["containerPort"]
    return None


def endpoint(service: Mapping, pod: Mapping, zone: str = "") -> dict:
    """One endpoint of an EndpointSlice."""
    serving, ends = pods.is_ready(pod), objects.is_deleting(pod)
    ready = (serving and not ends) or bool(service["spec"].get("publishNotReadyAddresses"))
    result: dict = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": ends},
        "targetRef": target_reference(pod),
    }
    optional = {"nodeName": pods.node_name(pod), "zone": zone, "hostname": hostname(service, pod)}
    return result | {field: value for field, value in optional.items() if value}


def target_reference(pod: Mapping) -> dict:
    """The reference from an address to its Pod."""
    meta = pod["metadata"]
    return {
        "kind": "Pod",
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
    }


def hostname(service: Mapping, pod: Mapping) -> str:
    """The name of a Pod below that of its subdomain's Service; empty where it has none there."""
    spec = pod["spec"]
    same = spec.get("subdomain") == service["metadata"]["name"]
    return spec.get("hostname") or "" if same else ""


def address_type(address: str) -> str:
    """IPv4 or IPv6."""
    return IPV6 if ":" in address else IPV4
