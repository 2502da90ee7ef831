"""ReplicaSets against a real API server in memory."""

import asyncio

import pytest

from labkit.client import ApiError, Client, Informer
from labkit.client.errors import status_error
from labkit.controllers.informers import InformerFactory, SharedInformer
from labkit.controllers.replicaset import ReplicaSetController
from labkit.kube.objects import controller_of
from labkit.kube.resources import PODS, REPLICA_SETS


def active(pods):
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


async def has(world, count):
    return await world.until(lambda: exactly(world, count))


async def exactly(world, count):
    found = active(await world.pods())
    return (found or True) if len(found) == count else None


async def scale(world, replicas):
    await world.client.patch(REPLICA_SETS, "web", {"spec": {"replicas": replicas}}, "default")


async def test_it_makes_its_pods_and_says_so(world, running):
    await running(ReplicaSetController(world.client, world.clock))
    owner = await world.replica_set(replicas=3)
    pods = await has(world, 3)
    for pod in pods:
        assert pod["metadata"]["name"].startswith("web-")
        assert controller_of(pod)["uid"] == owner["metadata"]["uid"]
        assert pod["metadata"]["labels"] == {"app": "web"}
    names = {pod["metadata"]["name"] for pod in pods}

    async def told():
        events = await world.reasons("web")
        return {m.removeprefix("Created pod: ") for r, m in events if r == "SuccessfulCreate"}

    await world.until(lambda: same(told, names))


async def same(function, expected):
    return await function() == expected


async def test_a_pod_that_goes_is_replaced_and_one_too_many_is_deleted(world, running):
    await running(ReplicaSetController(world.client, world.clock))
    await world.replica_set(replicas=2)
    first, _ = await has(world, 2)
    await world.client.delete(PODS, first["metadata"]["name"], "default")
    pods = await has(world, 2)
    assert first["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in pods}
    await scale(world, 1)
    await has(world, 1)
    await scale(world, 0)
    await has(world, 0)


async def test_a_matching_orphan_is_adopted_and_counts(world, running):
    await running(ReplicaSetController(world.client, world.clock))
    orphan = await world.pod("orphan", {"app": "web"})
    owner = await world.replica_set(replicas=2)
    pods = await has(world, 2)
    adopted = next(p for p in pods if p["metadata"]["uid"] == orphan["metadata"]["uid"])
    assert controller_of(adopted)["uid"] == owner["metadata"]["uid"]


async def test_an_orphan_that_is_one_too_many_is_deleted(world, running):
    await running(ReplicaSetController(world.client, world.clock))
    await world.replica_set(replicas=1)
    await has(world, 1)
    await world.pod("late", {"app": "web"})
    await has(world, 1)


async def test_a_pod_whose_label_is_changed_is_released_and_replaced(world, running):
    await running(ReplicaSetController(world.client, world.clock))
    await world.replica_set(replicas=2)
    first, _ = await has(world, 2)
    patch = {"metadata": {"labels": {"app": "debug"}}}
    await world.client.patch(PODS, first["metadata"]["name"], patch, "default")
    pods = await has(world, 3)
    free = next(p for p in pods if p["metadata"]["uid"] == first["metadata"]["uid"])
    assert controller_of(free) is None


async def test_another_controllers_pod_is_left_alone(world, running):
    await running(ReplicaSetController(world.client, world.clock))
    other = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "x",
        "uid": "u",
        "controller": True,
    }
    await world.client.create(
        PODS,
        {
            "metadata": {
                "name": "theirs",
                "namespace": "default",
                "labels": {"app": "web"},
                "ownerReferences": [other],
            },
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
    )
    await world.replica_set(replicas=2)
    pods = await has(world, 3)
    theirs = next(pod for pod in pods if pod["metadata"]["name"] == "theirs")
    assert controller_of(theirs)["uid"] == "u"


async def test_the_status_counts_its_pods(world, running, kubelets):
    kubelets.hold = lambda pod: True
    await running(ReplicaSetController(world.client, world.clock))
    await world.replica_set(replicas=2)
    pods = await has(world, 2)
    await world.run_pod(pods[0])

    async def counted():
        status = (await world.find(REPLICA_SETS, "web"))["status"]
        return status.get("readyReplicas") == 1 and status

    status = await world.until(counted)
    assert status["replicas"] == status["fullyLabeledReplicas"] == 2
    assert status["availableReplicas"] == 1
    assert status["observedGeneration"] == 1


@pytest.mark.looptime
async def test_a_pod_is_available_only_after_min_ready_seconds(virtual):
    async with virtual.world() as world:
        controller = ReplicaSetController(world.client, world.clock)
        async with virtual.run(controller):
            await world.replica_set(replicas=1, minReadySeconds=30)
            (pod,) = await has(world, 1)
            start = world.clock.now()
            await world.run_pod(pod)

            async def count(field):
                status = (await world.find(REPLICA_SETS, "web"))["status"]
                return status.get(field) == 1

            await world.until(lambda: count("readyReplicas"))
            assert not await count("availableReplicas")
            await world.until(lambda: count("availableReplicas"), 60)
            assert 29 <= world.clock.now() - start <= 32


class Late(SharedInformer):
    """A watch that lags behind: what it brings is held back until `let_through`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.open = asyncio.Event()
        self.open.set()

    async def _watch(self):
        async for event in super()._watch():
            await self.open.wait()
            yield event


class LateFactory(InformerFactory):
    """Shared informers whose Pods come late."""

    def informer(self, resource, **scope):
        if resource == PODS and (resource,) not in self._informers:
            self._informers[(resource,)] = Late(self.client, resource, self.clock, **scope)
        return super().informer(resource, **scope)


@pytest.fixture
async def late(world):
    factory = LateFactory(world.client, world.clock)
    yield factory
    await factory.stop()


async def test_a_stale_cache_never_makes_a_pod_too_many(world, running, late):
    controller = await running(ReplicaSetController(world.client, world.clock, late))
    pods = late.informer(PODS)
    pods.open.clear()
    await world.replica_set(replicas=3)
    await world.until(lambda: exactly(world, 3))
    for _ in range(10):
        controller.queue.add("default/web")
        await world.settled(5)
    assert len(await world.pods()) == 3
    assert not pods.store
    pods.open.set()
    await scale(world, 5)
    await has(world, 5)


async def test_a_stale_cache_never_deletes_a_pod_too_many(world, running, late):
    controller = await running(ReplicaSetController(world.client, world.clock, late))
    pods = late.informer(PODS)
    await world.replica_set(replicas=6)
    await has(world, 6)
    await world.until(lambda: seen(pods, 6))
    pods.open.clear()
    await scale(world, 4)
    await world.until(lambda: exactly(world, 4))
    for _ in range(10):
        controller.queue.add("default/web")
        await world.settled(5)
    assert len(await world.pods()) == 4
    assert len(pods.store) == 6
    pods.open.set()
    await has(world, 4)


async def seen(informer, count):
    return len(informer.store) == count


async def test_a_new_controller_goes_on_where_the_old_one_was_stopped(world):
    first = ReplicaSetController(world.client, world.clock)
    await first.start()
    await world.replica_set(replicas=40)

    async def some():
        return await world.pods()

    await world.until(some)
    await first.stop()
    second = ReplicaSetController(world.client, world.clock)
    await second.start()
    await has(world, 40)
    await world.settled()
    assert len(await world.pods()) == 40
    await second.stop()


class Refusing:
    """A transport that refuses to create Pods while `refuses`."""

    def __init__(self, inner):
        self._inner, self.refuses, self.refused = inner, True, 0

    async def request(self, method, path, **rest):
        if self.refuses and method == "POST" and path.endswith("/pods"):
            self.refused += 1
            raise status_error(403, "Forbidden", "exceeded quota: pods")
        return await self._inner.request(method, path, **rest)

    def watch(self, path, params):
        return self._inner.watch(path, params)

    async def close(self):
        pass


async def test_a_refusal_is_told_found_out_slowly_and_overcome(world, running):
    transport = Refusing(world.client.transport)
    await running(ReplicaSetController(Client(transport), world.clock))
    await world.replica_set(replicas=20)

    async def failing():
        status = (await world.find(REPLICA_SETS, "web")).get("status") or {}
        return next((c for c in status.get("conditions") or () if c["type"] == "ReplicaFailure"), 0)

    condition = await world.until(failing)
    assert condition["reason"] == "FailedCreate"
    assert condition["message"] == "exceeded quota: pods"
    assert transport.refused < 20, "one refusal ends an attempt"
    assert ("FailedCreate", "Error creating: exceeded quota: pods") in await world.reasons("web")
    transport.refuses = False
    await has(world, 20)

    async def cleared():
        return not await failing()

    await world.until(cleared)


async def test_an_informer_added_late_hears_of_what_is_known(world):
    factory = InformerFactory(world.client, world.clock)
    informer = factory.informer(PODS)
    informer.start()
    await informer.synced()
    await world.pod("one", {"app": "x"})
    await world.until(lambda: seen(informer, 1))
    heard = []
    informer.add_handler(lambda old, new: heard.append(new["metadata"]["name"]))
    informer.add_index("app", lambda pod: pod["metadata"]["labels"].values())
    assert heard == ["one"]
    assert len(informer.by_index("app", "x")) == 1
    assert factory.informer(PODS) is informer
    assert isinstance(informer, Informer)
    await factory.stop()
    with pytest.raises(ApiError):
        await world.client.get(PODS, "two", "default")
