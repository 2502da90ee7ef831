"""Virtual nodes in a simulation: the contract, the notice and the reclaim of the live ones.

What sets them apart is the live kubelet's own code (`labkit.kubelet.elastic`); only the containers
are a model.  Each Pod has an account from when its containers run until they do not.

Source: `labkit.kubelet.virtual`, which names the providers that it follows, and their prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import Client, EventRecorder
from labkit.clock import Clock
from labkit.kubelet.elastic import Elastic
from labkit.kubelet.virtual import ON_DEMAND, TAINT, VirtualNode, cost
from labkit.simulate.nodes import ModelNodes
from labkit.simulate.prices import VIRTUAL, Account, Ledger

_NAMES = {ON_DEMAND: "virtual"}  # the others are called by their capacity type
_HOUR = 3600.0


class Instances:
    """The Pods of one virtual node: what `ModelNodes` asks of a node's provider."""

    def __init__(
        self, contract: VirtualNode, client: Client, clock: Clock, nodes: ModelNodes, ledger: Ledger
    ) -> None:
        self._contract, self._clock, self._ledger = contract, clock, ledger
        self.name = _NAMES.get(contract.capacity_type, contract.capacity_type)
        events = EventRecorder(client, clock, "kubelet", self.name)
        self._elastic = Elastic(
            contract, client, clock, self.name, events, nodes.evict, nodes.in_background
        )

    def wait(self, pod: Mapping) -> float:
        """Seconds until the Pod's instance is there."""
        return self._elastic.wait(pod)

    def seen(self, pod: Mapping, runs: bool) -> None:
        """The Pod's containers run, or none does."""
        uid, now = pod["metadata"]["uid"], self._clock.monotonic()
        if runs:
            hourly = cost(pod, self._contract.prices, _HOUR)
            kind = self._contract.capacity_type
            self._ledger.open(uid, Account(self.name, VIRTUAL, kind, hourly, now, now))
        else:
            self._ledger.close(uid, now)
        self._elastic.seen(pod, runs)

    def forget(self, uid: str) -> None:
        """The Pod is no more."""
        self._ledger.close(uid, self._clock.monotonic())
        self._elastic.forget(uid)


async def register(
    contracts: Iterable[VirtualNode],
    client: Client,
    clock: Clock,
    nodes: ModelNodes,
    ledger: Ledger,
) -> None:
    """Add a virtual node for each contract."""
    for contract in contracts:
        provider = Instances(contract, client, clock, nodes, ledger)
        await nodes.add(
            provider.name,
            contract.capacity,
            labels=contract.labels,
            taints=[TAINT],
            provider=provider,
        )
