"""Eviction under memory pressure: the ranking and the words as tables, and a small node."""

from __future__ import annotations

import pytest

from labkit.kube.resources import NODES
from labkit.kubelet import eviction, node_status
from labkit.kubelet.stats import PodUsage, Sample
from tests.kubelet.builders import running
from tests.kubelet.conftest import RUNS_ON, Lab, condition, container, is_ready, shell

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("memory.available<100Mi", 100 * MIB), ("memory.available<25%", 256 * MIB), ("", 0)],
)
def test_a_threshold_is_an_amount_or_a_part(text: str, bytes_: int):
    assert eviction.threshold(text, 1024 * MIB) == bytes_


def test_other_signals_are_refused():
    with pytest.raises(ValueError, match=r"memory\.available is the only signal"):
        eviction.threshold("nodefs.available<10%", 1)


def using(name: str, used: int, request: str = "", priority: int = 0) -> PodUsage:
    """A Pod with one container that uses so many MiB."""
    resources = {"requests": {"memory": request}} if request else {}
    spec = {"containers": [{"name": "app", "resources": resources}], "priority": priority}
    pod = {"metadata": {"name": name, "uid": name}, "spec": spec}
    sample = Sample(0.0, used * MIB)
    return PodUsage(pod, {"app": (running(), sample)}, sample)


@pytest.mark.parametrize(
    ("usages", "order"),
    [
        ([using("within", 90, "100Mi"), using("beyond", 20, "10Mi")], "beyond within"),
        ([using("high", 99, "1Mi", 7), using("low", 9, "1Mi", 1)], "low high"),
        ([using("little", 20, "10Mi"), using("much", 60, "30Mi")], "much little"),
        ([using("asked", 60, "50Mi"), using("nothing", 20)], "nothing asked"),
        ([using("critical", 99, "", 2_000_000_000), using("plain", 1)], "plain"),
    ],
    ids=["requests first", "then priority", "then excess", "without requests", "critical"],
)
def test_pods_are_ranked(usages: list[PodUsage], order: str):
    ranked = eviction.ranked(usages)
    assert " ".join(one.pod["metadata"]["name"] for one in ranked) == order


def test_an_evicted_pod_is_told_why():
    assert eviction.message(using("web", 80, "10Mi"), 100 * MIB, 60 * MIB) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. "
        "Container app was using 80Mi, request is 10Mi, has larger consumption of memory. "
    )
    assert eviction.message(using("web", 8, "10Mi"), 100 * MIB, 60 * MIB) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. "
    )


def test_an_empty_directory_has_a_size():
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {"sizeLimit": "10Mi"}}]
    pod = {"spec": {"volumes": volumes}}
    assert eviction.over_limit(pod, {"b": 10 * MIB}) == ""
    assert eviction.over_limit(pod, {"b": 10 * MIB + 1}) == (
        'Usage of EmptyDir volume "b" exceeds the limit "10Mi". '
    )


@pytest.mark.parametrize(
    ("fields", "admitted"),
    [
        ({"qos": "Burstable"}, True),
        ({"qos": "BestEffort"}, False),
        ({"qos": "BestEffort", "priority": 2_000_000_000}, True),
        (
            {
                "qos": "BestEffort",
                "tolerations": [
                    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}
                ],
            },
            True,
        ),
    ],
)
def test_a_node_that_is_short_of_memory_takes_no_best_effort(fields: dict, admitted: bool):
    spec = {key: value for key, value in fields.items() if key != "qos"}
    pod = {"spec": spec, "status": {"qosClass": fields["qos"]}}
    assert eviction.is_admitted(pod) is admitted


def test_conditions_that_change_are_news():
    before = node_status.node_conditions((), "", 1000.0)
    after = node_status.node_conditions(before, "down", 2000.0, pressure=True)
    assert node_status.news((), before) == [
        "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"
    ]  # fmt: skip
    assert node_status.news(before, after) == ["NodeHasInsufficientMemory", "NodeNotReady"]


def test_a_node_may_have_a_part_of_the_machine():
    engine = {"NCPU": 2, "MemTotal": 1 << 30}
    assert node_status.capacity(engine, 110, "25%")["memory"] == f"{256 << 10}Ki"
    assert node_status.capacity(engine, 110, "300Mi")["memory"] == "300Mi"
    capacity = node_status.capacity(engine, 110, "300Mi")
    assert node_status.allocatable(capacity, 100 * MIB)["memory"] == "200Mi"


GREEDY = "exec python3 -S -c 'x = bytearray(150 << 20); import time; time.sleep(1000)'"


async def test_a_node_that_is_short_of_memory_evicts_who_uses_too_much(embedded: Lab):
    await embedded.kubelet(node_memory="200Mi", eviction_pressure_transition_period=60.0)
    assert (await embedded.node_object())["status"]["allocatable"]["memory"] == "100Mi"
    await embedded.create({"containers": [shell(RUNS_ON)]}, "modest")
    await embedded.until(is_ready, "modest")
    await embedded.create({"containers": [shell(GREEDY)]}, "greedy")
    await embedded.until(is_ready, "greedy")

    def evicted(pod) -> bool:
        embedded.clock.step(10)
        return pod["status"]["phase"] == "Failed"

    pod = await embedded.until(evicted, "greedy")
    assert pod["status"]["reason"] == "Evicted"
    message = pod["status"]["message"]
    assert message.startswith("The node was low on resource: memory. Threshold quantity: 100Mi, ")
    assert condition(pod, "DisruptionTarget") == "True"
    await embedded.until(lambda pod: "terminated" in container(pod)["state"], "greedy")
    assert f"Evicted: {message}" in await embedded.events()
    assert is_ready(await embedded.pod("modest"))

    async def well() -> bool:
        return condition(await embedded.node_object(), "MemoryPressure") != "True"

    await embedded.settle(well)
    await embedded.create({"containers": [shell(RUNS_ON)]}, "late")
    pod = await embedded.until(lambda pod: pod["status"].get("phase") == "Failed", "late")
    assert pod["status"]["reason"] == "Evicted"
    assert pod["status"]["message"] == (
        "Pod was rejected: The node had condition: [MemoryPressure]. "
    )
    embedded.clock.step(70)

    async def pressed() -> bool:
        return condition(await embedded.node_object(), "MemoryPressure") != "False"

    await embedded.settle(pressed)


async def test_a_pod_that_fills_its_empty_directory_is_evicted(embedded: Lab):
    await embedded.kubelet()
    script = "dd if=/dev/zero of=$CONTAINER_ROOT/d/f bs=1024 count=2048 2> /dev/null; sleep 1000"
    one = shell(script, volumeMounts=[{"name": "d", "mountPath": "/d"}])
    volume = {"name": "d", "emptyDir": {"sizeLimit": "1Mi"}}
    await embedded.create({"containers": [one], "volumes": [volume]})

    def evicted(pod) -> bool:
        embedded.clock.step(10)
        return pod["status"].get("reason") == "Evicted"

    pod = await embedded.until(evicted)
    assert pod["status"]["message"] == 'Usage of EmptyDir volume "d" exceeds the limit "1Mi". '


async def test_a_node_tells_how_it_is(embedded: Lab):
    from labkit.kube.resources import EVENTS

    await embedded.kubelet()

    async def silent() -> bool:
        items = (await embedded.client.list(EVENTS, "default"))["items"]
        told = {one["reason"] for one in items if one["involvedObject"]["kind"] == "Node"}
        return not told >= {"Starting", "NodeHasSufficientMemory", "NodeReady"}

    node = await embedded.client.get(NODES, embedded.node)
    assert node["metadata"]["name"] == embedded.node
    await embedded.settle(silent)
