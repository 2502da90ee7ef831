"""Pods on a real engine, from their creation to their end."""

import asyncio

from labkit.kube.resources import CONFIG_MAPS, PODS, SECRETS, SERVICES
from tests.kubelet.conftest import (
    DEAF,
    RUNS_ON,
    Lab,
    condition,
    container,
    is_ready,
    shell,
    waits_for,
)


def ended(pod) -> bool:
    return bool(pod) and pod["status"].get("phase") in ("Succeeded", "Failed")


async def log(lab: Lab, pod: dict, name: str = "app") -> str:
    """What a container wrote."""
    from aiodocker import Docker

    async with Docker(url=lab.docker_url) as docker:
        identity = container(pod, name)["containerID"].removeprefix("docker://")
        lines = await docker.containers.container(identity).log(stdout=True, stderr=True)
    return "".join(lines)


async def test_a_pod_becomes_ready_and_tells_where_it_is(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    pod = await lab.until(is_ready)
    status = pod["status"]
    assert status["phase"] == "Running"
    assert status["podIP"].rsplit(".", 1)[0] == lab.cidr.rsplit(".", 1)[0]
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIP"] == "127.0.0.1"
    assert status["startTime"]
    assert container(pod)["containerID"].startswith("docker://")
    assert container(pod)["imageID"].startswith("docker://sha256:")
    kinds = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled")
    assert {condition(pod, kind) for kind in kinds} == {"True"}
    assert (await lab.events())[-2:] == ["Created: Container created", "Started: Container started"]


async def test_a_pods_containers_share_its_address_and_start_in_order(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON), {**shell(RUNS_ON), "name": "second"}]})
    pod = await lab.until(is_ready)
    assert [one["name"] for one in pod["status"]["containerStatuses"]] == ["app", "second"]
    assert all(one["ready"] for one in pod["status"]["containerStatuses"])


async def test_a_container_gets_its_command_and_environment(lab: Lab):
    meta = {"namespace": "default"}
    await lab.client.create(
        CONFIG_MAPS, {"metadata": {"name": "settings", **meta}, "data": {"COLOUR": "blue"}}
    )
    await lab.client.create(
        SECRETS, {"metadata": {"name": "keys", **meta}, "data": {"token": "czNjcmV0"}}
    )
    ports = [{"port": 80}]
    await lab.client.create(
        SERVICES,
        {"metadata": {"name": "db", **meta}, "spec": {"ports": ports, "clusterIP": "127.96.0.9"}},
    )
    await lab.kubelet()
    env = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "ALL", "value": "$(COLOUR)-$(TOKEN)"},
    ]
    script = 'echo "$1 $POD $ADDRESS $ALL $DB_SERVICE_HOST"'
    one = shell(script, env=env, envFrom=[{"configMapRef": {"name": "settings"}}])
    one["args"] = ["sh", "$(ALL)!"]
    await lab.create({"containers": [one], "restartPolicy": "Never"})
    pod = await lab.until(ended)
    expected = f"blue-s3cret! web {pod['status']['podIP']} blue-s3cret 127.96.0.9"
    assert await log(lab, pod) == expected + "\n"


async def test_names_are_resolved_by_the_clusters_dns(lab: Lab):
    await lab.kubelet()
    spec = {"containers": [shell(RUNS_ON)]}
    pod = await lab.create(spec)
    await lab.until(is_ready)
    from aiodocker import Docker

    async with Docker(url=lab.docker_url) as docker:
        name = f"k8s_POD_web_default_{pod['metadata']['uid']}_0"
        host = (await docker.containers.get(name))["HostConfig"]
    assert host["Dns"] == ["127.96.0.10"]
    assert host["DnsSearch"] == ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]
    assert host["DnsOptions"] == ["ndots:5", "port:1053"]


async def test_a_pod_that_is_not_restarted_succeeds(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell("exit 0")], "restartPolicy": "Never"})
    pod = await lab.until(ended)
    assert pod["status"]["phase"] == "Succeeded"
    state = container(pod)["state"]["terminated"]
    assert (state["reason"], state["exitCode"]) == ("Completed", 0)
    assert state["startedAt"] <= state["finishedAt"]


async def test_a_pod_that_is_not_restarted_fails(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell("exit 3")], "restartPolicy": "Never"})
    pod = await lab.until(ended)
    assert pod["status"]["phase"] == "Failed"
    assert container(pod)["state"]["terminated"]["exitCode"] == 3


async def test_a_crashing_container_is_restarted_and_then_waits(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell("exit 1")]})
    pod = await lab.until(waits_for("CrashLoopBackOff"))
    status = container(pod)
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=app pod=web_default("
    )
    told = "BackOff: Back-off restarting failed container app in pod web_default("
    assert any(event.startswith(told) for event in await lab.events())


async def test_each_crash_doubles_the_back_off(embedded: Lab):
    await embedded.kubelet()
    await embedded.create({"containers": [shell("exit 1")]})
    for restarts, delay in enumerate(("10s", "20s", "40s"), start=1):

        def waits(pod, restarts=restarts, delay=delay) -> bool:
            message = container(pod)["state"].get("waiting", {}).get("message", "")
            return container(pod)["restartCount"] == restarts and f"back-off {delay} " in message

        await embedded.until(waits)
        await asyncio.sleep(0.2)  # the kubelet tells first and sleeps then
        embedded.clock.step(float(delay[:-1]))


async def test_init_containers_run_one_after_the_other_before_the_others(lab: Lab):
    await lab.kubelet()
    inits = [{**shell("exit 0"), "name": "one"}, {**shell("exit 0"), "name": "two"}]
    await lab.create({"initContainers": inits, "containers": [shell(RUNS_ON)]})
    pod = await lab.until(is_ready)
    first, second = (container(pod, name)["state"]["terminated"] for name in ("one", "two"))
    assert (first["reason"], second["reason"]) == ("Completed", "Completed")
    assert first["finishedAt"] <= second["startedAt"]
    assert second["finishedAt"] <= container(pod)["state"]["running"]["startedAt"]


async def test_a_sidecar_runs_beside_the_containers_and_ends_with_them(lab: Lab):
    await lab.kubelet()
    side = {**shell(RUNS_ON), "name": "side", "restartPolicy": "Always"}
    spec = {"initContainers": [side], "containers": [shell("exit 0")], "restartPolicy": "Never"}
    await lab.create(spec)
    pod = await lab.until(
        lambda pod: ended(pod) and "terminated" in container(pod, "side")["state"]
    )
    assert pod["status"]["phase"] == "Succeeded"


async def test_a_deleted_pod_ends_by_itself_within_its_grace(lab: Lab):
    kubelet = await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    await lab.until(is_ready)
    await lab.client.delete(PODS, "web", "default", grace_period_seconds=30)
    await lab.until(lambda pod: pod is None)
    assert "Killing: Stopping container app" in await lab.events()
    assert not kubelet.pods or all(state.gone for state in kubelet.pods.values())


async def test_a_deaf_container_is_killed_after_its_grace(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell(DEAF)], "terminationGracePeriodSeconds": 1})
    await lab.said("deaf")
    await lab.client.delete(PODS, "web", "default")
    await lab.until(lambda pod: pod is None)


async def test_a_shorter_grace_overtakes_a_longer_one(lab: Lab):
    await lab.kubelet()
    await lab.create({"containers": [shell(DEAF)], "terminationGracePeriodSeconds": 600})
    await lab.said("deaf")
    await lab.client.delete(PODS, "web", "default")
    await lab.until(lambda pod: "deletionTimestamp" in pod["metadata"])
    await lab.client.delete(PODS, "web", "default", grace_period_seconds=1)
    await lab.until(lambda pod: pod is None)


async def test_a_pod_that_vanishes_from_the_api_leaves_no_container(lab: Lab):
    from aiodocker import Docker

    await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    pod = await lab.until(is_ready)
    await lab.client.delete(PODS, "web", "default", grace_period_seconds=0)
    label = f'{{"label": ["io.kubernetes.pod.uid={pod["metadata"]["uid"]}"]}}'
    async with Docker(url=lab.docker_url) as docker:

        async def left() -> bool:
            return bool(await docker.containers.list(all="true", filters=label))

        await lab.settle(left)


async def test_a_pod_of_the_same_name_is_another_pod(lab: Lab):
    await lab.kubelet()
    first = await lab.create({"containers": [shell(RUNS_ON)]})
    await lab.until(is_ready)
    await lab.client.delete(PODS, "web", "default")
    await lab.until(lambda pod: pod is None)
    second = await lab.create({"containers": [shell(RUNS_ON)]})
    pod = await lab.until(is_ready)
    assert pod["metadata"]["uid"] == second["metadata"]["uid"] != first["metadata"]["uid"]
    assert container(pod)["restartCount"] == 0


async def test_a_missing_config_map_is_waited_for(lab: Lab):
    await lab.kubelet()
    one = shell(RUNS_ON, envFrom=[{"configMapRef": {"name": "later"}}])
    await lab.create({"containers": [one]})
    pod = await lab.until(waits_for("CreateContainerConfigError"))
    assert container(pod)["state"]["waiting"]["message"] == 'configmap "later" not found'
    assert 'Failed: Error: configmap "later" not found' in await lab.events()
    await lab.client.create(
        CONFIG_MAPS, {"metadata": {"name": "later", "namespace": "default"}, "data": {}}
    )
    lab.clock.step(10)
    await lab.until(is_ready)


async def test_a_program_that_is_not_there_is_told(lab: Lab):
    await lab.kubelet()
    one = {**shell(""), "command": ["/no/such/program"]}
    await lab.create({"containers": [one], "restartPolicy": "Never"})
    pod = await lab.until(ended)
    state = container(pod)["state"]["terminated"]
    assert state["reason"] == "ContainerCannotRun"
    assert "no such file or directory" in state["message"]
    assert any(
        event.startswith('Failed: Error: failed to start container "app"')
        for event in await lab.events()
    )


async def test_a_pod_waits_for_what_its_volume_holds_and_says_so(lab: Lab):
    await lab.kubelet()
    volume = {"name": "settings", "configMap": {"name": "later"}}
    mount = {"name": "settings", "mountPath": "/settings"}
    await lab.create({"containers": [shell(RUNS_ON, volumeMounts=[mount])], "volumes": [volume]})
    await lab.until(waits_for("ContainerCreating"))
    why = 'MountVolume.SetUp failed for volume "settings" : configmap "later" not found'
    assert f"FailedMount: {why}" in await lab.events()
    meta = {"name": "later", "namespace": "default"}
    await lab.client.create(CONFIG_MAPS, {"metadata": meta, "data": {}})
    lab.clock.step(10)
    await lab.until(is_ready)


async def test_a_pod_has_a_deadline(embedded: Lab):
    await embedded.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON)], "activeDeadlineSeconds": 50})
    await embedded.until(is_ready)
    embedded.clock.step(50)
    pod = await embedded.until(ended)
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


async def test_many_pods_start_side_by_side(lab: Lab):
    await lab.kubelet()
    names = [f"web-{number}" for number in range(8)]
    for name in names:
        await lab.create({"containers": [shell(RUNS_ON)]}, name)
    addresses = {(await lab.until(is_ready, name))["status"]["podIP"] for name in names}
    assert len(addresses) == len(names)


async def test_a_container_that_is_given_another_image_is_restarted(embedded: Lab):
    await embedded.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON)]})
    await embedded.until(is_ready)
    image = {"name": "app", "image": "busybox:latest"}
    await embedded.client.patch(
        PODS, "web", {"spec": {"containers": [image]}}, "default", kind="strategic"
    )
    pod = await embedded.until(lambda pod: container(pod)["restartCount"] == 1 and is_ready(pod))
    assert container(pod)["image"] == "busybox:latest"
    told = "Killing: Container app definition changed, will be restarted"
    assert told in await embedded.events()


async def test_several_nodes_share_one_engine(embedded: Lab, client, clock, tmp_path):
    other = Lab(client, clock, embedded.docker_url, tmp_path, "127.249.2.0/24")
    await embedded.kubelet()
    second = await other.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON)]}, "here")
    await other.create({"containers": [shell(RUNS_ON)]}, "there")
    here = await embedded.until(is_ready, "here")
    there = await other.until(is_ready, "there")
    assert here["status"]["podIP"].startswith("127.249.1.")
    assert there["status"]["podIP"].startswith("127.249.2.")
    assert [state.pod["metadata"]["name"] for state in second.pods.values()] == ["there"]
    await other.clean()
