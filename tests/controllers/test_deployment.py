"""Deployments against a real API server in memory, with the ReplicaSet controller below."""

import copy

import pytest

from labkit.controllers.deployment import DeploymentController
from labkit.controllers.informers import InformerFactory
from labkit.controllers.replicaset import ReplicaSetController
from labkit.controllers.revisions import DESIRED, MOST, REVISION, REVISION_HISTORY
from labkit.kube import conditions
from labkit.kube.names import pod_template_hash
from labkit.kube.objects import controller_of
from labkit.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS


@pytest.fixture
async def shop(world, running, kubelets):
    """Both controllers run, and kubelets make Pods ready."""
    factory = InformerFactory(world.client, world.clock)
    await running(ReplicaSetController(world.client, world.clock, factory))
    await running(DeploymentController(world.client, world.clock, factory))
    yield Shop(world)
    await factory.stop()


class Shop:
    """What the tests do to the Deployment `web`, and what they ask about it."""

    def __init__(self, world):
        self.world = world

    async def deployment(self):
        return await self.world.find(DEPLOYMENTS, "web")

    async def sets(self):
        """{revision: spec.replicas}"""
        found = await self.world.items(REPLICA_SETS)
        return {int(s["metadata"]["annotations"][REVISION]): s["spec"]["replicas"] for s in found}

    async def set_image(self, image):
        containers = [{"name": "web", "image": image}]
        await self.patch({"template": {"spec": {"containers": containers}}})

    async def patch(self, spec):
        await self.world.client.patch(DEPLOYMENTS, "web", {"spec": spec}, "default")

    async def complete(self):
        """The Deployment once `kubectl rollout status` would say that it is rolled out."""

        async def holds():
            deployment = await self.deployment()
            status, meta = deployment.get("status") or {}, deployment["metadata"]
            wanted = deployment["spec"]["replicas"]
            same = all(
                status.get(field, 0) == wanted
                for field in ("replicas", "updatedReplicas", "availableReplicas")
            )
            seen = status.get("observedGeneration", 0) >= meta["generation"]
            return same and seen and deployment

        return await self.world.until(holds)

    async def reason(self, kind, reason, seconds=10.0):
        """The condition of that type once it has that reason."""

        async def holds():
            condition = conditions.get(await self.deployment(), kind) or {}
            return condition.get("reason") == reason and condition

        return await self.world.until(holds, seconds)

    async def images(self):
        pods = await self.world.pods()
        return sorted(pod["spec"]["containers"][0]["image"] for pod in pods)


async def test_it_makes_a_replica_set_named_after_the_template(world, shop):
    deployment = await world.deployment(replicas=3, progressDeadlineSeconds=600)
    await shop.complete()
    (found,) = await world.items(REPLICA_SETS)
    digest = found["metadata"]["labels"]["pod-template-hash"]
    assert found["metadata"]["name"] == f"web-{digest}"
    assert found["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": digest}
    assert found["metadata"]["annotations"] == {REVISION: "1", DESIRED: "3", MOST: "4"}
    assert controller_of(found)["uid"] == deployment["metadata"]["uid"]
    assert (await shop.deployment())["metadata"]["annotations"] == {REVISION: "1"}
    assert ("ScalingReplicaSet", f"Scaled up replica set web-{digest} from 0 to 3") in (
        await world.reasons("web")
    )


async def test_its_status_tells_how_the_rollout_went(world, shop):
    await world.deployment(replicas=3, progressDeadlineSeconds=600)
    await shop.complete()
    progressing = await shop.reason("Progressing", "NewReplicaSetAvailable")
    (found,) = await world.items(REPLICA_SETS)
    name = found["metadata"]["name"]
    assert progressing["message"] == f'ReplicaSet "{name}" has successfully progressed.'
    assert progressing["status"] == "True"
    available = conditions.get(await shop.deployment(), "Available")
    assert (available["status"], available["reason"]) == ("True", "MinimumReplicasAvailable")


async def test_a_rolling_update_never_breaks_its_bounds(world, shop):
    await world.deployment(
        replicas=6, strategy={"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
    )
    await shop.complete()
    await shop.set_image("web:2")

    async def done():
        pods = [p for p in await world.pods() if not p["metadata"].get("deletionTimestamp")]
        assert len(pods) <= 8
        assert sum(conditions.is_true(pod, "Ready") for pod in pods) >= 5
        return await shop.images() == ["web:2"] * 6

    await world.until(done)
    await shop.complete()
    assert await shop.sets() == {1: 0, 2: 6}


async def test_a_rollout_whose_pods_never_get_ready_stops_and_the_old_pods_serve(
    world, shop, kubelets
):
    await world.deployment(
        replicas=4, strategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    )
    await shop.complete()
    kubelets.hold = lambda pod: pod["spec"]["containers"][0]["image"] == "broken"
    await shop.set_image("broken")

    async def stuck():
        return await shop.sets() == {1: 3, 2: 2}

    await world.until(stuck)
    await world.settled()
    assert await stuck()
    await shop.set_image("web:1")  # kubectl rollout undo
    await shop.complete()
    assert await shop.sets() == {3: 4, 2: 0}


@pytest.mark.looptime
async def test_a_rollout_that_stands_still_exceeds_its_deadline(virtual):
    async with virtual.world() as world, virtual.kubelets(world) as kubelets:
        sets = ReplicaSetController(world.client, world.clock)
        async with virtual.run(sets, DeploymentController(world.client, world.clock)):
            shop = Shop(world)
            await world.deployment(replicas=2, progressDeadlineSeconds=60)
            await shop.complete()
            kubelets.hold = lambda pod: True
            await shop.set_image("broken")
            await shop.reason("Progressing", "ReplicaSetUpdated")
            start = world.clock.now()
            condition = await shop.reason("Progressing", "ProgressDeadlineExceeded", 120)
            assert condition["status"] == "False"
            assert condition["message"].endswith("has timed out progressing.")
            assert 59 <= world.clock.now() - start <= 63
            kubelets.hold = lambda pod: False
            await shop.complete()
            assert (await shop.reason("Progressing", "NewReplicaSetAvailable"))["status"] == "True"


async def test_undo_takes_the_old_replica_set_and_renumbers_it(world, shop):
    await world.deployment(replicas=1)
    before = await shop.complete()
    await shop.set_image("web:2")
    await shop.complete()
    await shop.patch({"template": before["spec"]["template"]})
    await shop.complete()

    async def renumbered():
        return await shop.sets() == {2: 0, 3: 1}

    await world.until(renumbered)
    assert len(await world.items(REPLICA_SETS)) == 2
    newest = max(
        await world.items(REPLICA_SETS), key=lambda s: int(s["metadata"]["annotations"][REVISION])
    )
    assert newest["metadata"]["annotations"][REVISION_HISTORY] == "1"
    assert (await shop.deployment())["metadata"]["annotations"][REVISION] == "3"


async def test_history_beyond_its_limit_is_deleted(world, shop):
    await world.deployment(replicas=1, revisionHistoryLimit=2)
    for number in range(2, 6):
        await shop.complete()
        await shop.set_image(f"web:{number}")
    await shop.complete()

    async def trimmed():
        return await shop.sets() == {3: 0, 4: 0, 5: 1}

    await world.until(trimmed)


async def test_a_paused_deployment_waits_but_still_scales(world, shop):
    await world.deployment(replicas=2, progressDeadlineSeconds=600)
    await shop.complete()
    await shop.patch({"paused": True})
    await shop.reason("Progressing", "DeploymentPaused")
    await shop.set_image("web:2")
    await shop.patch({"replicas": 4})

    async def scaled():
        return await shop.images() == ["web:1"] * 4

    await world.until(scaled)
    assert await shop.sets() == {1: 4}
    await shop.patch({"paused": False})
    await shop.complete()
    assert await shop.images() == ["web:2"] * 4


async def test_scaling_in_the_middle_of_a_rollout_is_proportional(world, shop, kubelets):
    await world.deployment(
        replicas=10, strategy={"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    )
    await shop.complete()
    kubelets.hold = lambda pod: pod["spec"]["containers"][0]["image"] == "broken"
    await shop.set_image("broken")

    async def sizes(*expected):
        found = await shop.sets()
        return [found.get(1), found.get(2)] == list(expected)

    await world.until(lambda: sizes(8, 5))
    await shop.patch({"replicas": 15})
    await world.until(lambda: sizes(11, 7))  # the example of the documentation


async def test_recreate_waits_until_the_old_pods_are_gone(world, shop, kubelets):
    await world.node("n1")
    await world.deployment(replicas=2, strategy={"type": "Recreate"})
    await shop.complete()
    # Only a Pod that runs on a node ends with grace; this is the binding of a scheduler.
    for pod in await world.pods():
        await bind(world, pod, "n1")
    kubelets.keep = True
    await shop.set_image("web:2")

    async def terminating():
        pods = await world.pods()
        return all(pod["metadata"].get("deletionTimestamp") for pod in pods) and len(pods) == 2

    await world.until(terminating)
    await world.settled()
    assert await shop.images() == ["web:1"] * 2, "no new Pod while an old one is there"
    kubelets.keep = False
    await shop.complete()
    assert await shop.images() == ["web:2"] * 2


async def bind(world, pod, node):
    meta = {"name": pod["metadata"]["name"]}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": meta, "target": {"name": node}}
    await world.client.create(PODS, binding, "default", "binding")


async def test_a_matching_replica_set_without_owner_is_adopted(world, shop, template):
    labels = {"app": "web", "pod-template-hash": "x"}
    meta = {**template["metadata"], "labels": labels}
    await world.replica_set(
        "web-x",
        1,
        selector={"matchLabels": labels},
        template={**copy.deepcopy(template), "metadata": meta},
    )
    orphan = await world.find(REPLICA_SETS, "web-x")
    await world.client.patch(
        REPLICA_SETS, "web-x", {"metadata": {"labels": {"app": "web"}}}, "default"
    )
    deployment = await world.deployment(replicas=2)
    await shop.complete()
    (found,) = await world.items(REPLICA_SETS)
    assert found["metadata"]["uid"] == orphan["metadata"]["uid"]
    assert controller_of(found)["uid"] == deployment["metadata"]["uid"]
    assert found["spec"]["replicas"] == 2


async def test_a_name_that_is_taken_counts_as_a_hash_collision(world, shop, template):
    await world.deployment(replicas=1, paused=True)
    deployment = await shop.deployment()
    name = f"web-{pod_template_hash(deployment['spec']['template'], 0)}"
    labels = {"app": "other"}
    await world.replica_set(
        name,
        0,
        selector={"matchLabels": labels},
        template={"metadata": {"labels": labels}, "spec": template["spec"]},
    )
    await shop.patch({"paused": False})
    done = await shop.complete()
    assert done["status"]["collisionCount"] == 1
    assert len(await world.items(REPLICA_SETS)) == 2


async def test_the_min_ready_seconds_reach_the_replica_set(world, shop):
    await world.deployment(replicas=1)
    await shop.complete()
    await shop.patch({"minReadySeconds": 5})

    async def reached():
        (found,) = await world.items(REPLICA_SETS)
        return found["spec"].get("minReadySeconds") == 5

    await world.until(reached)


async def test_a_restarted_controller_ends_a_rollout_that_another_began(world, running, kubelets):
    await running(ReplicaSetController(world.client, world.clock))
    first = DeploymentController(world.client, world.clock)
    await first.start()
    shop = Shop(world)
    await world.deployment(replicas=6)
    await shop.complete()
    await shop.set_image("web:2")

    async def begun():
        return 2 in await shop.sets()

    await world.until(begun)
    await first.stop()
    await running(DeploymentController(world.client, world.clock))
    await shop.complete()
    assert await shop.images() == ["web:2"] * 6
    assert await shop.sets() == {1: 0, 2: 6}
