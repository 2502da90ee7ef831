"""The scheduler against a real API server in memory."""

import random

import pytest

from labkit.kube import conditions
from labkit.kube.resources import NODES, PODS
from labkit.scheduler import Scheduler


@pytest.fixture
async def scheduler(world, running):
    return await running(Scheduler(world.client, world.clock, source=random.Random(1)))


async def bound(world, count):
    """{pod: node} once so many Pods are bound."""

    async def holds():
        pods = await world.pods()
        found = {
            p["metadata"]["name"]: p["spec"]["nodeName"] for p in pods if p["spec"].get("nodeName")
        }
        return (found or True) if len(found) == count else None

    return await world.until(holds)


async def unschedulable(world, name="one"):
    """The condition PodScheduled once it is False."""

    async def holds():
        condition = conditions.get(await world.find(PODS, name), "PodScheduled")
        return condition if condition and condition["status"] == "False" else None

    return await world.until(holds)


def asking(cpu):
    return [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]


async def test_a_pod_is_bound_and_told_so(world, scheduler):
    await world.node("n1")
    await world.pod("one")
    assert await bound(world, 1) == {"one": "n1"}
    assert conditions.is_true(await world.find(PODS, "one"), "PodScheduled")

    async def told():
        return await world.reasons("one") == [
            ("Scheduled", "Successfully assigned default/one to n1")
        ]

    await world.until(told)


async def test_a_burst_of_pods_never_overfills_a_node(world, scheduler):
    for name in ("n1", "n2"):
        await world.node(name, cpu="1")
    for number in range(12):
        await world.pod(f"p{number}", containers=asking("200m"))
    found = await bound(world, 10)
    assert sorted(found.values()) == ["n1"] * 5 + ["n2"] * 5
    await world.settled()
    assert len(await bound(world, 10)) == 10


async def test_a_pod_that_fits_nowhere_says_why_and_goes_when_a_node_comes(world, scheduler):
    await world.node("small", cpu="1")
    await world.pod("one", containers=asking("2"))
    condition = await unschedulable(world)
    assert condition["reason"] == "Unschedulable"
    assert condition["message"] == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        "1 Preemption is not helpful for scheduling."
    )

    async def told():
        return ("FailedScheduling", condition["message"]) in await world.reasons("one")

    await world.until(told)
    await world.node("large", cpu="4")
    assert await bound(world, 1) == {"one": "large"}
    assert conditions.is_true(await world.find(PODS, "one"), "PodScheduled")


async def test_a_pod_that_waits_goes_when_another_leaves(world, scheduler):
    await world.node("n1", cpu="1")
    await world.pod("first", containers=asking("1"))
    await bound(world, 1)
    await world.pod("one", containers=asking("1"))
    await unschedulable(world)
    await world.client.delete(PODS, "first", "default", grace_period_seconds=0)
    assert await bound(world, 1) == {"one": "n1"}


async def test_a_cordoned_node_takes_nobody_until_it_is_uncordoned(world, scheduler):
    await world.node("n1", unschedulable=True)
    await world.pod("one")
    assert "1 node(s) were unschedulable" in (await unschedulable(world))["message"]
    await world.client.patch(NODES, "n1", {"spec": {"unschedulable": None}})
    await bound(world, 1)


async def test_another_schedulers_pods_are_left_alone(world, scheduler):
    await world.node("n1")
    await world.pod("theirs", schedulerName="other")
    await world.pod("ours")
    assert await bound(world, 1) == {"ours": "n1"}
    await world.settled()
    assert await bound(world, 1) == {"ours": "n1"}


async def test_pods_that_others_bound_take_their_room(world, scheduler):
    await world.node("n1", cpu="1")
    await world.pod("theirs", nodeName="n1", containers=asking("1"))
    await world.pod("one", containers=asking("1"))
    assert "Insufficient cpu" in (await unschedulable(world))["message"]


async def test_a_pod_that_was_bound_by_another_first_is_not_bound_twice(world, running):
    for name in ("n1", "n2"):
        await world.node(name)
    first = Scheduler(world.client, world.clock, source=random.Random(1))
    second = Scheduler(world.client, world.clock, source=random.Random(2))
    await running(first)
    await running(second)
    for number in range(20):
        await world.pod(f"p{number}")
    found = await bound(world, 20)
    await world.settled()
    assert await bound(world, 20) == found
    for cache in (first.cache, second.cache):
        assert sum(len(info.pods) for info in cache.infos.values()) == 20


async def test_a_restarted_scheduler_counts_what_is_there(world):
    await world.node("n1", cpu="1")
    await world.pod("first", containers=asking("600m"))
    first = Scheduler(world.client, world.clock)
    await first.start()
    await bound(world, 1)
    await first.stop()
    await world.pod("one", containers=asking("600m"))
    second = Scheduler(world.client, world.clock)
    await second.start()
    assert "Insufficient cpu" in (await unschedulable(world))["message"]
    await second.stop()
    await second.stop()


async def test_replicas_of_a_replica_set_spread_over_nodes(world, scheduler):
    for name in ("n1", "n2", "n3"):
        await world.node(name)
    owner = await world.replica_set(replicas=0)
    reference = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
        "uid": owner["metadata"]["uid"], "controller": True,
    }  # fmt: skip
    await world.settled(5)
    for number in range(6):
        meta = {
            "name": f"p{number}", "namespace": "default", "labels": {"app": "web"},
            "ownerReferences": [reference],
        }  # fmt: skip
        await world.client.create(PODS, {"metadata": meta, "spec": {"containers": asking("1m")}})
    found = await bound(world, 6)
    assert sorted(found.values()) == ["n1", "n1", "n2", "n2", "n3", "n3"]
