"""Addresses for the Pods of a node that shares its Docker network with other nodes.

Docker would give addresses of the whole network; a Pod's is to be one of its Node's spec.podCIDR.
So the kubelet picks it, as a CNI plugin does: the next free one after the last, so that an address
is not used again as soon as it is free.

Source: the CNI plugin host-local.  Unlike it, nothing is written down: who has an address is known
from the containers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Set

_FIRST = 2  # the network's own address is 0, and 1 is a bridge's on a real node


class NoAddress(OSError):
    """All addresses of the node are used."""


class AddressPool:
    """Picks addresses; an owner (a Pod's uid) has at most one that no container has yet."""

    def __init__(self) -> None:
        self._pending: dict[str, str] = {}
        self._last = _FIRST - 1

    def take(self, owner: str, cidr: str, used: Set[str]) -> str:
        """A free address of `cidr` for `owner`; `used` are those of containers.  NoAddress."""
        network = ipaddress.ip_network(cidr)
        self._pending.pop(owner, None)
        taken = used | set(self._pending.values())
        end = network.num_addresses - 1
        for number in (*range(self._last + 1, end), *range(_FIRST, self._last + 1)):
            address = str(network[number])
            if address not in taken:
                self._last = number
                self._pending[owner] = address
                return address
        raise NoAddress(
            "failed to allocate for range 0: no IP addresses available in range set: "
            f"{network[1]}-{network[-2]}"
        )

    def give_back(self, owner: str) -> None:
        """`owner` is gone."""
        self._pending.pop(owner, None)
