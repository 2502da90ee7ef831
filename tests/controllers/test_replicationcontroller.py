"""ReplicationControllers: ReplicaSets with a plainer selector."""

from __future__ import annotations

from labkit.controllers.replicationcontroller import ReplicationManager
from labkit.kube.objects import controller_of
from labkit.kube.resources import REPLICATION_CONTROLLERS
from tests.controllers.conftest import TEMPLATE


async def test_it_makes_its_pods_adopts_others_and_says_so(world, running):
    await running(ReplicationManager(world.client, world.clock))
    await world.pod("stray", {"app": "web"})
    body = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"app": "web"}, "template": TEMPLATE},
    }
    owner = await world.client.create(REPLICATION_CONTROLLERS, body)

    async def counted():
        found = await world.find(REPLICATION_CONTROLLERS, "web")
        return found["status"].get("replicas") == 2 and found

    status = (await world.until(counted))["status"]
    assert status == {"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1}
    pods = await world.pods()
    assert "stray" in {pod["metadata"]["name"] for pod in pods}
    assert {controller_of(pod)["uid"] for pod in pods} == {owner["metadata"]["uid"]}
