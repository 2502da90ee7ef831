"""Which addresses a Service is served at, and by which endpoints: pure functions of API objects.

A Service port is served at its cluster IP, its external and load balancer addresses and, for
NodePort and LoadBalancer, at its node port on every node address.  It is served by the ready
endpoints of its EndpointSlices; when none is ready, by those that terminate but still serve; when
there are none of these either, it is not served at all, so that clients are refused at once.

Traffic policies `Local` ask for endpoints on one node.  `externalTrafficPolicy` is about the node
whose address was dialled; the machine's own addresses belong to no node and lead to all endpoints.
`internalTrafficPolicy` is about the node that the client is on; a client on none (a terminal of the
machine) is served as under `Cluster`.

Source: Kubernetes documentation, "Virtual IPs and Service Proxies"; KEP-1669 (terminating
endpoints); pkg/proxy `CategorizeEndpoints`.  Left out: topology hints, IPv6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from labkit.kube import objects

SERVICE_NAME = "kubernetes.io/service-name"
LOOPBACK = (IPv4Network("127.0.0.0/8"),)
Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """What stands behind one listener: a port of the Service and its endpoints, in order.

    `index` is the port's place in `spec.ports`, for messages that name it; `by_node` are the
    endpoints for clients on a node, where that matters (internalTrafficPolicy Local); `affinity`
    is for how many seconds a client keeps its endpoint.
    """

    port: str
    index: int
    endpoints: tuple[Address, ...]
    by_node: Mapping[str, tuple[Address, ...]] | None = None
    affinity: int = 0


def service_keys(slice_: Mapping) -> tuple[str, ...]:
    """The key of the Service that an EndpointSlice belongs to, if it says so."""
    name = objects.labels(slice_).get(SERVICE_NAME)
    return (f"{slice_['metadata']['namespace']}/{name}",) if name else ()


def internal_ips(node: Mapping) -> tuple[str, ...]:
    """The node's addresses of type InternalIP."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    return tuple(entry["address"] for entry in addresses if entry["type"] == "InternalIP")


def node_of(client: str, nodes: Iterable[Mapping]) -> str | None:
    """The name of the node that an address is on: its own, or one of its Pods'."""
    for node in nodes:
        block = (node.get("spec") or {}).get("podCIDR")
        if client in internal_ips(node) or (block and _is_inside(client, (IPv4Network(block),))):
            return node["metadata"]["name"]
    return None


def listeners(
    service: Mapping,
    slices: Iterable[Mapping],
    node_addresses: Mapping[str, str],
    networks: Iterable[IPv4Network] = LOOPBACK,
) -> dict[Address, Target]:
    """The addresses at which TCP is to be accepted for `service`, and what serves each.

    `node_addresses` gives each address for node ports its node's name, "" for the machine's own.
    Only addresses of `networks` are listened on: those that this machine has.  An address that is
    itself one of the endpoints is served there already (the `kubernetes` Service), and is left
    alone.
    """
    slices, wanted = list(slices), {}
    for index, port in enumerate(service["spec"].get("ports") or ()):
        if port.get("protocol", "TCP") != "TCP":
            continue
        for address, node in addresses(service, port, node_addresses).items():
            target = _target(service, index, slices, node)
            if target.endpoints and address not in target.endpoints:
                wanted[address] = target
    return {address: one for address, one in wanted.items() if _is_inside(address[0], networks)}


def _target(service: Mapping, index: int, slices: list[Mapping], node: str | None) -> Target:
    """What serves a port at an address of `node`: "" is the machine's own, None a virtual one."""
    spec = service["spec"]
    port, by_node, endpoints = spec["ports"][index], None, None
    if node is None and spec.get("internalTrafficPolicy") == "Local":
        by_node = {name: serving(port, slices, name) for name in _nodes(slices)}
    elif node and spec.get("externalTrafficPolicy") == "Local":
        endpoints = serving(port, slices, node)
    if endpoints is None:
        endpoints = serving(port, slices)
    return Target(port.get("name") or "", index, endpoints, by_node, affinity(service))


def _nodes(slices: list[Mapping]) -> set[str]:
    found = {end.get("nodeName") for slice_ in slices for end in slice_.get("endpoints") or ()}
    return found - {None}


def affinity(service: Mapping) -> int:
    """For how many seconds a client keeps its endpoint; 0 where it does not."""
    if service["spec"].get("sessionAffinity") != "ClientIP":
        return 0
    config = service["spec"].get("sessionAffinityConfig") or {}
    return (config.get("clientIP") or {}).get("timeoutSeconds") or 10800


def _is_inside(address: str, networks: Iterable[IPv4Network]) -> bool:
    try:
        ip = IPv4Address(address)
    except AddressValueError:
        return False
    return any(ip in network for network in networks)


def unsupported(service: Mapping, slices: Iterable[Mapping]) -> list[Mapping]:
    """Ports of other protocols than TCP that have endpoints which nobody would reach."""
    slices = list(slices)
    return [
        port
        for port in service["spec"].get("ports") or ()
        if port.get("protocol", "TCP") != "TCP"
        and set(serving(port, slices)) - set(addresses(service, port, {}))
        and has_cluster_ip(service)
    ]


def has_cluster_ip(service: Mapping) -> bool:
    """Whether the Service has a virtual address: neither headless nor ExternalName."""
    spec = service["spec"]
    return spec.get("type") != "ExternalName" and spec.get("clusterIP") not in (None, "", "None")


def addresses(
    service: Mapping, port: Mapping, node_addresses: Mapping[str, str]
) -> dict[Address, str | None]:
    """The addresses of one Service port, cluster IP first; for node ports with their node."""
    if not has_cluster_ip(service):
        return {}
    spec = service["spec"]
    balanced = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    virtual = [spec["clusterIP"], *(spec.get("externalIPs") or ())]
    virtual += [point["ip"] for point in balanced if point.get("ip")]
    found: dict[Address, str | None] = {(ip, port["port"]): None for ip in virtual}
    if port.get("nodePort"):
        found |= {(ip, port["nodePort"]): node for ip, node in node_addresses.items()}
    return found


def serving(
    port: Mapping, slices: Iterable[Mapping], node: str | None = None
) -> tuple[Address, ...]:
    """The endpoints that serve one Service port, sorted, each once; those on `node` if given."""
    ready: set[Address] = set()
    draining: set[Address] = set()
    for slice_, number in _ports(port, slices):
        for endpoint in slice_.get("endpoints") or ():
            group = _group(endpoint.get("conditions") or {}, ready, draining)
            if group is not None and node in (None, endpoint.get("nodeName")):
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
