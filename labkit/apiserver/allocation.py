"""Addresses and ports of Services: which are free, and whose they become.

What is taken is what Services in the state have, and what writes that are under way have reserved;
there is no list of its own that could be wrong.  A node port that is given out must also be free on
the machine, which here has other users than this cluster.

Source: k8s.io/kubernetes pkg/registry/core/service (alloc.go, ipallocator, portallocator): the
messages, and that the lower sixteenth of the range is left to Services that name their address.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from labkit.apiserver import fields, statuses
from labkit.apiserver.fields import FieldError
from labkit.apiserver.registration import Registration
from labkit.apiserver.state import State
from labkit.client.errors import ApiError
from labkit.kube.resources import SERVICES

_WITH_PORTS = ("NodePort", "LoadBalancer")
_MIN_OFFSET, _MAX_OFFSET, _STEP = 16, 256, 16


class Allocator:
    """Gives addresses and ports to Services.

    `source` chooses among what is free; `port_free(port)` tells what the machine says.
    """

    def __init__(
        self,
        state: State,
        service_cidr: str,
        node_ports: tuple[int, int],
        port_free: Callable[[int], bool],
    ) -> None:
        self._state, self._node_ports, self._port_free = state, node_ports, port_free
        self._network = ipaddress.IPv4Network(service_cidr)
        self.first = str(self._network[1])
        self._reserved: set[str | int] = set()
        self._random = random.Random()

    @contextmanager
    def reserve(self, row: Registration, obj: dict, old: Mapping | None) -> Iterator[None]:
        """Complete a Service with what it needs, and keep that until its write has ended.

        Raises ApiError 422 for what is taken or out of range, 500 where nothing is free.
        """
        if row.resource != SERVICES:
            yield
            return
        errors: list[FieldError] = []
        spec, taken = obj["spec"], self._taken(obj)
        before = (old or {}).get("spec") or {}
        errors += self._address(spec, before, taken)
        errors += self._ports(spec, before, taken)
        if errors:
            raise statuses.invalid(row.resource, obj["metadata"].get("name", ""), errors)
        mine = _held(spec)
        self._reserved |= mine
        try:
            yield
        finally:
            self._reserved -= mine

    def _taken(self, service: Mapping) -> set[str | int]:
        """What all other Services have."""
        me = (service["metadata"].get("namespace"), service["metadata"].get("name"))
        taken = set(self._reserved)
        for item in self._state.of(SERVICES).items.values():
            meta = item.obj["metadata"]
            if (meta.get("namespace"), meta["name"]) != me:
                taken |= _held(item.obj["spec"])
        return taken

    def _address(self, spec: dict, before: Mapping, taken: set) -> list[FieldError]:
        if spec["type"] == "ExternalName":
            for name in ("clusterIP", "clusterIPs"):
                spec.pop(name, None)
            return []
        address = spec.get("clusterIP") or (spec.get("clusterIPs") or [""])[0]
        if not address and before.get("type") != "ExternalName":
            address = before.get("clusterIP") or ""
        wrong = self._refused(address, taken) if address != before.get("clusterIP") else ""
        if wrong:
            why = f"failed to allocate IP {address}: {wrong}"
            return [fields.invalid("spec.clusterIPs", [address], why)]
        spec["clusterIP"] = address or self._free_address(taken)
        spec["clusterIPs"] = [spec["clusterIP"]]
        return []

    def _refused(self, address: str, taken: set) -> str:
        """Why this address cannot be had; empty if it can."""
        if address in ("", "None"):
            return ""
        try:
            inside = ipaddress.IPv4Address(address) in self._network
        except ValueError:
            return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        if not inside:
            return (
                f"the provided IP ({address}) is not in the valid range. The range of valid IPs "
                f"is {self._network}"
            )
        return "provided IP is already allocated" if address in taken else ""

    def _free_address(self, taken: set) -> str:
        size = self._network.num_addresses - 2
        low = min(max(_MIN_OFFSET, size // _STEP), _MAX_OFFSET)
        first = low + 1 if size > low else 1
        start = self._random.randrange(first, size + 1)
        for number in [*range(start, size + 1), *range(first, start), *range(1, first)]:
            address = str(self._network[number])
            if address not in taken:
                return address
        raise _exhausted("failed to allocate a serviceIP: range is full")

    def _ports(self, spec: dict, before: Mapping, taken: set) -> list[FieldError]:
        """Node ports where the type has them; others lose those they had by a former type."""
        errors: list[FieldError] = []
        had = {_port_key(port): port.get("nodePort") for port in before.get("ports") or ()}
        mine: set[int] = set()
        for index, port in enumerate(spec.get("ports") or ()):
            if spec["type"] not in _WITH_PORTS:
                if port.get("nodePort") and port["nodePort"] == had.get(_port_key(port)):
                    del port["nodePort"]
                continue
            wanted = port.get("nodePort") or had.get(_port_key(port))
            if not wanted:
                wanted = self._free_port(taken | mine)
            elif wanted not in had.values():
                errors += self._refused_port(wanted, taken | mine, f"spec.ports[{index}].nodePort")
            port["nodePort"] = wanted
            mine.add(wanted)
        return errors

    def _refused_port(self, port: int, taken: set, path: str) -> list[FieldError]:
        low, high = self._node_ports
        if not low <= port <= high:
            why = "provided port is not in the valid range. The range of valid ports is "
            return [fields.invalid(path, port, f"{why}{low}-{high}")]
        if port in taken:
            return [fields.invalid(path, port, "provided port is already allocated")]
        return []

    def _free_port(self, taken: set) -> int:
        low, high = self._node_ports
        start = self._random.randrange(low, high + 1)
        for port in [*range(start, high + 1), *range(low, start)]:
            if port not in taken and self._port_free(port):
                return port
        raise _exhausted("failed to allocate a nodePort: range is full")


def _port_key(port: Mapping) -> tuple:
    return port.get("protocol"), port.get("port")


def _held(spec: Mapping) -> set[str | int]:
    """The addresses and node ports of a Service."""
    held: set[str | int] = {
        port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")
    }
    if spec.get("clusterIP") not in (None, "", "None"):
        held.add(spec["clusterIP"])
    return held


def _exhausted(why: str) -> ApiError:
    return statuses.internal(why)
