"""What only the embedded server can show of custom resources: restarts, and two servers at once."""

from __future__ import annotations

import asyncio

import pytest

from labkit.apiserver.core import APIServer
from labkit.apiserver.store import MemoryStore
from labkit.apiserver.store_sqlite import SQLiteStore
from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.kube import conditions
from labkit.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource
from tests.apiserver.conftest import ADMIN, SERVICE_CIDR

CRON_TABS = Resource("stable.example.com", "v1", "crontabs", "CronTab")
NAME = "crontabs.stable.example.com"


def definition(**spec_fields: dict) -> dict:
    spec = {"type": "object", "properties": spec_fields}
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "crontabs", "kind": "CronTab"}
    return {
        "metadata": {"name": NAME},
        "spec": {
            "group": CRON_TABS.group,
            "scope": "Namespaced",
            "names": names,
            "versions": [version],
        },
    }


async def define(client: Client, **spec_fields: dict) -> None:
    made = await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition(**spec_fields))
    since = made["metadata"]["resourceVersion"]
    async with asyncio.timeout(5):
        async for event in client.watch(CUSTOM_RESOURCE_DEFINITIONS, resource_version=since):
            if conditions.is_true(event["object"], "Established"):
                return


def tab(**spec: object) -> dict:
    return {"metadata": {"name": "tab", "namespace": "default"}, "spec": spec}


def server(store) -> APIServer:
    return APIServer(store, Clock(), service_cidr=SERVICE_CIDR)


async def test_definitions_and_instances_are_there_after_a_restart(tmp_path):
    first = server(SQLiteStore(tmp_path / "state.db"))
    await first.start()
    client = Client(first.transport(ADMIN))
    await define(client, cron={"type": "string"}, tries={"type": "integer", "default": 3})
    made = await client.create(CRON_TABS, tab(cron="x"))
    await first.stop()

    second = server(SQLiteStore(tmp_path / "state.db"))
    await second.start()
    client = Client(second.transport(ADMIN))
    try:
        assert await client.get(CRON_TABS, "tab", "default") == made
        with pytest.raises(ApiError, match="must be of type string"):
            await client.create(CRON_TABS, tab(cron=1))
    finally:
        await second.stop()


async def test_two_servers_do_not_share_their_definitions():
    one, other = server(MemoryStore()), server(MemoryStore())
    await one.start()
    await other.start()
    try:
        await define(Client(one.transport(ADMIN)))
        with pytest.raises(ApiError) as caught:
            await Client(other.transport(ADMIN)).list(CRON_TABS)
        assert caught.value.not_found
    finally:
        await one.stop()
        await other.stop()


async def test_objects_are_served_as_they_are_stored(api, client):
    await define(client, cron={"type": "string"})
    await client.create(CRON_TABS, tab(cron="x"))
    stored = api.state.of(CRON_TABS).items["default/tab"]
    row = api.registry.find(CRON_TABS.group, "v1", "crontabs")
    assert row.custom.served(stored) is stored


async def test_what_was_stored_before_a_change_is_served_as_the_change_wants_it(api, client):
    await define(client, old={"type": "string"}, cron={"type": "string"})
    await client.create(CRON_TABS, tab(cron="x", old="y"))
    changed = await client.get(CUSTOM_RESOURCE_DEFINITIONS, NAME)
    fields = {"cron": {"type": "string"}, "tries": {"type": "integer", "default": 3}}
    versions = definition(**fields)["spec"]["versions"]
    await client.update(
        CUSTOM_RESOURCE_DEFINITIONS, {**changed, "spec": {**changed["spec"], "versions": versions}}
    )
    assert (await client.get(CRON_TABS, "tab", "default"))["spec"] == {"cron": "x", "tries": 3}
    patched = await client.patch(CRON_TABS, "tab", {"spec": {"cron": "z"}}, "default")
    assert patched["spec"] == {"cron": "z", "tries": 3}
    assert api.state.of(CRON_TABS).items["default/tab"].obj["spec"] == patched["spec"]


async def test_a_watch_ends_when_its_definition_changes(api, client):
    await define(client, cron={"type": "string"})
    watch = client.watch(CRON_TABS, resource_version=str(api.state.revision))
    ended = asyncio.create_task(anext(watch, None))
    await asyncio.sleep(0.01)
    patch = {"spec": {"versions": definition(cron={"type": "integer"})["spec"]["versions"]}}
    await client.patch(CUSTOM_RESOURCE_DEFINITIONS, NAME, patch)
    assert await asyncio.wait_for(ended, 5) is None
