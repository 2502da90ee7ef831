"""Networks: subnets of the loopback range, and their addresses.

On Linux every address of 127.0.0.0/8 is on the loopback interface, and any process may listen on
any of them.  So a network is only a book of who has which address.  A container that is told its
own (`HOST`) can listen there on any port, whatever its neighbours listen on.

Invariants: an address is handed to one container at a time; an address given back is not handed out
again before all others of its network have been (a client that still has the old one must not
reach a new container).

Left out compared with Docker's bridge driver: isolation between networks, DNS by container name,
IPv6, several networks for one container.
"""

from __future__ import annotations

import ipaddress
import secrets
from typing import Any

from labkit.engine.errors import BadParameter, Conflict, EngineError, Forbidden, NotFound
from labkit.engine.filters import Filters, found
from labkit.engine.timestamps import parse

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
OWN_SUBNETS = "127.245.{}.0/24"  # for networks that are created without a subnet
PREDEFINED = ("bridge", "host", "none")


class Network:
    """One network: its subnet (None for `host` and `none`) and the addresses in use."""

    def __init__(
        self, name: str, subnet: str | None, driver: str, labels: dict[str, str], created: str
    ) -> None:
        self.name, self.driver, self.labels, self.created = name, driver, labels, created
        self.id = secrets.token_hex(32)
        self.subnet = ipaddress.ip_network(subnet) if subnet else None
        self.holders: dict[str, str] = {}  # address -> id of the container
        self._next = 2  # .0 is the network, .1 the gateway

    @property
    def gateway(self) -> str:
        return str(self.subnet[1]) if self.subnet else ""

    @property
    def prefix(self) -> int:
        return self.subnet.prefixlen if self.subnet else 0

    def take(self, container: str, wanted: str = "") -> str:
        """An address for `container`: the one it asks for, else the next free one; "" if none."""
        if self.subnet is None:
            return ""
        address = self._check(wanted) if wanted else self._free()
        self.holders[address] = container
        return address

    def _check(self, wanted: str) -> str:
        try:
            inside = ipaddress.ip_address(wanted) in self.subnet
        except ValueError:
            raise BadParameter(f"invalid IPv4 address: {wanted}") from None
        if not inside:
            raise BadParameter(f"no configured subnet contains IP address {wanted}")
        if wanted in self.holders or wanted == self.gateway:
            raise Forbidden("Address already in use")
        return wanted

    def _free(self) -> str:
        last = self.subnet.num_addresses - 2  # the one after it is the broadcast address
        for _ in range(last - 1):
            address = str(self.subnet[self._next])
            self._next = self._next + 1 if self._next < last else 2
            if address not in self.holders:
                return address
        raise Forbidden("no available IPv4 addresses on this network's address pools: " + self.name)

    def give_back(self, address: str) -> None:
        self.holders.pop(address, None)

    def view(self, names: dict[str, str] | None = None) -> dict[str, Any]:
        """The API's JSON; `names` maps ids of containers to names, for the detailed form."""
        config = [{"Subnet": str(self.subnet), "Gateway": self.gateway}] if self.subnet else []
        containers = {
            holder: {
                "Name": (names or {}).get(holder, ""),
                "EndpointID": "",
                "MacAddress": "",
                "IPv4Address": f"{address}/{self.prefix}",
                "IPv6Address": "",
            }
            for address, holder in self.holders.items()
            if names is not None
        }
        return {
            "Name": self.name,
            "Id": self.id,
            "Created": self.created,
            "Scope": "local",
            "Driver": self.driver,
            "EnableIPv6": False,
            "IPAM": {"Driver": "default", "Options": None, "Config": config},
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": containers,
            "Options": {},
            "Labels": self.labels,
        }


class Networks:
    """All networks of one engine."""

    def __init__(self, bridge_subnet: str, created: str) -> None:
        bridge = Network("bridge", bridge_subnet, "bridge", {}, created)
        host = Network("host", None, "host", {}, created)
        none = Network("none", None, "null", {}, created)
        self._all = {network.id: network for network in (bridge, host, none)}

    def find(self, name: str) -> Network:
        """By name, id or the id's beginning; `default` is the bridge.  Raises NotFound."""
        name = "bridge" if name in ("", "default") else name
        for network in self._all.values():
            if name in (network.name, network.id):
                return network
        for network in self._all.values():
            if network.id.startswith(name):
                return network
        raise NotFound(f"network {name} not found")

    def create(self, body: dict[str, Any], created: str) -> Network:
        """The request of `POST /networks/create` → the new network."""
        name = body.get("Name") or ""
        if not name:
            raise BadParameter("network name is required")
        if any(network.name == name for network in self._all.values()):
            raise Conflict(f"network with name {name} already exists")
        if body.get("Driver") not in (None, "", "bridge", "default"):
            raise NotFound(f'plugin "{body["Driver"]}" not found')
        configs = (body.get("IPAM") or {}).get("Config") or [{}]
        subnet = self._subnet(configs[0].get("Subnet") or "")
        network = Network(name, subnet, "bridge", body.get("Labels") or {}, created)
        self._all[network.id] = network
        return network

    def _subnet(self, wanted: str) -> str:
        if not wanted:
            candidates = (OWN_SUBNETS.format(number) for number in range(256))
            return next(subnet for subnet in candidates if not self._overlaps(subnet))
        try:
            subnet = ipaddress.ip_network(wanted)
        except ValueError:
            raise EngineError(f"Invalid subnet {wanted} : invalid CIDR address: {wanted}") from None
        if subnet.version != 4 or not subnet.subnet_of(LOOPBACK):
            raise BadParameter(
                f"The subnet {wanted} is not inside 127.0.0.0/8. The embedded engine's containers "
                "are processes of this machine and have only its loopback addresses. "
                "Ask for a subnet like 127.245.7.0/24."
            )
        if self._overlaps(wanted):
            raise Forbidden("Pool overlaps with other one on this address space")
        return wanted

    def _overlaps(self, subnet: str) -> bool:
        wanted = ipaddress.ip_network(subnet)
        return any(n.subnet is not None and n.subnet.overlaps(wanted) for n in self._all.values())

    def remove(self, name: str) -> Network:
        """Raises NotFound, and Forbidden for one that is predefined or in use."""
        network = self.find(name)
        if network.name in PREDEFINED:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if network.holders:
            raise Forbidden(
                f"error while removing network: network {network.name} id {network.id} "
                "has active endpoints"
            )
        del self._all[network.id]
        return network

    def prune(self, filters: Filters, until: float) -> list[Network]:
        """Remove the networks that nobody is in; `until` in Unix seconds."""
        unused = [
            network
            for network in self._all.values()
            if network.name not in PREDEFINED
            and not network.holders
            and filters.allows_labels(network.labels)
            and parse(network.created) <= until
        ]
        for network in unused:
            del self._all[network.id]
        return unused

    def list(self, filters: Filters) -> list[dict[str, Any]]:
        """The answer of `GET /networks`."""
        return [
            network.view()
            for network in self._all.values()
            if filters.allows("name", lambda want, n=network: found(want, n.name))
            and filters.allows("id", lambda want, n=network: n.id.startswith(want))
            and filters.allows("driver", lambda want, n=network: want == n.driver)
            and filters.allows_labels(network.labels)
        ]
