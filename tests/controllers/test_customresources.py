"""Custom resources go with their namespaces and with their owners, from their definition on."""

from labkit.controllers.garbagecollector import GarbageCollector
from labkit.controllers.manager import RESOURCES
from labkit.controllers.namespace import NamespaceController
from labkit.kube import conditions
from labkit.kube.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, Resource

CRON_TABS = Resource("stable.example.com", "v1", "crontabs", "CronTab")
DEFINITION = {
    "metadata": {"name": "crontabs.stable.example.com"},
    "spec": {
        "group": "stable.example.com",
        "scope": "Namespaced",
        "names": {"plural": "crontabs", "kind": "CronTab"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


async def define(world):
    await world.client.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)

    async def established():
        found = await world.find(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION["metadata"]["name"], None)
        return conditions.is_true(found, "Established")

    await world.until(established)


async def cron_tab(world, name, namespace="default", owner=None):
    meta = {"name": name, "namespace": namespace}
    if owner:
        names = {key: owner["metadata"][key] for key in ("name", "uid")}
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], **names}
        meta["ownerReferences"] = [reference]
    return await world.client.create(CRON_TABS, {"metadata": meta})


async def test_a_namespace_takes_its_custom_resources_with_it(world, running):
    await running(NamespaceController(world.client, world.clock, RESOURCES))
    await define(world)
    await world.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await cron_tab(world, "x", "shop")
    await world.client.delete(NAMESPACES, "shop")

    async def gone():
        return await world.find(NAMESPACES, "shop", None) is None

    await world.until(gone)
    assert await world.items(CRON_TABS) == []


async def test_custom_resources_own_and_are_owned(world, running):
    await running(GarbageCollector(world.client, world.clock, RESOURCES))
    await define(world)
    owner = await cron_tab(world, "owner")
    child = await cron_tab(world, "child", owner=owner)
    meta = {"name": "grandchild", "namespace": "default"}
    names = {key: child["metadata"][key] for key in ("name", "uid")}
    meta["ownerReferences"] = [{"apiVersion": child["apiVersion"], "kind": "CronTab", **names}]
    await world.client.create(CONFIG_MAPS, {"metadata": meta})
    await world.client.delete(CRON_TABS, "owner", "default")

    async def gone():
        return not await world.items(CRON_TABS) and not await world.find(CONFIG_MAPS, "grandchild")

    await world.until(gone)


async def test_the_end_of_a_definition_ends_what_its_instances_owned(world, running):
    collector = await running(GarbageCollector(world.client, world.clock, RESOURCES))
    await define(world)
    owner = await cron_tab(world, "owner")
    names = {key: owner["metadata"][key] for key in ("name", "uid")}
    meta = {"name": "child", "namespace": "default"}
    meta["ownerReferences"] = [{"apiVersion": owner["apiVersion"], "kind": "CronTab", **names}]
    await world.client.create(CONFIG_MAPS, {"metadata": meta})
    name = DEFINITION["metadata"]["name"]
    await world.client.delete(CUSTOM_RESOURCE_DEFINITIONS, name)

    async def gone():
        definition = await world.find(CUSTOM_RESOURCE_DEFINITIONS, name, None)
        return not definition and not await world.find(CONFIG_MAPS, "child")

    await world.until(gone)
    assert CRON_TABS.name not in collector._caches
    await define(world)
    assert (await cron_tab(world, "again"))["metadata"]["generation"] == 1
