"""Namespaces: how they end, and what each has."""

from labkit.client import Client
from labkit.controllers.manager import RESOURCES
from labkit.controllers.namespace import NamespaceController
from labkit.controllers.serviceaccount import (
    ROOT_CA,
    RootCACertificatePublisher,
    ServiceAccountController,
)
from labkit.kube.resources import CONFIG_MAPS, NAMESPACES, PODS, SERVICE_ACCOUNTS


async def shop(world):
    await world.client.create(NAMESPACES, {"metadata": {"name": "shop"}})


async def gone(world):
    return await world.find(NAMESPACES, "shop", None) is None


async def test_a_namespace_goes_with_all_that_is_in_it(world, running):
    await running(NamespaceController(world.client, world.clock, RESOURCES))
    await shop(world)
    for resource in (CONFIG_MAPS, SERVICE_ACCOUNTS):
        await world.client.create(resource, {"metadata": {"name": "x", "namespace": "shop"}})
    await world.client.delete(NAMESPACES, "shop")
    await world.until(lambda: gone(world))
    assert await world.find(CONFIG_MAPS, "x", "shop") is None


async def test_pods_end_with_grace_before_anything_else_is_deleted(world, running):
    await running(NamespaceController(world.client, world.clock, RESOURCES))
    await shop(world)
    await world.node("n1")
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
    account = {"metadata": {"name": "default", "namespace": "shop"}}
    await world.client.create(SERVICE_ACCOUNTS, account)
    pod = {"metadata": {"name": "p", "namespace": "shop"}, "spec": spec}
    await world.client.create(PODS, pod)
    await world.client.create(CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "shop"}})
    await world.client.delete(NAMESPACES, "shop")

    async def told():
        namespace = await world.find(NAMESPACES, "shop", None)
        found = namespace["status"].get("conditions") or ()
        return next((c for c in found if c["type"] == "NamespaceContentRemaining"), None)

    condition = await world.until(told)
    assert "pods has 1 resource instances" in condition["message"]
    assert await world.find(CONFIG_MAPS, "x", "shop")
    await world.client.delete(PODS, "p", "shop", grace_period_seconds=0)
    await world.until(lambda: gone(world))


async def test_every_namespace_has_a_default_service_account(world, running):
    await running(ServiceAccountController(world.client, world.clock))
    await shop(world)

    async def there():
        return await world.find(SERVICE_ACCOUNTS, "default", "shop")

    await world.until(there)
    assert await world.find(SERVICE_ACCOUNTS, "default", "kube-system")
    await world.client.delete(SERVICE_ACCOUNTS, "default", "shop")
    await world.until(there)


async def test_every_namespace_has_the_root_certificate_and_gets_it_back(world, running):
    await running(RootCACertificatePublisher(world.client, world.clock, "PEM"))
    await shop(world)

    async def there():
        found = await world.find(CONFIG_MAPS, ROOT_CA, "shop")
        return found and found["data"] == {"ca.crt": "PEM"}

    await world.until(there)
    await world.client.patch(CONFIG_MAPS, ROOT_CA, {"data": {"ca.crt": "other"}}, "shop")
    await world.until(there)
    assert isinstance(world.client, Client)
