"""Machines that can be had: the cloud provider of a simulation, for the cluster autoscaler.

A machine that is ordered is paid for from then on, and registers its Node after a delay that is
drawn from a distribution: a virtual machine has to start, a kubelet to join.  One that is given
back is gone at once, and its Node with it; on a real cluster that is the cloud controller manager's
doing.

Left out: machines that never come, capacity that is sold out.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from labkit.clock import Clock
from labkit.controllers.cluster_autoscaler.settings import ClusterAutoscalerSettings
from labkit.errors import UsageError
from labkit.simulate.nodes import Delay, ModelNodes, node_object
from labkit.simulate.prices import AUTOSCALED, ON_DEMAND, Account, Ledger

_EXAMPLE = "An example: cluster_autoscaler: {min: 0, max: 5, price: 0.10}"


@dataclass(frozen=True, slots=True)
class Group:
    """Machines alike.  `price` is dollars per hour, `start` from the order to a Node that is ready.

    `min` of them are there from the beginning.
    """

    name: str = "workers"
    min: int = 0
    max: int = 10
    cpu: str = "2"
    memory: str = "4Gi"
    pods: str = "110"
    price: float = 0.0
    start: Delay = field(default_factory=lambda: Delay(90.0, 1.2))
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()

    @property
    def capacity(self) -> dict[str, str]:
        """status.capacity of each."""
        return {"cpu": self.cpu, "memory": self.memory, "pods": self.pods}


@dataclass(frozen=True, slots=True)
class ClusterAutoscaling:
    """A cluster autoscaler's node groups and flags."""

    groups: Sequence[Group]
    settings: ClusterAutoscalerSettings


def read(given: Mapping[str, Any], nodes: Mapping[str, Any]) -> ClusterAutoscaling:
    """`cluster_autoscaler` of a scenario: flags, and `groups` or what the only group has.

    What a group does not say is as in `nodes`, the scenario's fixed machines.  Raises UsageError.
    """
    flags = {one.name for one in fields(ClusterAutoscalerSettings)}
    alike = {name: nodes[name] for name in ("cpu", "memory", "pods", "price") if name in nodes}
    own = {name: part for name, part in given.items() if name not in flags and name != "groups"}
    groups = [_group({**alike, **own, **part}) for part in given.get("groups") or [{}]]
    if len({group.name for group in groups}) < len(groups):
        raise UsageError("Two node groups have the same name.", "Names tell them apart.", _EXAMPLE)
    settings = {name: part for name, part in given.items() if name in flags}
    return ClusterAutoscaling(groups, ClusterAutoscalerSettings(**settings))


def _group(given: dict[str, Any]) -> Group:
    known = [one.name for one in fields(Group)]
    for name in given:
        if name not in known:
            raise UsageError(
                f"There is no {name!r} in cluster_autoscaler.",
                f"A group has {', '.join(known)}; the rest are flags of the cluster autoscaler.",
                _EXAMPLE,
            )
    if "start" in given:
        start = given["start"]
        given["start"] = Delay(**start) if isinstance(start, Mapping) else Delay(float(start))
    group = Group(**given)
    if not 0 <= group.min <= group.max:
        raise UsageError(
            f"The group {group.name} cannot have {group.min} to {group.max} nodes.",
            "The minimum is above the maximum, or below 0.",
            _EXAMPLE,
        )
    return group


class MachineGroup:
    """A NodeGroup whose machines are a model's nodes."""

    def __init__(self, group: Group, cloud: Machines) -> None:
        self.id, self.min_size, self.max_size = group.name, group.min, group.max
        self._group, self._cloud = group, cloud
        self._target = self._number = 0

    def target_size(self) -> int:
        """How many there are to be, those under way included."""
        return self._target

    def template_node_info(self) -> Mapping:
        """The Node that a new machine would register."""
        group = self._group
        return node_object(f"{self.id}-template", group.capacity, group.labels, group.taints)

    async def increase_size(self, delta: int) -> None:
        """Order machines."""
        for name in self._order(delta):
            self._cloud.in_background(self._deliver(name))

    async def begin(self) -> None:
        """The machines that are there from the beginning."""
        for name in self._order(self.min_size):
            await self._cloud.register(name, self._group)

    def _order(self, count: int) -> list[str]:
        names = [f"{self.id}-{self._number + index + 1}" for index in range(count)]
        self._number += count
        self._target += count
        for name in names:
            self._cloud.take(name, self, self._group.price)
        return names

    async def _deliver(self, name: str) -> None:
        await self._cloud.boot(self._group.start)
        await self._cloud.register(name, self._group)

    async def delete_nodes(self, names: Sequence[str]) -> None:
        """Give machines back."""
        self._target -= len(names)
        for name in names:
            await self._cloud.give_back(name)


class Machines:
    """A CloudProvider: node groups, and the machines of each."""

    def __init__(
        self,
        groups: Collection[Group],
        nodes: ModelNodes,
        ledger: Ledger,
        clock: Clock,
        source: random.Random,
    ) -> None:
        self._nodes, self._ledger, self._clock, self._source = nodes, ledger, clock, source
        self._groups = [MachineGroup(group, self) for group in groups]
        self._owners: dict[str, MachineGroup] = {}
        self._tasks: set[asyncio.Task] = set()

    async def start(self) -> None:
        """Register the machines that are there from the beginning."""
        for group in self._groups:
            await group.begin()

    def node_groups(self) -> Sequence[MachineGroup]:
        """All groups."""
        return self._groups

    def node_group_for_node(self, name: str) -> MachineGroup | None:
        """The group of a Node."""
        return self._owners.get(name)

    def in_background(self, work: Coroutine) -> None:
        """Run `work` beside all else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take(self, name: str, owner: MachineGroup, price: float) -> None:
        """A machine is ordered, and costs from now on."""
        self._owners[name] = owner
        now = self._clock.monotonic()
        self._ledger.open(name, Account(name, AUTOSCALED, ON_DEMAND, price, now))

    async def boot(self, delay: Delay) -> None:
        """Wait as long as a machine takes to become a node."""
        await self._clock.sleep(delay.draw(self._source))

    async def register(self, name: str, group: Group) -> None:
        """A machine has become a node."""
        await self._nodes.add(name, group.capacity, labels=group.labels, taints=group.taints)
        self._ledger.ready(name, self._clock.monotonic())

    async def give_back(self, name: str) -> None:
        """A machine is no more."""
        await self._nodes.remove(name)
        del self._owners[name]
        self._ledger.close(name, self._clock.monotonic())
