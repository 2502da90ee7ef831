"""The Node that a kubelet registers and keeps."""

import pytest

from labkit.client import ApiError
from labkit.kube import times
from labkit.kube.resources import LEASES, NODES
from labkit.kubelet import node_status
from tests.kubelet.conftest import RUNS_ON, Lab, condition, is_ready, shell

ENGINE = {"NCPU": 4, "MemTotal": 8_000_000_000, "Architecture": "aarch64", "OSType": "linux"}


def test_capacity_is_what_the_engine_says():
    assert node_status.capacity(ENGINE, 110) == {
        "cpu": "4", "memory": "7812500Ki", "pods": "110"
    }  # fmt: skip


def test_labels_use_gos_words():
    labels = node_status.node_labels("lab-worker", ENGINE)
    assert labels["kubernetes.io/arch"] == "arm64"
    assert labels["kubernetes.io/hostname"] == "lab-worker"


def test_a_problem_makes_the_node_not_ready_and_nothing_else():
    before = node_status.node_conditions((), "", 1000.0)
    after = {one["type"]: one for one in node_status.node_conditions(before, "down", 2000.0)}
    assert after["Ready"] == {
        "type": "Ready",
        "status": "False",
        "reason": "KubeletNotReady",
        "message": "down",
        "lastHeartbeatTime": times.rfc3339(2000),
        "lastTransitionTime": times.rfc3339(2000),
    }
    assert after["DiskPressure"]["lastTransitionTime"] == times.rfc3339(1000)


def test_images_are_listed_by_size_without_nameless_ones():
    listed = [
        {"RepoTags": ["small:1"], "Size": 1},
        {"RepoTags": ["<none>:<none>"], "Size": 9},
        {"RepoTags": ["big:1"], "RepoDigests": ["big@sha256:1"], "Size": 5},
    ]
    assert node_status.images(listed) == [
        {"names": ["big@sha256:1", "big:1"], "sizeBytes": 5},
        {"names": ["small:1"], "sizeBytes": 1},
    ]


async def test_a_node_is_registered_with_all_that_is_known_of_it(lab: Lab):
    kubelet = await lab.kubelet()
    node = await lab.node_object()
    assert node["spec"]["podCIDR"] == lab.cidr
    status = node["status"]
    assert status["addresses"] == [
        {"type": "InternalIP", "address": "127.0.0.1"},
        {"type": "Hostname", "address": lab.node},
    ]
    assert status["daemonEndpoints"]["kubeletEndpoint"]["Port"] == kubelet.port
    assert status["allocatable"]["pods"] == "110"
    assert status["nodeInfo"]["kubeletVersion"] == "v1.36.0"
    assert status["nodeInfo"]["containerRuntimeVersion"].startswith("docker://")
    assert any("pause" in name for image in status["images"] for name in image["names"])
    kinds = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
    assert [condition(node, kind) for kind in kinds] == ["True", "False", "False", "False"]


async def test_the_lease_is_the_heartbeat(embedded: Lab):
    await embedded.kubelet()
    leases: list[dict] = []

    async def renewed() -> bool:
        try:
            leases.append(await embedded.client.get(LEASES, embedded.node, "kube-node-lease"))
        except ApiError:
            return True
        return leases[-1]["spec"]["renewTime"] == leases[0]["spec"]["renewTime"]

    revision = (await embedded.node_object())["metadata"]["resourceVersion"]

    async def absent() -> bool:
        return bool(await renewed() and not leases)

    await embedded.settle(absent)
    embedded.clock.step(10)
    await embedded.settle(renewed)
    spec = leases[-1]["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == (embedded.node, 40)
    # The status did not change, so the Node was not written.
    assert (await embedded.node_object())["metadata"]["resourceVersion"] == revision


async def test_a_node_that_exists_is_taken_over(lab: Lab):
    node = {"metadata": {"name": lab.node, "labels": {"own": "yes"}}, "spec": {"podCIDR": lab.cidr}}
    await lab.client.create(NODES, node)
    await lab.kubelet(pod_cidr="")
    node = await lab.node_object()
    assert node["metadata"]["labels"]["own"] == "yes"
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == lab.node
    assert condition(node, "Ready") == "True"


async def test_a_node_that_is_deleted_is_registered_again(embedded: Lab):
    await embedded.kubelet()
    await embedded.client.delete(NODES, embedded.node)

    async def absent() -> bool:
        try:
            return condition(await embedded.node_object(), "Ready") != "True"
        except ApiError:
            return True

    await embedded.settle(absent)


async def test_pods_wait_for_the_nodes_pod_cidr(embedded: Lab):
    await embedded.kubelet(pod_cidr="")
    await embedded.create({"containers": [shell(RUNS_ON)]})
    await embedded.until(lambda pod: pod["status"].get("hostIP"))
    node = await embedded.node_object()
    assert condition(node, "Ready") == "False"
    assert any(event.startswith("NetworkNotReady") for event in await embedded.events())
    spec = {"podCIDR": embedded.cidr, "podCIDRs": [embedded.cidr]}
    await embedded.client.patch(NODES, embedded.node, {"spec": spec})
    await embedded.until(is_ready)
    assert condition(await embedded.node_object(), "Ready") == "True"


@pytest.mark.parametrize("times_stopped", [1, 2])
async def test_a_stopped_kubelet_leaves_no_task_behind(embedded: Lab, times_stopped: int):
    import asyncio

    before = asyncio.all_tasks()
    kubelet = await embedded.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON)]})
    await embedded.until(is_ready)
    for _ in range(times_stopped):
        await kubelet.stop()

    async def left() -> set:
        mine = asyncio.all_tasks() - before
        return {task for task in mine if "kubelet" in task.get_name() or "RUNS" in task.get_name()}

    assert not await left()


def test_resources_that_others_advertise_are_kept():
    amounts = {"cpu": "2", "example.com/dongle": "4", "attachable.kubernetes.io/x": "1"}
    assert node_status.extended(amounts) == {"example.com/dongle": "4"}
    assert node_status.extended(None) == {}
