"""Endpoints that people wrote, mirrored into EndpointSlices, against an API server in memory."""

import pytest

from labkit.controllers.endpointslicemirroring import (
    OURSELVES,
    SKIP_MIRROR,
    EndpointSliceMirroringController,
    is_mirrored,
    mirrored,
)
from labkit.controllers.slicewriter import MANAGED_BY, SERVICE_NAME
from labkit.kube.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES

META = {"name": "db", "namespace": "default"}
PORT = {"name": "sql", "port": 5432, "protocol": "TCP"}


def endpoints(*subsets, **meta):
    return {"metadata": {**META, **meta}, "subsets": list(subsets)}


def subset(*addresses, not_ready=(), ports=(PORT,)):
    return {
        "addresses": [{"ip": ip} for ip in addresses],
        "notReadyAddresses": [{"ip": ip} for ip in not_ready],
        "ports": list(ports),
    }


@pytest.fixture
async def slices(world, running):
    """`await slices(["127.1.1.1", ...])`: the slices, once they hold exactly these addresses."""
    await running(EndpointSliceMirroringController(world.client, world.clock))

    async def wait(addresses):
        async def holds():
            found = await world.items(ENDPOINT_SLICES, f"{SERVICE_NAME}=db")
            have = sorted(a for s in found for e in s["endpoints"] for a in e["addresses"])
            return (found or True) if have == sorted(addresses) else None

        return await world.until(holds)

    return wait


async def service(world, **spec):
    return await world.client.create(
        SERVICES, {"metadata": META, "spec": {"ports": [{"port": 5432}], **spec}}
    )


async def test_endpoints_of_a_service_without_selector_become_slices(world, slices):
    await service(world)
    owner = await world.client.create(
        ENDPOINTS, endpoints(subset("127.9.9.1", not_ready=["127.9.9.2"]), labels={"team": "red"})
    )
    (found,) = await slices(["127.9.9.1", "127.9.9.2"])
    assert found["metadata"]["labels"] == {
        "team": "red",
        SERVICE_NAME: "db",
        MANAGED_BY: OURSELVES,
    }
    assert found["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert found["ports"] == [PORT]
    ready = {each["addresses"][0]: each["conditions"]["ready"] for each in found["endpoints"]}
    assert ready == {"127.9.9.1": True, "127.9.9.2": False}


async def test_changes_are_followed_and_the_mirror_goes_with_the_endpoints(world, slices):
    await world.client.create(ENDPOINTS, endpoints(subset("127.9.9.1")))
    await service(world)
    await slices(["127.9.9.1"])
    subsets = {"subsets": [subset("127.9.9.3"), subset("127.9.9.4", ports=[{"port": 1}])]}
    await world.client.patch(ENDPOINTS, "db", subsets, "default")
    assert len(await slices(["127.9.9.3", "127.9.9.4"])) == 2
    await world.client.delete(ENDPOINTS, "db", "default")
    await slices([])


async def test_a_service_that_gets_a_selector_loses_its_mirror(world, slices):
    await world.client.create(ENDPOINTS, endpoints(subset("127.9.9.1")))
    await service(world)
    await slices(["127.9.9.1"])
    await world.client.patch(SERVICES, "db", {"spec": {"selector": {"app": "db"}}}, "default")
    await slices([])


@pytest.mark.parametrize(
    ("found", "spec", "expected"),
    [
        (endpoints(), {}, True),
        (endpoints(), {"selector": {"app": "db"}}, False),
        (endpoints(labels={SKIP_MIRROR: "true"}), {}, False),
        (endpoints(labels={SKIP_MIRROR: "false"}), {}, True),
        (endpoints(annotations={"control-plane.alpha.kubernetes.io/leader": "{}"}), {}, False),
        (None, {}, False),
    ],
)
def test_which_endpoints_are_mirrored(found, spec, expected):
    assert is_mirrored(found, {"spec": spec}) is expected
    assert is_mirrored(found, None) is False


def test_addresses_keep_what_is_said_of_them_and_a_thousand_of_a_subset_are_enough():
    reference = {"kind": "Pod", "name": "db-0", "uid": "1"}
    whole = {"ip": "127.9.9.1", "hostname": "db-0", "nodeName": "n1", "targetRef": reference}
    ((group, (found,)),) = mirrored(endpoints({"addresses": [whole], "ports": [PORT]})).items()
    assert (group.address_type, group.ports[0].port) == ("IPv4", 5432)
    assert found == {
        "addresses": ["127.9.9.1"],
        "conditions": {"ready": True},
        "hostname": "db-0",
        "nodeName": "n1",
        "targetRef": reference,
    }
    many = subset(*(f"127.9.{n // 250}.{n % 250 + 1}" for n in range(1200)))
    ((_, kept),) = mirrored(endpoints(many)).items()
    assert len(kept) == 1000
