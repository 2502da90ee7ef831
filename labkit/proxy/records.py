"""What the cluster's DNS answers: a pure function from Services and EndpointSlices to records.

The zone is a tree of names: `_at` gives what is at a name, by record type, or None where there is
no such name.  All else follows from DNS itself: no name is NXDOMAIN, a name without records of the
wanted type is an empty answer, and both carry the zone's SOA, which says how long to remember it.

    web.shop.svc.cluster.local              the cluster IP; headless: all ready endpoints;
                                            SRV: all ports
    db-0.db.shop.svc.cluster.local          one endpoint of a Service, by its hostname
    127-244-1-2.web.shop.svc.cluster.local  one without a hostname, by its address
    _http._tcp.web.shop.svc.cluster.local   SRV: port number and host of a named port
    127-244-1-2.shop.pod.cluster.local      the address that it spells
    5.0.96.127.in-addr.arpa                 PTR: back from an address to the name

Source: Kubernetes DNS-Based Service Discovery, version 1.1.0; what it leaves open (weights, the
SOA, names of endpoints without a hostname or behind a cluster IP, SRV records of a Service's own
name) as CoreDNS does it.  Left out: IPv6 (no records, hence empty answers).  Names outside of the
zone are refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from labkit.kube import objects
from labkit.proxy import rules

SCHEMA_VERSION = "1.1.0"
TTL = 5  # seconds: CoreDNS' default, and as long as a client may believe in a Pod that is gone
_MAX_CHAIN = 8  # ExternalNames that point to each other


class Record(NamedTuple):
    """One resource record; names end in a dot."""

    name: str
    kind: str
    data: str


@dataclass(frozen=True, slots=True)
class Directory:
    """What is known of the cluster; `address` is the DNS server's own.

    All Pods and Services have addresses that begin like that one, so `reverse` is their zone.
    Keys of Services are `namespace/name`; the functions are indexes.
    """

    domain: str
    address: str
    services: Mapping[str, Mapping]
    namespaces: Mapping[str, Mapping]
    slices_of: Callable[[str], list[Mapping]]  # by the key of their Service
    services_at: Callable[[str], list[Mapping]]  # by cluster IP
    slices_with: Callable[[str], list[Mapping]]  # by the address of an endpoint

    @property
    def reverse(self) -> str:
        """The zone of names for addresses: `127.in-addr.arpa`."""
        return f"{self.address.partition('.')[0]}.in-addr.arpa"


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` is NOERROR, NXDOMAIN or REFUSED, in DNS' words."""

    code: str
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()


class _Offer(NamedTuple):
    """A port that can be connected to at a host: what an SRV record says."""

    name: str
    protocol: str
    port: int
    host: str


_Node = Mapping[str, list[str]]  # record type → data
_EMPTY: _Node = {}


def lookup(directory: Directory, name: str, kind: str, serial: int) -> Answer:
    """The answer to one question; `serial` is the version of the zone for its SOA."""
    name = name.lower().rstrip(".")
    zone = _zone(directory, name)
    if zone is None:
        return Answer("REFUSED")
    found, name = _follow_names(directory, name, kind)
    soa = (_soa(directory, zone, serial),)
    if _zone(directory, name) is None:
        return Answer("NOERROR", tuple(found))  # the rest is for another server
    node = _at(directory, name)
    if node is None:
        return Answer("NXDOMAIN", tuple(found), soa)
    if kind == "SOA" and name == zone:
        return Answer("NOERROR", soa)
    found += [Record(f"{name}.", kind, data) for data in node.get(kind, ())]
    return Answer("NOERROR", tuple(found), () if found else soa, tuple(_hosts(directory, found)))


def _follow_names(directory: Directory, name: str, kind: str) -> tuple[list[Record], str]:
    """The CNAMEs on the way, and the name at which the way ends."""
    found: list[Record] = []
    while kind != "CNAME" and len(found) < _MAX_CHAIN and _zone(directory, name):
        aliases = (_at(directory, name) or _EMPTY).get("CNAME")
        if not aliases:
            break
        found.append(Record(f"{name}.", "CNAME", aliases[0]))
        name = aliases[0].lower().rstrip(".")
    return found, name


def _hosts(directory: Directory, found: list[Record]) -> Iterator[Record]:
    """The addresses of what SRV records point to, which spare the client its next question."""
    for host in dict.fromkeys(each.data.split()[3] for each in found if each.kind == "SRV"):
        node = _at(directory, host.rstrip(".")) or _EMPTY
        for data in node.get("A", ()):
            yield Record(host, "A", data)


def _soa(directory: Directory, zone: str, serial: int) -> Record:
    server = f"ns.dns.{directory.domain}. hostmaster.{directory.domain}."
    return Record(f"{zone}.", "SOA", f"{server} {serial} 7200 1800 86400 {TTL}")


def _zone(directory: Directory, name: str) -> str | None:
    for zone in (directory.domain, directory.reverse):
        if name == zone or name.endswith(f".{zone}"):
            return zone
    return None


def _at(directory: Directory, name: str) -> _Node | None:
    """What is at a name inside of a zone, by record type; None where there is no such name."""
    if _zone(directory, name) == directory.reverse:
        return _at_reverse(directory, name)
    labels = tuple(name.removesuffix(directory.domain).rstrip(".").split("."))
    match labels:
        case ("",):
            return {"NS": [f"ns.dns.{directory.domain}."]}
        case ("dns-version",):
            return {"TXT": [f'"{SCHEMA_VERSION}"']}
        case ("ns", "dns"):
            return {"A": [directory.address]}
        case ("dns",) | ("svc",) | ("pod",):
            return _EMPTY
        case (namespace, "svc" | "pod"):
            return _EMPTY if namespace in directory.namespaces else None
        case (address, namespace, "pod"):
            return _at_pod(address) if namespace in directory.namespaces else None
        case (*_, _, _, "svc"):
            return _at_service(directory, labels)
    return None


def _at_pod(label: str) -> _Node | None:
    address = label.replace("-", ".")
    return {"A": [address]} if _is_address(address) else None


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _at_service(directory: Directory, labels: tuple[str, ...]) -> _Node | None:
    *below, name, namespace, _ = labels
    service = directory.services.get(f"{namespace}/{name}")
    if service is None:
        return None
    if service["spec"].get("type") == "ExternalName":
        target = service["spec"]["externalName"].rstrip(".")
        # An address is nobody's alias.
        return None if below or _is_address(target) else {"CNAME": [f"{target}."]}
    if len(below) == 1 and not below[0].startswith("_"):
        found = {address for host, address, _ in _ready(directory, service) if host == below[0]}
        return {"A": sorted(found)} if found else None
    if rules.has_cluster_ip(service):
        addresses, offers = [service["spec"]["clusterIP"]], _virtual(directory, service)
    else:
        addresses = sorted({address for _, address, _ in _ready(directory, service)})
        offers = _headless(directory, service)
    if below:
        return _at_port(below, offers)
    return {"A": addresses, "SRV": _srv(offers)} if addresses else None


def _virtual(directory: Directory, service: Mapping) -> list[_Offer]:
    """The ports of a Service with a cluster IP."""
    host = service_name(directory, service)
    return [
        _Offer(port.get("name") or "", port.get("protocol") or "TCP", port["port"], host)
        for port in service["spec"].get("ports") or ()
    ]


def _headless(directory: Directory, service: Mapping) -> list[_Offer]:
    """The ports of each ready endpoint."""
    name = service_name(directory, service)
    return [
        _Offer(
            port.get("name") or "", port.get("protocol") or "TCP", port["port"], f"{host}.{name}"
        )
        for host, _, ports in _ready(directory, service)
        for port in ports
        if port.get("port")
    ]


def _srv(offers: list[_Offer]) -> list[str]:
    return sorted({f"0 {100 // len(offers)} {one.port} {one.host}" for one in offers})


def _at_port(below: list[str], offers: list[_Offer]) -> _Node | None:
    """SRV records at `_port._proto`."""
    protocol = below[-1]
    of_protocol = [one for one in offers if one.name and protocol == f"_{one.protocol.lower()}"]
    if len(below) == 1:
        return _EMPTY if of_protocol else None
    found = _srv([one for one in of_protocol if below == [f"_{one.name}", protocol]])
    return {"SRV": found} if found else None


def _ready(directory: Directory, service: Mapping) -> Iterator[tuple[str, str, list]]:
    """(hostname, address, ports) of each ready endpoint."""
    for slice_ in directory.slices_of(objects.key(service)):
        if slice_.get("addressType", "IPv4") != "IPv4":
            continue
        for endpoint in slice_.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") in (True, None):
                yield hostname(endpoint), endpoint["addresses"][0], slice_.get("ports") or []


def hostname(endpoint: Mapping) -> str:
    """The label of an endpoint below its Service's: its hostname, else its address, dashed."""
    return endpoint.get("hostname") or endpoint["addresses"][0].replace(".", "-")


def service_name(directory: Directory, service: Mapping) -> str:
    """`web.shop.svc.cluster.local.`"""
    meta = service["metadata"]
    return f"{meta['name']}.{meta['namespace']}.svc.{directory.domain}."


def _at_reverse(directory: Directory, name: str) -> _Node | None:
    labels = name.removesuffix(".in-addr.arpa").split(".")
    if len(labels) < 4:
        return _EMPTY  # above the addresses: they may exist
    address = ".".join(reversed(labels))
    names = [service_name(directory, each) for each in directory.services_at(address)]
    names = names or sorted(set(_endpoint_names(directory, address)))
    return {"PTR": names} if names else None


def _endpoint_names(directory: Directory, address: str) -> Iterator[str]:
    """The names of a ready endpoint in the Services that it belongs to."""
    for slice_ in directory.slices_with(address):
        for key in rules.service_keys(slice_):
            service = directory.services.get(key)
            if service is None:
                continue
            for host, ip, _ in _ready(directory, service):
                if ip == address:
                    yield f"{host}.{service_name(directory, service)}"
