"""Nodes that stop to answer, their Pods, their addresses; in virtual time."""

import asyncio

import pytest

from labkit.controllers.nodeipam import NodeIPAMController, allocate
from labkit.controllers.nodelifecycle import (
    LEASE_NAMESPACE,
    NodeLifecycleController,
    NodeLifecycleSettings,
)
from labkit.controllers.podgc import PodGCController, surplus
from labkit.controllers.tainteviction import TaintEvictionController
from labkit.kube import conditions
from labkit.kube.resources import LEASES, NODES, PODS

UNREACHABLE = "node.kubernetes.io/unreachable"
FIVE_MINUTES = {
    "key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
}  # fmt: skip


class Heartbeats:
    """Leases of nodes, renewed every 10 s while the node is in `alive`."""

    def __init__(self, world, *names):
        self.world, self.alive = world, set(names)
        self._task = asyncio.create_task(self._beat())

    async def _beat(self):
        leases = {}
        while True:
            for name in sorted(self.alive):
                spec = {"holderIdentity": name, "renewTime": self.world.clock.micro_timestamp()}
                meta = {"name": name, "namespace": LEASE_NAMESPACE}
                meta = leases[name]["metadata"] if name in leases else meta
                lease = {"metadata": meta, "spec": spec}
                leases[name] = await self.world.client.update(LEASES, lease)
            await asyncio.sleep(10)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def ready(world, name):
    return (conditions.get(await world.find(NODES, name), "Ready") or {}).get("status")


async def taints(world, name):
    node = await world.find(NODES, name)
    return {(t["key"], t["effect"]) for t in node["spec"].get("taints") or ()}


async def becomes(function, expected):
    return await function() == expected


def lifecycle(world, **settings):
    return NodeLifecycleController(
        world.client, world.clock, NodeLifecycleSettings(**settings)
    ), TaintEvictionController(world.client, world.clock)


@pytest.mark.looptime
async def test_a_node_that_stops_to_answer_is_tainted_and_its_pods_leave_in_time(virtual):
    async with virtual.world() as world, Heartbeats(world, "a", "b", "c") as hearts:
        for name in "abc":
            await world.node(name)
        async with virtual.run(*lifecycle(world)):
            pod = await world.pod("web", nodeName="a", tolerations=[FIVE_MINUTES])
            await world.run_pod(pod)
            await asyncio.sleep(100)
            assert await ready(world, "a") == "True"
            hearts.alive.discard("a")
            start = world.clock.now()
            await world.until(lambda: becomes(lambda: ready(world, "a"), "Unknown"), 90)
            assert 40 <= world.clock.now() - start <= 61
            await world.until(
                lambda: becomes(
                    lambda: taints(world, "a"),
                    {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")},
                )
            )
            silent = world.clock.now()
            pod = await world.find(PODS, "web")
            assert conditions.get(pod, "Ready")["status"] == "False"
            assert not pod["metadata"].get("deletionTimestamp")

            async def leaving():
                return (await world.find(PODS, "web"))["metadata"].get("deletionTimestamp")

            await world.until(leaving, 400)
            assert 298 <= world.clock.now() - silent <= 303
            target = conditions.get(await world.find(PODS, "web"), "DisruptionTarget")
            assert target["reason"] == "DeletionByTaintManager"
            assert await ready(world, "b") == "True"
            await asyncio.sleep(1)
            assert ("TaintManagerEviction", "Marking for deletion Pod default/web") in (
                await world.reasons("web")
            )
            assert ("NodeNotReady", "Node a status is now: NodeNotReady") in (
                await world.reasons("a")
            )  # fmt: skip


@pytest.mark.looptime
async def test_a_node_that_comes_back_in_time_keeps_its_pods(virtual):
    async with virtual.world() as world, Heartbeats(world, "a", "b") as hearts:
        for name in "ab":
            await world.node(name)
        async with virtual.run(*lifecycle(world)):
            await world.pod("web", nodeName="a", tolerations=[FIVE_MINUTES])
            hearts.alive.discard("a")
            await world.until(lambda: becomes(lambda: ready(world, "a"), "Unknown"), 90)
            await asyncio.sleep(100)
            hearts.alive.add("a")
            node = await world.find(NODES, "a")
            good = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
            await world.set_status(NODES, node, {"conditions": good})
            await world.until(lambda: becomes(lambda: taints(world, "a"), set()))
            await asyncio.sleep(400)
            assert not (await world.find(PODS, "web"))["metadata"].get("deletionTimestamp")
            assert ("TaintManagerEviction", "Cancelling deletion of Pod default/web") in (
                await world.reasons("web")
            )


@pytest.mark.looptime
async def test_nobody_is_evicted_when_all_nodes_fall_silent(virtual):
    async with virtual.world() as world, Heartbeats(world, "a", "b") as hearts:
        for name in "ab":
            await world.node(name)
        async with virtual.run(*lifecycle(world)):
            await world.pod("web", nodeName="a")
            await asyncio.sleep(20)
            hearts.alive.clear()
            await asyncio.sleep(600)
            assert await taints(world, "a") == {(UNREACHABLE, "NoSchedule")}
            assert not (await world.find(PODS, "web"))["metadata"].get("deletionTimestamp")


@pytest.mark.looptime
async def test_a_cordoned_node_is_tainted_too(virtual):
    async with virtual.world() as world, Heartbeats(world, "a"):
        await world.node("a")
        async with virtual.run(*lifecycle(world)):
            await world.client.patch(NODES, "a", {"spec": {"unschedulable": True}})
            cordoned = {("node.kubernetes.io/unschedulable", "NoSchedule")}
            await world.until(lambda: becomes(lambda: taints(world, "a"), cordoned))
            await world.client.patch(NODES, "a", {"spec": {"unschedulable": None}})
            await world.until(lambda: becomes(lambda: taints(world, "a"), set()))


@pytest.mark.looptime
async def test_a_no_execute_taint_evicts_at_once_who_does_not_tolerate_it(virtual):
    async with virtual.world() as world:
        await world.node("a")
        stays = {"key": "drain", "operator": "Exists"}
        await world.pod("leaves", nodeName="a")
        await world.pod("stays", nodeName="a", tolerations=[stays])
        async with virtual.run(TaintEvictionController(world.client, world.clock)):
            taint = {"key": "drain", "effect": "NoExecute"}
            await world.client.patch(NODES, "a", {"spec": {"taints": [taint]}})

            async def leaving():
                return (await world.find(PODS, "leaves"))["metadata"].get("deletionTimestamp")

            await world.until(leaving)
            assert not (await world.find(PODS, "stays"))["metadata"].get("deletionTimestamp")


@pytest.mark.looptime
async def test_pods_of_a_node_that_no_longer_exists_are_removed_after_the_quarantine(virtual):
    async with virtual.world() as world:
        await world.node("a")
        await world.node("b")
        await world.pod("lost", nodeName="a")
        await world.pod("kept", nodeName="b")
        async with virtual.run(PodGCController(world.client, world.clock)):
            await asyncio.sleep(30)
            await world.client.delete(NODES, "a")
            await asyncio.sleep(30)
            assert await world.find(PODS, "lost")

            async def gone():
                return await world.find(PODS, "lost") is None

            await world.until(gone, 60)
            assert await world.find(PODS, "kept")


def test_ended_pods_beyond_the_threshold_go_oldest_first():
    def pod(name, created, phase="Succeeded"):
        meta = {"name": name, "namespace": "d", "creationTimestamp": created}
        return {"metadata": meta, "spec": {}, "status": {"phase": phase}}

    pods = [
        pod("new", "3"),
        pod("old", "1"),
        pod("mid", "2", "Failed"),
        pod("runs", "0", "Running"),
    ]
    assert [each["metadata"]["name"] for each in surplus(pods, 1)] == ["old", "mid"]
    assert surplus(pods, 0) == []


def cidr(index):
    if index > 4:
        raise ValueError(index)
    return f"127.244.{index}.0/24"


@pytest.mark.parametrize(
    ("name", "taken", "index"),
    [
        pytest.param("lab-worker", [], 1, id="no number is the first"),
        pytest.param("lab-worker3", [], 3, id="its own number"),
        pytest.param("lab-worker3", [3], 1, id="its own is taken"),
        pytest.param("lab-worker3", [1, 2, 3], 4, id="the first free one"),
        pytest.param("lab-worker99", [], 1, id="a number beyond the last"),
        pytest.param("lab-worker", [1, 2, 3, 4], None, id="none is left"),
    ],
)
def test_a_node_gets_the_range_of_its_number_if_it_is_free(name, taken, index):
    expected = cidr(index) if index else None
    assert allocate(name, cidr, [cidr(each) for each in taken]) == expected


async def test_every_node_gets_its_own_range_and_keeps_it(world, running):
    await running(NodeIPAMController(world.client, world.clock, cidr))
    for name in ("w", "w2", "x"):
        await world.node(name)

    async def ranges():
        nodes = await world.items(NODES)
        return {n["metadata"]["name"]: n["spec"].get("podCIDR") for n in nodes}

    async def all_have_one():
        return all((await ranges()).values())

    await world.until(all_have_one)
    found = await ranges()
    assert sorted(found.values()) == [cidr(1), cidr(2), cidr(3)]
    assert found["w2"] == cidr(2)
    assert (await world.find(NODES, "w"))["spec"]["podCIDRs"] == [found["w"]]
