"""Rows of Services, their endpoints, Ingresses, IngressClasses and NetworkPolicies.

Source: the functions of the same names in pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from labkit.apiserver.tables import format
from labkit.apiserver.tables.format import AGE, NAME, NONE, UNKNOWN, UNSET, Column, Printer, wide

_SHOWN_ADDRESSES = _SHOWN_HOSTS = 3


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
            return ",".join([*_points(points), *external]) or "<pending>"
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
        found = [address.get("ip", "") for address in subset.get("addresses") or ()]
        if not subset.get("ports"):
            yield from found
        for port in subset.get("ports") or ():
            yield from (_host_port(address, port.get("port", 0)) for address in found)


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


def _ingress(obj: Mapping, now: float) -> list:
    spec = obj["spec"]
    points = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [
        obj["metadata"]["name"],
        spec.get("ingressClassName", NONE),
        _hosts(spec.get("rules") or []),
        ",".join(_points(points)),
        "80, 443" if spec.get("tls") else "80",
        format.age(obj, now),
    ]


def _hosts(rules: list[Mapping]) -> str:
    """The first three hosts; all rules after the third of them, with hosts or not, are more."""
    places = [index for index, rule in enumerate(rules) if rule.get("host")][:_SHOWN_HOSTS]
    shown = ",".join(rules[index]["host"] for index in places) or "*"
    if len(places) < _SHOWN_HOSTS or places[-1] == len(rules) - 1:
        return shown
    return f"{shown} + {len(rules) - _SHOWN_HOSTS} more..."


def _points(points: Iterable[Mapping]) -> list[str]:
    return sorted({one.get("ip") or one.get("hostname") or "" for one in points} - {""})


def _ingress_class(obj: Mapping, now: float) -> list:
    spec = obj.get("spec") or {}
    parameters, shown = spec.get("parameters"), NONE
    if parameters:
        group = parameters.get("apiGroup")
        kind = parameters["kind"] + (f".{group}" if group is not None else "")
        shown = f"{kind}/{parameters['name']}"
    return [obj["metadata"]["name"], spec.get("controller", ""), shown, format.age(obj, now)]


def _network_policy(obj: Mapping, now: float) -> list:
    selector = (obj.get("spec") or {}).get("podSelector")
    return [obj["metadata"]["name"], format.selector(selector) or NONE, format.age(obj, now)]


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
INGRESS = Printer(
    (NAME, Column("Class"), Column("Hosts"), Column("Address"), Column("Ports"), AGE), _ingress
)
INGRESS_CLASS = Printer((NAME, Column("Controller"), Column("Parameters"), AGE), _ingress_class)
NETWORK_POLICY = Printer((NAME, Column("Pod-Selector"), AGE), _network_policy)
