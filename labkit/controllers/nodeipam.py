"""The node IPAM controller: every node gets a range of addresses for its Pods (`spec.podCIDR`).

Ranges are numbered from 1.  A node whose name ends in a number n gets the n-th range if it is free
(kind's names: `lab-worker`, `lab-worker2`, ...: a name without a number counts as 1), so that a
node and the addresses of its Pods are easy to match by eye; otherwise it gets the first free one.

Source: kube-controller-manager's nodeipam controller (RangeAllocator), which numbers by arrival.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from labkit.client import Client
from labkit.client.events import NORMAL
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube.resources import NODES

MOST_NODES = 10_000  # ranges that are tried before giving up


class NodeIPAMController(SharingController):
    """Gives nodes `pod_cidr(1)`, `pod_cidr(2)`, ...; a ValueError means that there are no more."""

    name = "node-ipam-controller"
    component = "cidrAllocator"
    workers = 1  # two at once could give the same range twice

    def __init__(
        self,
        client: Client,
        clock: Clock,
        pod_cidr: Callable[[int], str],
        informers: InformerFactory | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self._pod_cidr = pod_cidr
        self._nodes = self.watch(NODES)
        self._given: dict[str, str] = {}  # UID → range, of what the cache may not show yet

    async def reconcile(self, key: str) -> None:
        """Give one node its range, once and for ever."""
        node = self._nodes.store.get(key)
        self._forget_gone()
        if node is None or node["spec"].get("podCIDR") or node["metadata"]["uid"] in self._given:
            return
        cidr = allocate(key, self._pod_cidr, self._taken())
        if cidr is None:
            message = f"Node {key} status is now: CIDRNotAvailable"
            self.events.event(node, NORMAL, "CIDRNotAvailable", message)
            return
        self._given[node["metadata"]["uid"]] = cidr
        try:
            await self.client.patch(NODES, key, {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}})
        except BaseException:
            del self._given[node["metadata"]["uid"]]
            raise

    def _taken(self) -> set[str]:
        present = {node["spec"].get("podCIDR") for node in self._nodes.store.values()}
        return {cidr for cidr in present if cidr} | set(self._given.values())

    def _forget_gone(self) -> None:
        alive = {node["metadata"]["uid"] for node in self._nodes.store.values()}
        for uid in self._given.keys() - alive:
            del self._given[uid]


def allocate(name: str, pod_cidr: Callable[[int], str], taken: Iterable[str]) -> str | None:
    """The range for the node `name`, None if all are taken."""
    taken = set(taken)
    for index in (_number(name), *range(1, MOST_NODES)):
        try:
            cidr = pod_cidr(index)
        except ValueError:
            if index == _number(name):
                continue  # its own number is too large, smaller ones may do
            return None
        if cidr not in taken:
            return cidr
    return None


def _number(name: str) -> int:
    digits = re.search(r"[1-9]\d{0,5}$", name)
    return int(digits[0]) if digits else 1
