"""The control plane of a simulation: the very parts of a live cluster, on a virtual clock.

API server, controllers and scheduler are the same objects that `labkit up` starts; they get a
clock that is virtual, a store in memory, and nodes that are a model.  The metrics API is the
metrics-server's own arithmetic over what the model says that Pods have used.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import MemoryStore
from labkit.client import Client
from labkit.client.errors import status_error
from labkit.clock import Clock
from labkit.controllers.cluster_autoscaler import ClusterAutoscaler
from labkit.controllers.manager import ControllerManager
from labkit.kube import names
from labkit.metrics.exposition import Batch
from labkit.metrics.resource_api import GROUP, VERSION, ResourceMetrics
from labkit.metrics.storage import Storage
from labkit.scheduler import Scheduler
from labkit.scheduler.snapshot import Snapshot
from labkit.simulate.census import Census
from labkit.simulate.machines import ClusterAutoscaling, Machines
from labkit.simulate.nodes import ModelNodes
from labkit.simulate.prices import FIXED, ON_DEMAND, Account, Ledger
from labkit.simulate.scenario import Scenario, settings

_MASTERS = ("system:masters",)


class SimulatedCluster:
    """Everything but the application; `usage` tells what all Pods have used, `census` counts."""

    def __init__(
        self, scenario: Scenario, clock: Clock, usage: Callable[[], Batch], census: Census
    ) -> None:
        self._scenario, self._clock, self._usage = scenario, clock, usage
        self._census = census
        source = random.Random(scenario.seed)
        names.seed(source.getrandbits(64))
        self.api = APIServer(MemoryStore(), clock, service_cidr="10.96.0.0/12")
        self.client = self._client("simulation")
        chosen = settings(scenario.settings)
        self._resolution = chosen.metric_resolution
        self.controllers = ControllerManager(self._client("kube-controller-manager"), clock, chosen)
        self.scheduler = Scheduler(
            self._client("kube-scheduler"), clock, source=random.Random(source.getrandbits(64))
        )
        self.nodes = ModelNodes(
            self._client("kubelet"),
            clock,
            random.Random(source.getrandbits(64)),
            start=scenario.start,
            stop=scenario.stop,
        )
        self.nodes.follow(census.changed)
        self.ledger = Ledger()
        self._machines: Machines | None = None
        self.cluster_autoscaler: ClusterAutoscaler | None = None
        if scenario.cluster_autoscaler:
            self._scale_machines(scenario.cluster_autoscaler, source)
        self._storage = Storage(self._resolution)
        self._metrics = ResourceMetrics(self._storage, self.nodes.pods, {})
        self._metrics_missing_until = 0.0
        self._task: asyncio.Task | None = None

    def _client(self, name: str) -> Client:
        return Client(self.api.transport(User(f"system:{name}", _MASTERS), name))

    async def start(self) -> None:
        """Start every part, and the nodes."""
        await self.api.start()
        self.api.aggregate(GROUP, VERSION, self._answer)
        await self.controllers.start()
        await self.scheduler.start()
        await self.nodes.start()
        for number in range(1, self._scenario.nodes.count + 1):
            await self._add_fixed(f"node-{number}")
        if self._scenario.virtual_nodes:
            await self._add_virtual()
        if self._machines:
            await self._machines.start()
            await self.cluster_autoscaler.start()
        self._task = asyncio.create_task(self._scrape(self._resolution), name="metrics-server")

    def _scale_machines(self, wanted: ClusterAutoscaling, source: random.Random) -> None:
        chances = random.Random(source.getrandbits(64))
        self._machines = Machines(wanted.groups, self.nodes, self.ledger, self._clock, chances)
        self.cluster_autoscaler = ClusterAutoscaler(
            self._client("cluster-autoscaler"),
            self._clock,
            self._machines,
            Snapshot(),
            wanted.settings,
            self.controllers.informers,
            source=random.Random(source.getrandbits(64)),
        )

    async def _add_fixed(self, name: str) -> None:
        nodes, now = self._scenario.nodes, self._clock.monotonic()
        await self.nodes.add(name, nodes.capacity)
        self.ledger.open(name, Account(name, FIXED, ON_DEMAND, nodes.price, now, now))

    async def _add_virtual(self) -> None:
        from labkit.simulate import virtual_nodes

        contracts, client = self._scenario.virtual_nodes, self._client("kubelet")
        await virtual_nodes.register(contracts, client, self._clock, self.nodes, self.ledger)

    def measure_after(self, seconds: float) -> None:
        """Measure all Pods then, and from then on in the usual rhythm."""
        self._task.cancel()
        self._task = asyncio.create_task(self._scrape(seconds), name="metrics-server")

    async def _scrape(self, first: float) -> None:
        pause = first
        while True:
            await self._clock.sleep(pause)
            pause = self._resolution
            self._storage.store(self._usage())
            listed = self._metrics.answer(f"/apis/{GROUP}/{VERSION}/pods", {}, "")
            self._census.measured(listed["items"])

    def miss_metrics(self, seconds: float) -> None:
        """The metrics API does not answer, for so many seconds from now."""
        self._metrics_missing_until = self._clock.monotonic() + seconds

    async def _answer(self, path: str, params: Mapping[str, str]) -> dict:
        if self._clock.monotonic() < self._metrics_missing_until:
            message = "the server is currently unable to handle the request"
            raise status_error(503, "ServiceUnavailable", message)
        return self._metrics.answer(path, params, self._clock.timestamp())
