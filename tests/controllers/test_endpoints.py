"""EndpointSlices and Endpoints against a real API server in memory."""

import pytest

from labkit.controllers.endpoints import EndpointsController
from labkit.controllers.endpointslice import (
    MANAGED_BY,
    OURSELVES,
    SERVICE_NAME,
    EndpointSliceController,
)
from labkit.controllers.informers import InformerFactory
from labkit.kube.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES


@pytest.fixture
async def net(world, running):
    factory = InformerFactory(world.client, world.clock)
    await running(EndpointSliceController(world.client, world.clock, factory, 3))
    await running(EndpointsController(world.client, world.clock, factory))
    yield Net(world)
    await factory.stop()


class Net:
    def __init__(self, world):
        self.world = world

    async def slices(self):
        return await self.world.items(ENDPOINT_SLICES, f"{SERVICE_NAME}=web")

    async def endpoints(self, count):
        """All endpoints once there are so many."""

        async def holds():
            found = [each for s in await self.slices() for each in s.get("endpoints") or ()]
            return (found or True) if len(found) == count and await self.slices() else None

        return await self.world.until(holds)

    async def condition(self, **expected):
        async def holds():
            found = [each for s in await self.slices() for each in s.get("endpoints") or ()]
            return len(found) == 1 and expected.items() <= found[0]["conditions"].items()

        await self.world.until(holds)

    async def legacy(self, ready, not_ready=()):
        """Once the Endpoints object has exactly these addresses."""

        async def holds():
            found = await self.world.find(ENDPOINTS, "web")
            subsets = (found or {}).get("subsets") or []
            both = [
                sorted(a["ip"] for s in subsets for a in s.get(field) or ())
                for field in ("addresses", "notReadyAddresses")
            ]
            return found if both == [sorted(ready), sorted(not_ready)] else None

        return await self.world.until(holds)


async def service(world, selector=None, ports=None, **spec):
    ports = ports or [{"port": 80, "targetPort": 8080}]
    selector = {"app": "web"} if selector is None else selector
    if selector:
        spec["selector"] = selector
    meta = {"name": "web", "namespace": "default", "labels": {"team": "red"}}
    return await world.client.create(SERVICES, {"metadata": meta, "spec": {"ports": ports, **spec}})


async def a_pod(world, name, ip, ready=True, **spec):
    pod = await world.pod(name, {"app": "web"}, **spec)
    return await world.run_pod(pod, ready, ip)


async def test_a_service_gets_a_slice_of_its_pods(world, net):
    owner = await service(world)
    await world.node("n1")
    pod = await a_pod(world, "one", "127.244.1.5", nodeName="n1")
    (found,) = await net.endpoints(1)
    assert found["addresses"] == ["127.244.1.5"]
    assert found["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert found["nodeName"] == "n1"
    assert found["targetRef"]["uid"] == pod["metadata"]["uid"]

    async def settled():
        slices = await net.slices()
        return len(slices) == 1 and slices[0]

    slice_ = await world.until(settled)
    assert slice_["metadata"]["labels"] == {
        SERVICE_NAME: "web",
        MANAGED_BY: OURSELVES,
        "team": "red",
    }
    assert slice_["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert slice_["ports"] == [{"name": "", "protocol": "TCP", "port": 8080}]
    endpoints = await net.legacy(["127.244.1.5"])
    assert endpoints["subsets"][0]["ports"][0]["port"] == 8080


async def test_a_pod_that_is_not_ready_is_an_endpoint_that_is_not_ready(world, net):
    await service(world)
    pod = await a_pod(world, "one", "127.244.1.5", ready=False)
    await net.condition(ready=False, serving=False)
    await net.legacy([], ["127.244.1.5"])
    await world.run_pod(pod, True, "127.244.1.5")
    await net.condition(ready=True, serving=True)
    await net.legacy(["127.244.1.5"])


async def test_a_terminating_pod_serves_but_is_not_ready(world, net):
    await service(world)
    await world.node("n1")
    await a_pod(world, "one", "127.244.1.5", nodeName="n1")
    await net.endpoints(1)
    await world.client.delete(PODS, "one", "default")
    await net.condition(ready=False, serving=True, terminating=True)
    await net.legacy([])
    await world.client.delete(PODS, "one", "default", grace_period_seconds=0)
    await net.endpoints(0)


async def test_publish_not_ready_addresses_makes_all_ready(world, net):
    await service(world, publishNotReadyAddresses=True)
    await a_pod(world, "one", "127.244.1.5", ready=False)
    await net.condition(ready=True, serving=False)
    await net.legacy(["127.244.1.5"])


async def test_a_pod_is_known_by_its_hostname_below_its_subdomain(world, net):
    await service(world, clusterIP="None")
    await a_pod(world, "web-0", "127.244.1.5", hostname="web-0", subdomain="web")
    (found,) = await net.endpoints(1)
    assert found["hostname"] == "web-0"
    legacy = await net.legacy(["127.244.1.5"])
    assert legacy["subsets"][0]["addresses"][0]["hostname"] == "web-0"


async def test_a_named_port_is_looked_up_in_each_pod(world, net):
    await service(world, ports=[{"name": "http", "port": 80, "targetPort": "web"}])
    for name, ip, port in (("old", "127.244.1.5", 8080), ("new", "127.244.1.6", 9090)):
        container = {"name": "c", "image": "i", "ports": [{"name": "web", "containerPort": port}]}
        await a_pod(world, name, ip, containers=[container])
    await net.endpoints(2)
    found = {s["ports"][0]["port"]: s["endpoints"][0]["addresses"] for s in await net.slices()}
    assert found == {8080: ["127.244.1.5"], 9090: ["127.244.1.6"]}


async def test_more_pods_than_fit_make_more_slices(world, net):
    await service(world)
    for number in range(7):
        await a_pod(world, f"p{number}", f"127.244.1.{number + 2}")
    await net.endpoints(7)
    assert sorted(len(s["endpoints"]) for s in await net.slices()) == [1, 3, 3]


async def test_a_service_without_selector_is_left_alone(world, net):
    await service(world, selector={})
    await a_pod(world, "one", "127.244.1.5")
    await world.settled()
    assert await net.slices() == []
    assert await world.find(ENDPOINTS, "web") is None


async def test_a_changed_selector_changes_the_endpoints(world, net):
    await service(world)
    await a_pod(world, "one", "127.244.1.5")
    await net.endpoints(1)
    await world.client.patch(SERVICES, "web", {"spec": {"selector": {"app": "x"}}}, "default")
    await net.endpoints(0)
    await net.legacy([])


async def test_the_endpoints_object_goes_with_its_service(world, net):
    await service(world)
    await net.legacy([])
    await world.client.delete(SERVICES, "web", "default")

    async def gone():
        return await world.find(ENDPOINTS, "web") is None

    await world.until(gone)


async def test_a_slice_that_somebody_deletes_is_made_again(world, net):
    await service(world)
    await a_pod(world, "one", "127.244.1.5")
    await net.endpoints(1)
    for slice_ in await net.slices():
        await world.client.delete(ENDPOINT_SLICES, slice_["metadata"]["name"], "default")
    await net.endpoints(1)
