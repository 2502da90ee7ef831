"""Claims and volumes: who gets what as tables, and their life against a real API server."""

from __future__ import annotations

import pytest

from labkit.controllers import volume_decision as decision
from labkit.controllers.informers import InformerFactory
from labkit.controllers.localpath import PROVISIONER, LocalPathProvisioner
from labkit.controllers.persistentvolume import PersistentVolumeController
from labkit.controllers.volumeprotection import ClaimProtection, VolumeProtection
from labkit.kube.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)
from labkit.kube.storage import SELECTED_NODE


def claim(size: str = "1Gi", name: str = "data", **spec: object) -> dict:
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            **spec,
        },
    }


def volume(name: str = "pv", size: str = "1Gi", phase: str = "Available", **spec: object) -> dict:
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"disk": name}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            "hostPath": {"path": f"/data/{name}"},
            **spec,
        },
        "status": {"phase": phase},
    }


def promised(name: str, uid: str = "") -> dict:
    return {"claimRef": {"namespace": "default", "name": name, **({"uid": uid} if uid else {})}}


@pytest.mark.parametrize(
    ("wanted", "volumes", "expected"),
    [
        pytest.param(claim(), [], None, id="none"),
        pytest.param(
            claim("2Gi"), [volume("a", "1Gi"), volume("b", "5Gi"), volume("c", "3Gi")], "c",
            id="the smallest that is large enough",
        ),
        pytest.param(claim(), [volume(storageClassName="fast")], None, id="not of another class"),
        pytest.param(
            claim(accessModes=["ReadWriteMany"]), [volume()], None, id="not without its mode"
        ),
        pytest.param(claim(volumeMode="Block"), [volume()], None, id="not a file system for it"),
        pytest.param(claim(), [volume(phase="Released")], None, id="not one that was used"),
        pytest.param(
            claim(selector={"matchLabels": {"disk": "b"}}), [volume("a"), volume("b")], "b",
            id="by its labels",
        ),
        pytest.param(
            claim(), [volume("a"), volume("b", "9Gi", **promised("data"))], "b",
            id="the promised one first",
        ),
        pytest.param(claim(), [volume(**promised("other"))], None, id="not another's"),
        pytest.param(
            claim(), [volume(**promised("data", "former"))], None, id="not that of its namesake"
        ),
    ],
)  # fmt: skip
def test_which_volume_a_claim_gets(wanted, volumes, expected):
    found = decision.best_match(wanted, volumes)
    assert (found and found["metadata"]["name"]) == expected


def test_free_volumes_are_left_to_the_scheduler_where_a_claim_waits():
    assert decision.best_match(claim(), [volume()], only_promised=True) is None
    assert decision.best_match(claim(), [volume(**promised("data"))], only_promised=True)


STANDARD = {
    "metadata": {"name": "standard"},
    "provisioner": PROVISIONER,
    "volumeBindingMode": "WaitForFirstConsumer",
    "reclaimPolicy": "Delete",
}


@pytest.fixture
async def storage(world, running, tmp_path):
    """All controllers of storage, a class, and a root for directories."""
    factory = InformerFactory(world.client, world.clock)
    await running(PersistentVolumeController(world.client, world.clock, factory))
    await running(ClaimProtection(world.client, world.clock, factory))
    await running(VolumeProtection(world.client, world.clock, factory))
    await running(LocalPathProvisioner(world.client, world.clock, tmp_path, factory))
    await world.client.create(STORAGE_CLASSES, STANDARD)
    yield tmp_path
    await factory.stop()


async def create(world, resource, obj) -> dict:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "uid"}
    return await world.client.create(resource, {**obj, "metadata": metadata})


async def phase(world, resource, name, expected) -> dict:
    """The claim or volume once it is in this phase."""

    async def holds():
        found = await world.find(resource, name)
        return found and found["status"].get("phase") == expected and found

    return await world.until(holds)


async def gone(world, resource, name) -> None:
    async def holds():
        return await world.find(resource, name) is None

    await world.until(holds)


async def test_a_claim_and_a_volume_find_each_other_and_part(world, storage):
    await create(world, PERSISTENT_VOLUMES, volume(size="2Gi"))
    await phase(world, PERSISTENT_VOLUMES, "pv", "Available")
    await create(world, PERSISTENT_VOLUME_CLAIMS, claim())
    bound = await phase(world, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
    assert bound["spec"]["volumeName"] == "pv"
    assert bound["status"]["capacity"] == {"storage": "2Gi"}
    assert bound["status"]["accessModes"] == ["ReadWriteOnce", "ReadOnlyMany"]
    held = await phase(world, PERSISTENT_VOLUMES, "pv", "Bound")
    assert held["spec"]["claimRef"]["uid"] == bound["metadata"]["uid"]
    await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
    await gone(world, PERSISTENT_VOLUME_CLAIMS, "data")
    await phase(world, PERSISTENT_VOLUMES, "pv", "Released")


async def test_a_claim_says_what_it_waits_for(world, storage):
    await create(world, PERSISTENT_VOLUME_CLAIMS, claim())
    no_class = "no persistent volumes available for this claim and no storage class is set"
    assert ("FailedBinding", no_class) in await world.until(lambda: world.reasons("data"))
    await create(world, PERSISTENT_VOLUME_CLAIMS, claim(name="later", storageClassName="standard"))
    waits = "waiting for first consumer to be created before binding"
    assert ("WaitForFirstConsumer", waits) in await world.until(lambda: world.reasons("later"))


async def test_a_claim_with_a_node_gets_a_directory_and_gives_it_back(world, storage):
    await create(world, PERSISTENT_VOLUME_CLAIMS, claim(storageClassName="standard"))
    chosen = {"metadata": {"annotations": {SELECTED_NODE: "a"}}}
    await world.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", chosen, "default")
    bound = await phase(world, PERSISTENT_VOLUME_CLAIMS, "data", "Bound")
    name = f"pvc-{bound['metadata']['uid']}"
    made = await phase(world, PERSISTENT_VOLUMES, name, "Bound")
    path = storage / f"{name}_default_data"
    assert path.is_dir()
    assert made["spec"]["hostPath"] == {"path": str(path), "type": "DirectoryOrCreate"}
    (path / "file").write_text("kept")
    await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
    await gone(world, PERSISTENT_VOLUMES, name)
    assert not path.exists()


async def test_a_claim_goes_only_after_the_last_pod_that_uses_it(world, storage):
    await create(world, PERSISTENT_VOLUME_CLAIMS, claim())

    async def protected():
        found = await world.find(PERSISTENT_VOLUME_CLAIMS, "data")
        return "kubernetes.io/pvc-protection" in found["metadata"].get("finalizers", ())

    await world.until(protected)
    uses = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    await world.pod("one", volumes=uses, nodeName="a")
    await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
    await world.settled()
    assert await protected()
    await world.client.delete(PODS, "one", "default", grace_period_seconds=0)
    await gone(world, PERSISTENT_VOLUME_CLAIMS, "data")


async def test_nothing_outside_of_the_provisioners_root_is_removed(
    world, storage, tmp_path_factory
):
    other = tmp_path_factory.mktemp("other")
    stranger = volume(
        phase="Released",
        persistentVolumeReclaimPolicy="Delete",
        hostPath={"path": str(other)},
        **promised("nobody", "no-uid"),
    )
    stranger["metadata"]["annotations"] = {decision.PROVISIONED_BY: PROVISIONER}
    await create(world, PERSISTENT_VOLUMES, stranger)
    await world.until(lambda: world.reasons("pv"))
    assert other.is_dir()
