"""The scheduler against a real API server in memory."""

import random

import pytest

from labkit.kube import conditions
from labkit.kube.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PRIORITY_CLASSES,
    STORAGE_CLASSES,
)
from labkit.kube.storage import SELECTED_NODE
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


async def test_it_tells_how_its_attempts_end_and_who_waits(world, scheduler):
    await world.node("small", cpu="1")
    await world.pod("fits")
    await world.pod("too-big", containers=asking("2"))
    await unschedulable(world, "too-big")
    await bound(world, 1)
    text = scheduler.metrics.text()
    for result in ("scheduled", "unschedulable"):
        labels = f'profile="default-scheduler",result="{result}"'
        assert f"scheduler_schedule_attempts_total{{{labels}}} 1.0" in text
    assert 'scheduler_pending_pods{queue="unschedulable"} 1.0' in text


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


async def important(world):
    """The name of a PriorityClass above others."""
    await world.client.create(PRIORITY_CLASSES, {"metadata": {"name": "high"}, "value": 1000})
    return "high"


async def test_a_more_important_pod_takes_the_place_of_another(world, scheduler):
    await world.node("n1", cpu="1")
    await world.pod("low", containers=asking("1"))
    await bound(world, 1)
    uid = (
        await world.pod("high", containers=asking("1"), priorityClassName=await important(world))
    )["metadata"]["uid"]

    async def told():
        found = await world.find(PODS, "low")
        return found["metadata"].get("deletionTimestamp") and found

    victim = await world.until(told)
    condition = conditions.get(victim, "DisruptionTarget")
    assert condition["reason"] == "PreemptionByScheduler"
    assert condition["message"] == (
        "default-scheduler: preempting to accommodate a higher priority pod"
    )
    waiting = await world.find(PODS, "high")
    assert waiting["status"]["nominatedNodeName"] == "n1"
    assert conditions.get(waiting, "PodScheduled")["message"].startswith(
        "0/1 nodes are available: 1 Insufficient cpu."
    )
    await world.client.delete(PODS, "low", "default", grace_period_seconds=0)
    assert await bound(world, 1) == {"high": "n1"}
    assert "nominatedNodeName" not in (await world.find(PODS, "high"))["status"]
    assert ("Preempted", f"Preempted by pod {uid} on node n1") in await world.reasons("low")


async def test_a_place_that_is_being_freed_is_kept(world, scheduler):
    await world.node("n1", cpu="1")
    await world.pod("low", containers=asking("1"))
    await bound(world, 1)
    await world.pod("high", containers=asking("1"), priorityClassName=await important(world))

    async def nominated():
        return (await world.find(PODS, "high"))["status"].get("nominatedNodeName")

    await world.until(nominated)
    await world.pod("thief", containers=asking("1"))
    await unschedulable(world, "thief")
    await world.client.delete(PODS, "low", "default", grace_period_seconds=0)
    assert await bound(world, 1) == {"high": "n1"}


async def test_a_gated_pod_is_scheduled_once_its_gates_are_gone(world, scheduler):
    await world.node("n1")
    await world.pod("gated", schedulingGates=[{"name": "example.com/wait"}])
    await world.pod("free")
    assert await bound(world, 1) == {"free": "n1"}
    condition = conditions.get(await world.find(PODS, "gated"), "PodScheduled")
    assert (condition["status"], condition["reason"]) == ("False", "SchedulingGated")
    patch = {"spec": {"schedulingGates": None}}
    await world.client.patch(PODS, "gated", patch, "default")
    assert set(await bound(world, 2)) == {"free", "gated"}


DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


async def claim_that_waits(world):
    """A claim of a class that waits for the first Pod."""
    kind = {
        "metadata": {"name": "late"}, "provisioner": "p",
        "volumeBindingMode": "WaitForFirstConsumer",
    }  # fmt: skip
    await world.client.create(STORAGE_CLASSES, kind)
    claim = {
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {
            "storageClassName": "late", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }  # fmt: skip
    await world.client.create(PERSISTENT_VOLUME_CLAIMS, claim)


async def selected(world):
    """The node that the claim's volume is to be made for."""
    found = await world.find(PERSISTENT_VOLUME_CLAIMS, "data")
    return (found["metadata"].get("annotations") or {}).get(SELECTED_NODE)


async def test_a_claim_gets_the_node_of_its_first_pod_and_the_pod_waits_for_it(world, scheduler):
    await world.node("n1")
    await claim_that_waits(world)
    await world.pod("one", volumes=[DATA])
    assert await world.until(lambda: selected(world)) == "n1"
    await world.settled()
    assert await bound(world, 0)
    completed = {"pv.kubernetes.io/bind-completed": "yes"}
    patch = {"metadata": {"annotations": completed}, "spec": {"volumeName": "made"}}
    await world.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", patch, "default")
    assert await bound(world, 1) == {"one": "n1"}


async def test_a_pod_is_tried_again_where_its_volume_could_not_be_made(world, scheduler):
    await claim_that_waits(world)
    await world.node("n1")
    await world.pod("one", volumes=[DATA])
    assert await world.until(lambda: selected(world)) == "n1"
    await world.node("n2")
    await world.client.patch(NODES, "n1", {"spec": {"unschedulable": True}})
    back = {"metadata": {"annotations": {SELECTED_NODE: None}}}
    await world.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", back, "default")

    async def elsewhere():
        return await selected(world) == "n2"

    await world.until(elsewhere)
    words = 'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC '
    assert ("FailedScheduling", f'{words}"data"') in await world.reasons("one")
