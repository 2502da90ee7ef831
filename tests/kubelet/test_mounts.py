"""Volumes, hooks and last words in real containers, on either engine.

`$CONTAINER_ROOT` is empty on a real dockerd.
"""

from __future__ import annotations

from labkit.kube.resources import CONFIG_MAPS, PODS
from tests.kubelet.conftest import Lab, container, is_ready, shell
from tests.kubelet.test_lifecycle import ended, log

SCRATCH = {"name": "scratch", "emptyDir": {}}
SHARED = [{"name": "scratch", "mountPath": "/scratch"}]


async def settings(lab: Lab, colour: str) -> None:
    """A ConfigMap."""
    meta = {"name": "settings", "namespace": "default"}
    await lab.client.create(CONFIG_MAPS, {"metadata": meta, "data": {"colour": colour}})


async def test_containers_find_their_volumes(lab: Lab):
    await settings(lab, "blue")
    await lab.kubelet()
    volumes = [SCRATCH, {"name": "settings", "configMap": {"name": "settings"}}]
    mounts = [*SHARED, {"name": "settings", "mountPath": "/settings"}]
    write = shell("echo hello > $CONTAINER_ROOT/scratch/f", volumeMounts=SHARED)
    read = shell("cd $CONTAINER_ROOT/; cat scratch/f settings/colour", volumeMounts=mounts)
    spec = {"initContainers": [{**write, "name": "first"}], "containers": [read]}
    await lab.create({**spec, "volumes": volumes, "restartPolicy": "Never"})
    pod = await lab.until(ended, seconds=60)
    assert await log(lab, pod) == "hello\nblue"
    place = lab.directory / "kubelet" / "pods" / pod["metadata"]["uid"]

    async def kept() -> bool:
        return (place / "volumes").exists()

    await lab.settle(kept, 60)  # what has ended keeps no volumes


async def test_a_change_of_a_config_map_reaches_the_container(lab: Lab):
    await settings(lab, "blue")
    await lab.kubelet(sync_frequency=0.5)
    mounts = [
        {"name": "settings", "mountPath": "/live"},
        {"name": "settings", "mountPath": "/kept", "subPath": "colour"},
    ]
    script = (
        "cd $CONTAINER_ROOT/; until grep -q red live/colour; do sleep 0.1; done; "
        "cat live/colour kept"
    )
    one = shell(script, volumeMounts=mounts)
    volumes = [{"name": "settings", "configMap": {"name": "settings"}}]
    await lab.create({"containers": [one], "volumes": volumes, "restartPolicy": "Never"})
    await lab.until(is_ready, seconds=60)
    await lab.client.patch(CONFIG_MAPS, "settings", {"data": {"colour": "red"}}, "default")
    pod = await lab.until(ended, seconds=60)
    assert await log(lab, pod) == "redblue"


async def test_a_container_leaves_last_words(lab: Lab):
    await lab.kubelet()
    words = shell("echo bye > $CONTAINER_ROOT/dev/termination-log; exit 3")
    logs = shell("echo what; exit 3", terminationMessagePolicy="FallbackToLogsOnError")
    spec = {"containers": [words, {**logs, "name": "other"}], "restartPolicy": "Never"}
    await lab.create(spec)
    pod = await lab.until(ended, seconds=60)
    messages = [container(pod, name)["state"]["terminated"]["message"] for name in ("app", "other")]
    assert messages == ["bye\n", "what\n"]


async def test_hooks_run_in_the_container_after_its_start_and_before_its_end(lab: Lab):
    await lab.kubelet()
    script = (
        "cd $CONTAINER_ROOT/scratch; "
        "trap 'cp order $CONTAINER_ROOT/dev/termination-log; exit 0' TERM; "
        "while :; do sleep 0.1; done"
    )
    hooks = {
        name: {
            "exec": {"command": ["/bin/sh", "-c", f"echo {name} >> $CONTAINER_ROOT/scratch/order"]}
        }
        for name in ("postStart", "preStop")
    }
    one = shell(script, lifecycle=hooks, volumeMounts=SHARED)
    await lab.create({"containers": [one], "volumes": [SCRATCH]}, finalizers=["example.com/hold"])
    await lab.until(is_ready, seconds=60)
    await lab.client.delete(PODS, "web", "default")
    pod = await lab.until(lambda pod: "terminated" in container(pod)["state"])
    assert container(pod)["state"]["terminated"]["message"].split() == ["postStart", "preStop"]
    await lab.client.patch(PODS, "web", {"metadata": {"finalizers": None}}, "default")
    await lab.until(lambda pod: pod is None)
