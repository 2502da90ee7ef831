"""Owners and dependents against a real API server in memory."""

import pytest

from labkit.controllers.garbagecollector import GarbageCollector
from labkit.controllers.manager import RESOURCES
from labkit.kube.objects import controller_reference
from labkit.kube.resources import CONFIG_MAPS, EVENTS, LEASES, NAMESPACES, SECRETS

KINDS = [kind for kind in RESOURCES if kind not in (EVENTS, LEASES)]


async def config_map(world, name, *owners, namespace="default", **fields):
    meta = {"name": name, "namespace": namespace, **fields}
    if owners:
        meta["ownerReferences"] = [reference(owner) for owner in owners]
    return await world.client.create(CONFIG_MAPS, {"metadata": meta})


def reference(owner):
    return {**controller_reference(owner), "controller": False}


async def gone(world, *names):
    async def holds():
        return not any([await world.find(CONFIG_MAPS, name) for name in names])

    await world.until(holds)


@pytest.fixture
async def collector(world, running):
    return await running(GarbageCollector(world.client, world.clock, KINDS))


async def test_dependents_go_after_their_owner_to_the_last_generation(world, collector):
    owner = await config_map(world, "owner")
    child = await config_map(world, "child", owner)
    await config_map(world, "grandchild", child)
    await config_map(world, "bystander")
    await world.client.delete(CONFIG_MAPS, "owner", "default")
    await gone(world, "owner", "child", "grandchild")
    assert await world.find(CONFIG_MAPS, "bystander")


async def test_a_dependent_with_a_living_owner_stays_and_forgets_the_dead_one(world, collector):
    dead, living = await config_map(world, "dead"), await config_map(world, "living")
    await config_map(world, "child", dead, living)
    await world.client.delete(CONFIG_MAPS, "dead", "default")

    async def forgotten():
        child = await world.find(CONFIG_MAPS, "child")
        return [each["name"] for each in child["metadata"]["ownerReferences"]] == ["living"]

    await world.until(forgotten)


async def test_an_owner_of_the_same_name_is_not_the_owner(world, collector):
    owner = await config_map(world, "owner")
    await world.client.delete(CONFIG_MAPS, "owner", "default")
    await config_map(world, "owner")
    await config_map(world, "child", owner)
    await gone(world, "child")
    assert await world.find(CONFIG_MAPS, "owner")


async def test_foreground_deletion_takes_the_dependents_first(world, collector):
    owner = await config_map(world, "owner")
    child = await config_map(world, "child", owner)
    await config_map(world, "grandchild", child, finalizers=["example.com/hold"])
    await world.client.delete(CONFIG_MAPS, "owner", "default", propagation_policy="Foreground")

    async def waiting():
        found = [await world.find(CONFIG_MAPS, n) for n in ("owner", "child", "grandchild")]
        return all(each and each["metadata"].get("deletionTimestamp") for each in found)

    await world.until(waiting)
    await world.settled()
    assert await waiting(), "nobody goes before the last dependent has gone"
    await world.client.patch(
        CONFIG_MAPS, "grandchild", {"metadata": {"finalizers": None}}, "default"
    )
    await gone(world, "owner", "child", "grandchild")


async def test_orphaned_dependents_stay_without_owner(world, collector):
    owner = await config_map(world, "owner")
    await config_map(world, "child", owner)
    await world.client.delete(CONFIG_MAPS, "owner", "default", propagation_policy="Orphan")
    await gone(world, "owner")
    child = await world.find(CONFIG_MAPS, "child")
    assert not child["metadata"].get("ownerReferences")


async def test_what_lost_its_owner_while_nobody_looked_is_found_at_the_start(world, running):
    owner = await config_map(world, "owner")
    await config_map(world, "child", owner)
    await world.client.delete(CONFIG_MAPS, "owner", "default")
    assert await world.find(CONFIG_MAPS, "child")
    await running(GarbageCollector(world.client, world.clock, KINDS))
    await gone(world, "child")


async def test_an_owner_of_an_unknown_kind_counts_as_alive(world, collector):
    owner = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "uid": "1"},
    }
    await config_map(world, "child", owner)
    await world.settled()
    assert await world.find(CONFIG_MAPS, "child")


async def test_kinds_and_namespaces_mix(world, collector):
    await world.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    namespace = await world.find(NAMESPACES, "shop", None)
    secret = await world.client.create(SECRETS, {"metadata": {"name": "s", "namespace": "default"}})
    await config_map(world, "of-secret", secret)
    await config_map(world, "of-namespace", namespace)
    await world.client.delete(SECRETS, "s", "default")
    await gone(world, "of-secret")
    assert await world.find(CONFIG_MAPS, "of-namespace")
