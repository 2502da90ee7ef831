"""Which addresses a Service is served at, and by which endpoints: pure functions of API objects.

A Service port is served at its cluster IP and, for NodePort and LoadBalancer, at its node port on
every node address.  It is served by the ready endpoints of its EndpointSlices; when none is ready,
by those that terminate but still serve; when there are none of these either, it is not served at
all, so that clients are refused at once.

Source: Kubernetes documentation, "Virtual IPs and Service Proxies"; KEP-1669 (terminating
endpoints); pkg/proxy `CategorizeEndpoints`.  Left out: traffic policies, session affinity,
topology hints, external and load balancer addresses, IPv6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labkit.kube import objects

SERVICE_NAME = "kubernetes.io/service-name"
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """What stands behind one listener: a port of the Service and its endpoints, in order.

    `index` is the port's place in `spec.ports`, for messages that name it.
    """

    port: str
    index: int
    endpoints: tuple[Address, ...]


def service_keys(slice_: Mapping) -> tuple[str, ...]:
    """The key of the Service that an EndpointSlice belongs to, if it says so."""
    name = objects.labels(slice_).get(SERVICE_NAME)
    return (f"{slice_['metadata']['namespace']}/{name}",) if name else ()


def internal_ips(node: Mapping) -> tuple[str, ...]:
    """The node's addresses of type InternalIP."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    return tuple(entry["address"] for entry in addresses if entry["type"] == "InternalIP")


def listeners(
    service: Mapping, slices: Iterable[Mapping], node_addresses: Iterable[str]
) -> dict[Address, Target]:
    """The addresses at which TCP is to be accepted for `service`, and what serves each.

    An address that is itself one of the endpoints is served there already (the `kubernetes`
    Service) and is left alone.  Only loopback addresses are ever listened on.
    """
    slices, wanted = list(slices), {}
    for index, port in enumerate(service["spec"].get("ports") or ()):
        if port.get("protocol", "TCP") != "TCP":
            continue
        target = Target(port.get("name") or "", index, serving(port, slices))
        for address in addresses(service, port, node_addresses):
            if target.endpoints and address not in target.endpoints:
                wanted[address] = target
    return wanted


def unsupported(service: Mapping, slices: Iterable[Mapping]) -> list[Mapping]:
    """Ports of other protocols than TCP that have endpoints which nobody would reach."""
    slices = list(slices)
    return [
        port
        for port in service["spec"].get("ports") or ()
        if port.get("protocol", "TCP") != "TCP"
        and set(serving(port, slices)) - set(addresses(service, port, ()))
        and has_cluster_ip(service)
    ]


def has_cluster_ip(service: Mapping) -> bool:
    """Whether the Service has a virtual address: neither headless nor ExternalName."""
    spec = service["spec"]
    return spec.get("type") != "ExternalName" and spec.get("clusterIP") not in (None, "", "None")


def addresses(service: Mapping, port: Mapping, node_addresses: Iterable[str]) -> list[Address]:
    """The loopback addresses of one Service port: cluster IP first, then node ports."""
    if not has_cluster_ip(service):
        return []
    found = [(service["spec"]["clusterIP"], port["port"])]
    if port.get("nodePort"):
        found += [(ip, port["nodePort"]) for ip in node_addresses]
    return [address for address in found if address[0].startswith("127.")]


def serving(port: Mapping, slices: Iterable[Mapping]) -> tuple[Address, ...]:
    """The endpoints that serve one Service port, sorted, each once."""
    ready: set[Address] = set()
    draining: set[Address] = set()
    for slice_, number in _ports(port, slices):
        for endpoint in slice_.get("endpoints") or ():
            group = _group(endpoint.get("conditions") or {}, ready, draining)
            if group is not None:
                # All addresses of an endpoint are the same one; consumers use the first.
                group.add((endpoint["addresses"][0], number))
    return tuple(sorted(ready or draining))


def _ports(port: Mapping, slices: Iterable[Mapping]) -> Iterable[tuple[Mapping, int]]:
    """The IPv4 slices that have this port, by name and protocol, and its number there."""
    wanted = (port.get("name") or "", port.get("protocol", "TCP"))
    for slice_ in slices:
        if slice_.get("addressType", "IPv4") != "IPv4":
            continue
        for entry in slice_.get("ports") or ():
            same = (entry.get("name") or "", entry.get("protocol") or "TCP") == wanted
            if same and entry.get("port"):
                yield slice_, entry["port"]


def _group(conditions: Mapping, ready: set, draining: set) -> set | None:
    # An unknown (missing) ready means ready; serving is ready but for termination.
    is_ready = conditions.get("ready") in (True, None)
    if is_ready:
        return ready
    return draining if conditions.get("serving") and conditions.get("terminating") else None
