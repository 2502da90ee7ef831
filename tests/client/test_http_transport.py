"""Our client over HTTPS, against any cluster and against servers that misbehave."""

import asyncio
import uuid
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from labkit.client import ApiError, Client
from labkit.client.http import HttpTransport
from labkit.client.kubeconfig import client_from_kubeconfig
from labkit.kube.resources import CONFIG_MAPS, NAMESPACES


@pytest.fixture
async def client(kubeconfig):
    made = await client_from_kubeconfig(kubeconfig)
    yield made
    await made.close()


@pytest.fixture
async def namespace(client):
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.create(NAMESPACES, {"metadata": {"name": name}})
    yield name
    await client.delete(NAMESPACES, name)


def config_map(name, **data):
    return {"metadata": {"name": name}, "data": data}


async def test_an_object_can_be_made_read_changed_and_deleted(client, namespace):
    made = await client.create(CONFIG_MAPS, config_map("x", a="1"), namespace)
    assert (await client.get(CONFIG_MAPS, "x", namespace))["data"] == {"a": "1"}
    made["data"] = {"a": "2"}
    await client.update(CONFIG_MAPS, made)
    for kind in ("merge", "strategic"):
        patch = {"metadata": {"labels": {kind: "yes"}}}
        await client.patch(CONFIG_MAPS, "x", patch, namespace, kind=kind)
    patch = [{"op": "add", "path": "/data/b", "value": "3"}]
    found = await client.patch(CONFIG_MAPS, "x", patch, namespace, kind="json")
    assert found["data"] == {"a": "2", "b": "3"}
    assert found["metadata"]["labels"] == {"merge": "yes", "strategic": "yes"}
    await client.delete(CONFIG_MAPS, "x", namespace)
    with pytest.raises(ApiError) as info:
        await client.get(CONFIG_MAPS, "x", namespace)
    assert info.value.not_found
    assert str(info.value) == 'configmaps "x" not found'


async def test_refusals_are_api_errors(client, namespace):
    made = await client.create(CONFIG_MAPS, config_map("x"), namespace)
    with pytest.raises(ApiError) as info:
        await client.create(CONFIG_MAPS, config_map("x"), namespace)
    assert info.value.already_exists
    await client.patch(CONFIG_MAPS, "x", {"data": {"a": "b"}}, namespace)
    with pytest.raises(ApiError) as info:
        await client.update(CONFIG_MAPS, made)
    assert info.value.conflict


async def test_a_list_can_be_watched_from_where_it_ends(client, namespace):
    for number in range(3):
        await client.create(CONFIG_MAPS, config_map(f"x{number}"), namespace)
    listed = await client.list(CONFIG_MAPS, namespace)
    assert {"x0", "x1", "x2"} <= {item["metadata"]["name"] for item in listed["items"]}
    first = await client.list(CONFIG_MAPS, namespace, limit=1)
    assert len(first["items"]) == 1
    assert first["metadata"]["continue"]
    events = client.watch(
        CONFIG_MAPS, namespace, resource_version=listed["metadata"]["resourceVersion"]
    )
    await client.create(CONFIG_MAPS, config_map("y"), namespace)
    event = await asyncio.wait_for(anext(events), 20)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "y")
    await events.aclose()


async def test_a_watch_ends_with_its_time(client, namespace):
    events = client.watch(CONFIG_MAPS, namespace, bookmarks=False, timeout_seconds=1)
    seen = [event["type"] async for event in events]
    assert set(seen) <= {"ADDED"}


@asynccontextmanager
async def odd_server(handler):
    """A client of a plain HTTP server that answers everything by `handler`."""
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = Client(HttpTransport(f"http://127.0.0.1:{runner.addresses[0][1]}"))
    try:
        yield client
    finally:
        await client.close()
        await client.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("code", "body", "reason", "message"),
    [
        (503, "no healthy upstream", "ServiceUnavailable", "no healthy upstream"),
        (502, "<html>bad</html>", "InternalError", "<html>bad</html>"),
        (401, "", "Unauthorized", "Unauthorized"),
        (404, '{"detail": "nothing"}', "NotFound", '{"detail": "nothing"}'),
        (200, "<html>", "InternalError", "the server's answer is not JSON: <html>"),
        (302, "", "InternalError", "the server's answer is not JSON: Found"),
    ],
)
async def test_answers_that_are_no_status_are_api_errors_too(code, body, reason, message):
    async def handler(request):
        return web.Response(status=code, text=body)

    async with odd_server(handler) as client:
        with pytest.raises(ApiError) as info:
            await client.get(CONFIG_MAPS, "x", "default")
        assert (info.value.code, info.value.reason) == (code, reason)
        assert str(info.value) == message
        if code != 200:
            with pytest.raises(ApiError) as info:
                await anext(client.watch(CONFIG_MAPS, "default"))


async def test_events_may_be_of_any_length_and_in_any_pieces():
    large = "x" * 500_000
    lines = (
        b'{"type":"ADDED","object":{"a":"%b"}}\n{"type":"BOOKMARK","object":{}}' % large.encode()
    )

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(lines), 70_001):
            await response.write(lines[start : start + 70_001])
        await response.write(b"\n")
        return response

    async with odd_server(handler) as client:
        events = [event async for event in client.watch(CONFIG_MAPS)]
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[0]["object"]["a"] == large


async def test_a_server_that_is_away_is_an_os_error():
    client = Client(HttpTransport("http://127.0.0.1:1"))
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
        await client.get(CONFIG_MAPS, "x", "default")
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
        await anext(client.watch(CONFIG_MAPS))
    await client.close()


async def test_a_server_that_breaks_off_is_an_os_error():
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type":"ADDED","object":{}}\n')
        request.transport.abort()
        return response

    async with odd_server(handler) as client:
        events = client.watch(CONFIG_MAPS)
        assert (await anext(events))["type"] == "ADDED"
        with pytest.raises(OSError, match=r".+"):
            await anext(events)
        with pytest.raises(OSError, match=r".+"):
            await client.get(CONFIG_MAPS, "x", "default")


async def test_more_requests_than_connections_all_succeed(client):
    answers = await asyncio.gather(*(client.list(NAMESPACES) for _ in range(100)))
    assert all(answer["kind"] == "NamespaceList" for answer in answers)
