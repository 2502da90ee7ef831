"""All controllers together, with the scheduler, as a cluster runs them."""

import asyncio

import pytest

from labkit.controllers.manager import ControllerManager, ControllerManagerSettings
from labkit.controllers.telemetry import queue_name
from labkit.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from labkit.scheduler import Scheduler


def cidr(index):
    return f"127.244.{index}.0/24"


@pytest.fixture
async def cluster(world, running, kubelets):
    manager = ControllerManager(world.client, world.clock, pod_cidr=cidr, root_ca="PEM")
    await running(manager)
    await running(Scheduler(world.client, world.clock))
    for name in ("lab-worker", "lab-worker2", "lab-worker3"):
        await world.node(name)
    return manager


async def test_a_deployment_behind_a_service_from_birth_to_death(world, cluster):
    await world.client.create(
        SERVICES,
        {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        },
    )
    await world.deployment(replicas=6)

    async def serving():
        slices = await world.items(ENDPOINT_SLICES, "kubernetes.io/service-name=web")
        found = [each for s in slices for each in s.get("endpoints") or ()]
        ready = [each for each in found if each["conditions"]["ready"]]
        return [each["nodeName"] for each in ready] if len(ready) == 6 else None

    nodes = await world.until(serving)
    assert sorted(nodes) == sorted(["lab-worker", "lab-worker2", "lab-worker3"] * 2)
    await world.client.delete(DEPLOYMENTS, "web", "default", propagation_policy="Foreground")

    async def gone():
        found = [await world.items(kind) for kind in (DEPLOYMENTS, REPLICA_SETS, PODS)]
        return not any(found)

    await world.until(gone)


async def test_deleting_a_deployment_in_the_background_takes_all_with_it(world, cluster):
    await world.deployment(replicas=3)

    async def running_pods():
        return len(await world.pods()) == 3

    await world.until(running_pods)
    await world.client.delete(DEPLOYMENTS, "web", "default", propagation_policy="Background")

    async def gone():
        return not await world.items(REPLICA_SETS) and not await world.pods()

    await world.until(gone)


async def test_orphaned_pods_are_adopted_by_the_next_deployment(world, cluster):
    await world.deployment(replicas=3)

    async def available():
        deployment = await world.find(DEPLOYMENTS, "web")
        status = (deployment or {}).get("status") or {}
        return status.get("availableReplicas") == 3 and deployment

    await world.until(available)
    before = {pod["metadata"]["uid"] for pod in await world.pods()}
    await world.client.delete(DEPLOYMENTS, "web", "default", propagation_policy="Orphan")

    async def gone():
        return await world.find(DEPLOYMENTS, "web") is None

    await world.until(gone)
    assert {pod["metadata"]["uid"] for pod in await world.pods()} == before
    await world.deployment(replicas=3)
    await world.until(available)
    assert {pod["metadata"]["uid"] for pod in await world.pods()} == before


async def test_a_namespace_with_a_deployment_can_be_deleted(world, cluster, template):
    await world.client.create(NAMESPACES, {"metadata": {"name": "shop"}})

    async def furnished():
        both = [
            await world.find(SERVICE_ACCOUNTS, "default", "shop"),
            await world.find(CONFIG_MAPS, "kube-root-ca.crt", "shop"),
        ]
        return all(both)

    await world.until(furnished)
    meta = {"name": "web", "namespace": "shop"}
    selector = {"matchLabels": {"app": "web"}}
    spec = {"replicas": 2, "selector": selector, "template": template}
    await world.client.create(DEPLOYMENTS, {"metadata": meta, "spec": spec})

    async def running_pods():
        return len(await world.pods()) == 2

    await world.until(running_pods)
    await world.client.delete(NAMESPACES, "shop")

    async def gone():
        return await world.find(NAMESPACES, "shop", None) is None

    await world.until(gone, 20)
    assert await world.pods() == []


async def test_nodes_get_their_addresses_by_number(world, cluster):
    async def ranges():
        nodes = await world.items(NODES)
        found = {n["metadata"]["name"]: n["spec"].get("podCIDR") for n in nodes}
        return found if all(found.values()) else None

    assert await world.until(ranges) == {
        "lab-worker": cidr(1),
        "lab-worker2": cidr(2),
        "lab-worker3": cidr(3),
    }


async def test_a_stopped_manager_leaves_no_task_behind(world):
    before = asyncio.all_tasks()
    manager = ControllerManager(world.client, world.clock, pod_cidr=cidr, root_ca="PEM")
    scheduler = Scheduler(world.client, world.clock)
    await manager.start()
    await scheduler.start()
    await world.node("n1")
    await world.deployment(replicas=2)
    await world.settled(20)
    await manager.stop()
    await scheduler.stop()
    await manager.stop()
    await world.settled(5)
    assert asyncio.all_tasks() - before == set()


def test_settings_have_upstreams_names_and_defaults():
    settings = ControllerManagerSettings()
    assert settings.node_monitor_grace_period == 50
    assert settings.horizontal_pod_autoscaler_sync_period == 15
    assert settings.terminated_pod_gc_threshold == 12500
    assert ControllerManagerSettings(node_monitor_period=1).node_monitor_period == 1


def test_queues_have_upstreams_names():
    expected = {
        "deployment-controller": "deployment",
        "endpointslice-controller": "endpoint_slice",
        "node-lifecycle-controller": "node_lifecycle_controller",
    }
    assert {name: queue_name(name) for name in expected} == expected
