"""What the kubelet does when it, the engine or the API server fails."""

from contextlib import asynccontextmanager

from aiodocker import Docker

from labkit.client import Client
from labkit.kube.resources import PODS
from tests.kubelet.conftest import (
    RUNS_ON,
    EmbeddedLab,
    Lab,
    condition,
    container,
    is_ready,
    shell,
)


def container_id(pod: dict) -> str:
    return container(pod)["containerID"].removeprefix("docker://")


@asynccontextmanager
async def docker(lab: Lab):
    async with Docker(url=lab.docker_url) as docker:
        yield docker


class BrokenTransport:
    """A transport whose network can be cut."""

    def __init__(self, transport) -> None:
        self._transport, self.cut = transport, False

    async def request(self, *arguments, **options):
        self._check()
        return await self._transport.request(*arguments, **options)

    async def watch(self, *arguments):
        self._check()
        async for event in self._transport.watch(*arguments):
            self._check()
            yield event

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.cut:
            raise ConnectionRefusedError("the API server is away")


async def test_a_new_kubelet_takes_over_running_containers(lab: Lab):
    first = await lab.kubelet()
    probe = {"exec": {"command": ["/bin/sh", "-c", "exit 0"]}, "initialDelaySeconds": 0}
    await lab.create({"containers": [shell(RUNS_ON, readinessProbe=probe)]})
    before = await lab.until(is_ready)
    await first.stop()
    second = await lab.kubelet()
    await lab.until(lambda _: any(state.instances for state in second.pods.values()))
    after = await lab.until(is_ready)
    assert container_id(after) == container_id(before)
    assert container(after)["restartCount"] == 0
    assert condition(after, "Ready") == "True"
    transitions = [
        [one["lastTransitionTime"] for one in pod["status"]["conditions"]]
        for pod in (before, after)
    ]
    assert transitions[0] == transitions[1]


async def test_the_end_of_a_kubelet_ends_no_container(lab: Lab):
    kubelet = await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    pod = await lab.until(is_ready)
    await kubelet.stop()
    await kubelet.stop()
    async with docker(lab) as engine:
        data = await engine.containers.get(container_id(pod))
    assert data["State"]["Running"]


async def test_a_pod_that_was_deleted_meanwhile_is_cleaned_up(lab: Lab):
    first = await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    await lab.until(is_ready)
    await first.stop()
    await lab.client.delete(PODS, "web", "default", grace_period_seconds=0)
    await lab.kubelet()
    async with docker(lab) as engine:
        label = f'{{"label": ["io.labkit.node={lab.node}"]}}'

        async def left() -> bool:
            return bool(await engine.containers.list(all="true", filters=label))

        await lab.settle(left)


async def test_a_container_that_died_meanwhile_is_restarted(lab: Lab):
    first = await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    pod = await lab.until(is_ready)
    await first.stop()
    async with docker(lab) as engine:
        await engine.containers.container(container_id(pod)).kill()
    await lab.kubelet()
    pod = await lab.until(lambda pod: container(pod)["restartCount"] == 1 and is_ready(pod))
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 137


async def test_a_container_that_is_killed_is_restarted(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    pod = await lab.until(is_ready)
    async with docker(lab) as engine:
        await engine.containers.container(container_id(pod)).kill()
    await lab.until(lambda pod: container(pod)["restartCount"] == 1 and is_ready(pod))


async def test_a_container_that_is_removed_is_made_again(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    pod = await lab.until(is_ready)
    async with docker(lab) as engine:
        await engine.containers.container(container_id(pod)).delete(force=True)
    pod = await lab.until(lambda pod: container(pod)["restartCount"] == 1 and is_ready(pod))


async def test_a_sandbox_that_dies_is_replaced_with_all_its_containers(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)], "terminationGracePeriodSeconds": 1})
    pod = await lab.until(is_ready)
    uid, first = pod["metadata"]["uid"], container_id(pod)
    async with docker(lab) as engine:
        await engine.containers.container(f"k8s_POD_web_default_{uid}_0").kill()
        pod = await lab.until(lambda pod: container_id(pod) != first and is_ready(pod))
        data = await engine.containers.get(f"k8s_POD_web_default_{uid}_1")
    assert data["State"]["Running"]
    assert len(pod["status"]["podIPs"]) == 1
    assert pod["status"]["podIPs"][0]["ip"] == pod["status"]["podIP"]


async def test_pods_are_made_again_when_the_engine_lost_them(embedded: EmbeddedLab, clock):
    await embedded.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON)]})
    await embedded.until(is_ready)
    await embedded.engine.stop()

    async def node_is_ready() -> bool:
        clock.step(1)
        return condition(await embedded.node_object(), "Ready") == "True"

    await embedded.settle(node_is_ready)
    await embedded.restart_engine()
    clock.step(10)
    pod = await embedded.until(lambda pod: container(pod)["restartCount"] == 1 and is_ready(pod))
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 137
    clock.step(10)

    async def node_is_not_ready() -> bool:
        return condition(await embedded.node_object(), "Ready") != "True"

    await embedded.settle(node_is_not_ready)


async def test_the_kubelet_goes_on_without_the_api_server(embedded: Lab):
    transport = BrokenTransport(embedded.client.transport)
    await embedded.kubelet(Client(transport))
    await embedded.create({"containers": [shell(RUNS_ON)]})
    pod = await embedded.until(is_ready)
    transport.cut = True
    async with docker(embedded) as engine:
        await engine.containers.container(container_id(pod)).kill()

        async def not_restarted() -> bool:
            name = f"k8s_app_web_default_{pod['metadata']['uid']}_1"
            try:
                return not (await engine.containers.get(name))["State"]["Running"]
            except Exception:
                return True

        await embedded.settle(not_restarted)
    assert container(await embedded.pod())["restartCount"] == 0
    transport.cut = False
    embedded.clock.step(5)
    await embedded.until(lambda pod: container(pod)["restartCount"] == 1 and is_ready(pod))


async def test_a_kubelet_that_starts_before_the_api_server_registers_later(embedded: Lab):
    transport = BrokenTransport(embedded.client.transport)
    transport.cut = True
    await embedded.kubelet(Client(transport))
    await embedded.create({"containers": [shell(RUNS_ON)]})
    transport.cut = False

    async def unready() -> bool:
        embedded.clock.step(1)
        return not is_ready(await embedded.pod())

    await embedded.settle(unready)
    assert condition(await embedded.node_object(), "Ready") == "True"
