"""Rows of Services, Endpoints and EndpointSlices.

Source: printService, formatEndpoints, formatDiscoveryPorts and formatDiscoveryEndpoints in
pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labkit.apiserver.tables import format
from labkit.apiserver.tables.format import AGE, NAME, NONE, UNKNOWN, UNSET, Column, Printer, wide

_SHOWN_ADDRESSES = 3


def _service(obj: Mapping, now: float) -> list:
    spec = obj["spec"]
    addresses = spec.get("clusterIPs") or ()
    return [
        obj["metadata"]["name"],
        spec.get("type", ""),
        addresses[0] if addresses else NONE,
        _external(spec, obj.get("status") or {}),
        ",".join(_port(port) for port in spec.get("ports") or ()) or NONE,
        format.age(obj, now),
        format.labels(spec.get("selector")),
    ]


def _external(spec: Mapping, status: Mapping) -> str:
    external = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external) or NONE
        case "LoadBalancer":
            points = (status.get("loadBalancer") or {}).get("ingress") or ()
            given = sorted({p.get("ip") or p.get("hostname") or "" for p in points} - {""})
            return ",".join([*given, *external]) or "<pending>"
        case "ExternalName":
            return spec.get("externalName", "")
    return UNKNOWN


def _port(port: Mapping) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}"


def _endpoints(obj: Mapping, now: float) -> list:
    text = format.listed(_addresses(obj), _SHOWN_ADDRESSES, NONE if not obj.get("subsets") else "")
    return [obj["metadata"]["name"], text, format.age(obj, now)]


def _addresses(obj: Mapping) -> Iterator[str]:
    for subset in obj.get("subsets") or ():
        found = [address["ip"] for address in subset.get("addresses") or ()]
        if not subset.get("ports"):
            yield from found
        for port in subset.get("ports") or ():
            yield from (_host_port(address, port["port"]) for address in found)


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _endpoint_slice(obj: Mapping, now: float) -> list:
    ports = [str(p.get("port") or p.get("name") or "*") for p in obj.get("ports") or ()]
    addresses = [a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()]
    return [
        obj["metadata"]["name"],
        obj["addressType"],
        format.listed(ports, _SHOWN_ADDRESSES, UNSET),
        format.listed(addresses, _SHOWN_ADDRESSES, UNSET),
        format.age(obj, now),
    ]


SERVICE = Printer(
    (
        NAME,
        Column("Type"),
        Column("Cluster-IP"),
        Column("External-IP"),
        Column("Port(s)"),
        AGE,
        wide("Selector"),
    ),
    _service,
)
ENDPOINTS = Printer((NAME, Column("Endpoints"), AGE), _endpoints)
ENDPOINT_SLICE = Printer(
    (NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE), _endpoint_slice
)
