"""A real API server in memory, a real client, real informers; what tests say of the world."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import pytest_asyncio

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import MemoryStore
from labkit.client import ApiError, Client
from labkit.clock import Clock, LoopClock
from labkit.kube.resources import (
    DEPLOYMENTS,
    EVENTS,
    NODES,
    PODS,
    REPLICA_SETS,
    Resource,
)

EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z
ADMIN = User("kubernetes-admin", ("system:masters",))
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "web", "image": "web:1"}]},
}


class World:
    """The API, seen by a test: shortcuts to make things and to wait until they are so."""

    def __init__(self, server: APIServer, clock: Clock) -> None:
        self.server, self.clock = server, clock
        self.client = Client(server.transport(ADMIN))

    async def until(self, holds: Callable[[], Awaitable[object]], seconds: float = 10.0) -> object:
        """What `holds()` gives once it is true; an AssertionError if that does not happen."""
        deadline, pause = self.clock.monotonic() + seconds, 0.005
        while not (last := await holds()):
            assert self.clock.monotonic() < deadline, f"never became true: {holds}"
            await asyncio.sleep(pause)
            pause = min(pause * 1.1, 0.2)
        return last

    async def settled(self, turns: int = 50) -> None:
        """Let everything that is under way go on for a while."""
        for _ in range(turns):
            await asyncio.sleep(0.001)

    async def items(self, resource: Resource, selector: str = "") -> list[dict]:
        return (await self.client.list(resource, label_selector=selector))["items"]

    async def find(self, resource: Resource, name: str, namespace: str | None = "default"):
        """The object or None."""
        try:
            return await self.client.get(resource, name, namespace if resource.namespaced else None)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def pods(self, selector: str = "") -> list[dict]:
        return await self.items(PODS, selector)

    async def reasons(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of the Events of the object of that name."""
        events = await self.items(EVENTS)
        return [
            (event["reason"], event["message"])
            for event in events
            if event["involvedObject"]["name"] == name
        ]

    async def deployment(self, name: str = "web", replicas: int = 3, **spec: object) -> dict:
        return await self.client.create(
            DEPLOYMENTS,
            {
                "metadata": {"name": name, "namespace": "default"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": TEMPLATE,
                    **spec,
                },
            },
        )

    async def replica_set(self, name: str = "web", replicas: int = 3, **spec: object) -> dict:
        return await self.client.create(
            REPLICA_SETS,
            {
                "metadata": {"name": name, "namespace": "default"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": TEMPLATE,
                    **spec,
                },
            },
        )

    async def pod(self, name: str = "one", labels: dict | None = None, **spec: object) -> dict:
        return await self.client.create(
            PODS,
            {
                "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
                "spec": {**TEMPLATE["spec"], **spec},
            },
        )

    async def node(self, name: str, cpu: str = "4", memory: str = "8Gi", **spec: object) -> dict:
        size = {"cpu": cpu, "memory": memory, "pods": "110"}
        node = await self.client.create(
            NODES,
            {
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "spec": spec,
            },
        )
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        status = {"capacity": size, "allocatable": size, "conditions": [ready]}
        return await self.client.update(NODES, {**node, "status": status}, "status")

    async def set_status(self, resource: Resource, obj: dict, status: dict) -> dict:
        """Write the status of the newest version of `obj`."""
        meta = obj["metadata"]
        patch = {"status": status}
        return await self.client.patch(
            resource, meta["name"], patch, meta.get("namespace"), subresource="status"
        )

    async def run_pod(self, pod: dict, ready: bool = True, ip: str = "127.244.1.9") -> dict:
        """What a kubelet says of a Pod that runs."""
        now = self.clock.timestamp()
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": now}
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}
        return await self.set_status(PODS, pod, {**status, "conditions": [condition]})


class Kubelets:
    """All kubelets at once: Pods become ready, and Pods that are being deleted go.

    Pods wait in `hold(pod)` → True; a Pod that is terminating stays while `keep` is True.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.hold: Callable[[dict], bool] = lambda pod: False
        self.keep = False
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            for pod in await self.world.pods():
                try:
                    await self._look(pod)
                except ApiError as error:
                    if not error.not_found and not error.conflict:
                        raise
            await asyncio.sleep(0.01)

    async def _look(self, pod: dict) -> None:
        meta = pod["metadata"]
        if meta.get("deletionTimestamp"):
            if not self.keep:
                await self.world.client.delete(
                    PODS, meta["name"], meta["namespace"], grace_period_seconds=0, uid=meta["uid"]
                )
        elif pod["status"].get("phase") == "Pending" and not self.hold(pod):
            await self.world.run_pod(pod)


@asynccontextmanager
async def new_world():
    clock = LoopClock(EPOCH)
    server = APIServer(MemoryStore(), clock, service_cidr="127.96.0.0/16")
    await server.start()
    yield World(server, clock)
    await server.stop()


@asynccontextmanager
async def kubelets_of(world: World):
    kubelets = Kubelets(world)
    yield kubelets
    await kubelets.stop()


@asynccontextmanager
async def run(*controllers):
    for controller in controllers:
        await controller.start()
    yield controllers
    for controller in reversed(controllers):
        await controller.stop()


@pytest.fixture
def virtual():
    """Builds a world whose time is virtual, in a test marked looptime.

    Time is virtual in the test's body only: worlds, controllers and kubelets are made there, with
    `virtual.world()`, `virtual.kubelets(world)` and `virtual.run(controllers)`.
    """
    return SimpleNamespace(world=new_world, kubelets=kubelets_of, run=run)


@pytest_asyncio.fixture
async def world():
    async with new_world() as world:
        yield world


@pytest_asyncio.fixture
async def kubelets(world: World):
    async with kubelets_of(world) as kubelets:
        yield kubelets


@pytest_asyncio.fixture
async def running():
    """`await running(controller)` starts it and stops it after the test."""
    started = []

    async def start(controller):
        started.append(controller)
        await controller.start()
        return controller

    yield start
    for controller in reversed(started):
        await controller.stop()


@pytest.fixture
def template() -> dict:
    return TEMPLATE
