"""Watches: ordered, each event once, resumable, and never able to hold the server up."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.apiserver import collection, watch
from labkit.apiserver.core import APIServer
from labkit.apiserver.request import Request
from labkit.apiserver.state import State
from labkit.apiserver.store import MemoryStore
from labkit.client import ApiError, Client, Informer
from labkit.clock import Clock, LoopClock
from labkit.kube.resources import CONFIG_MAPS, EVENTS, NAMESPACES, PODS
from tests.apiserver.conftest import ADMIN, SERVICE_CIDR
from tests.apiserver.manifests import config_map, pod


async def taken(watch, count: int) -> list[dict]:
    """The next `count` events."""
    return [await asyncio.wait_for(anext(watch), 10) for _ in range(count)]


def told(events: list[dict]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


async def nothing_more(watch) -> bool:
    """Whether the watch has nothing to say now."""
    task = asyncio.ensure_future(anext(watch))
    for _ in range(5):
        await asyncio.sleep(0)
    quiet = not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return quiet


async def test_a_watch_without_a_revision_begins_with_what_is_there(client):
    await client.create(CONFIG_MAPS, config_map("a"))
    watch = client.watch(CONFIG_MAPS)
    assert told(await taken(watch, 2)) == [("ADDED", "a"), ("BOOKMARK", "")]
    await client.create(CONFIG_MAPS, config_map("b"))
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, "default")
    await client.delete(CONFIG_MAPS, "b", "default")
    assert told(await taken(watch, 3)) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    await watch.aclose()


async def test_a_watch_from_a_lists_revision_misses_and_repeats_nothing(client):
    await client.create(CONFIG_MAPS, config_map("a"))
    listed = await client.list(CONFIG_MAPS)
    await client.create(CONFIG_MAPS, config_map("b"))
    version = listed["metadata"]["resourceVersion"]
    watch = client.watch(CONFIG_MAPS, resource_version=version)
    await client.create(CONFIG_MAPS, config_map("c"))
    assert told(await taken(watch, 2)) == [("ADDED", "b"), ("ADDED", "c")]
    await watch.aclose()


async def test_with_a_selector_objects_are_added_and_deleted_as_they_enter_and_leave(client):
    watch = client.watch(PODS, label_selector="app=db")
    await taken(watch, 1)  # the bookmark after what is there, which is nothing
    await client.create(PODS, pod("a"))
    await client.patch(PODS, "a", {"metadata": {"labels": {"app": "db"}}}, "default")
    await client.patch(PODS, "a", {"metadata": {"labels": {"x": "y"}}}, "default")
    left = await client.patch(PODS, "a", {"metadata": {"labels": {"app": "web"}}}, "default")
    events = await taken(watch, 3)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    # The object as the watch last saw it, at the revision at which it left.
    assert events[2]["object"]["metadata"]["labels"]["app"] == "db"
    version = left["metadata"]["resourceVersion"]
    assert events[2]["object"]["metadata"]["resourceVersion"] == version
    await watch.aclose()


async def test_a_watch_on_a_node_sees_pods_when_they_are_bound_to_it(client):
    watch = client.watch(PODS, field_selector="spec.nodeName=one")
    await taken(watch, 1)  # the bookmark after what is there, which is nothing
    for name, node in (("a", "one"), ("b", "two"), ("c", "one")):
        await client.create(PODS, pod(name))
        body = {"metadata": {"name": name, "namespace": "default"}, "target": {"name": node}}
        await client.create(PODS, body, subresource="binding")
    await client.delete(PODS, "b", "default", grace_period_seconds=0)
    await client.delete(PODS, "a", "default", grace_period_seconds=0)
    events = await taken(watch, 3)
    assert told(events) == [("ADDED", "a"), ("ADDED", "c"), ("DELETED", "a")]
    assert await nothing_more(watch)


async def test_a_streamed_list_ends_with_a_marked_bookmark(api):
    client = Client(api.transport(ADMIN))
    await client.create(CONFIG_MAPS, config_map("a"))
    params = {
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    watch = api.transport(ADMIN).watch(CONFIG_MAPS.path(), params)
    events = await taken(watch, 2)
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    metadata = events[1]["object"]["metadata"]
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert metadata["resourceVersion"] == str(api.state.revision)
    await watch.aclose()


async def test_a_revision_of_the_future_is_too_large(client, api):
    watch = client.watch(CONFIG_MAPS, resource_version="999999")
    [event] = [event async for event in watch]
    status = event["object"]
    assert (event["type"], status["code"], status["reason"]) == ("ERROR", 504, "Timeout")
    assert f"Too large resource version: 999999, current: {api.state.revision}" in status["message"]


async def test_a_revision_that_is_no_longer_kept_is_expired():
    state = State(MemoryStore(), window=3)
    await state.open()
    for number in range(6):
        await state.commit(CONFIG_MAPS, f"default/{number}", {"metadata": {}})
    with pytest.raises(ApiError) as caught:
        state.of(CONFIG_MAPS).since(1)
    assert caught.value.code == 410
    assert str(caught.value) == "too old resource version: 1 (3)"
    assert len(state.of(CONFIG_MAPS).since(3)) == 3


async def test_a_list_whose_revision_is_no_longer_kept_goes_on_with_another_token(api, client):
    api.state.of(CONFIG_MAPS)._size = 3
    for name in "abcd":
        await client.create(CONFIG_MAPS, config_map(name))
    first = await client.list(CONFIG_MAPS, limit=2)
    for name in "efghij":
        await client.create(CONFIG_MAPS, config_map(name))
    await client.delete(CONFIG_MAPS, "c", "default")
    with pytest.raises(ApiError) as caught:
        await client.list(CONFIG_MAPS, limit=2, continue_=first["metadata"]["continue"])
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
    assert "results in an inconsistent list" in str(caught.value)
    token = caught.value.status["metadata"]["continue"]
    rest = await client.list(CONFIG_MAPS, limit=20, continue_=token)
    assert [item["metadata"]["name"] for item in rest["items"]] == list("defghij")
    assert rest["metadata"]["resourceVersion"] == str(api.state.revision)


async def test_a_watch_from_a_revision_that_is_no_longer_kept_is_told_so(api, client):
    api.state.of(CONFIG_MAPS)._size = 3
    for name in "abcdef":
        made = await client.create(CONFIG_MAPS, config_map(name))
    last = int(made["metadata"]["resourceVersion"])
    [event] = [event async for event in client.watch(CONFIG_MAPS, resource_version=str(last - 4))]
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    assert event["object"]["message"] == f"too old resource version: {last - 4} ({last - 3})"
    watch = client.watch(CONFIG_MAPS, resource_version=str(last - 3))
    assert told(await taken(watch, 3)) == [("ADDED", name) for name in "def"]
    await watch.aclose()


async def test_big_objects_have_a_shorter_history(monkeypatch):
    monkeypatch.setattr(collection, "_WINDOW_BYTES", 1000)
    state = State(MemoryStore())
    await state.open()
    for number in range(6):
        await state.commit(CONFIG_MAPS, f"default/{number}", {"metadata": {}, "a": "x" * 400})
    assert len(state.of(CONFIG_MAPS).since(4)) == 2
    with pytest.raises(ApiError):
        state.of(CONFIG_MAPS).since(3)


async def test_a_watcher_may_fall_behind_by_so_many_bytes(api, client, monkeypatch):
    monkeypatch.setattr(watch, "_BUFFER_BYTES", 2000)
    params = {"watch": "true", "resourceVersion": str(api.state.revision)}
    answer = await api.handle(Request("GET", CONFIG_MAPS.path(), ADMIN, params))
    big = {"data": {"a": "x" * 500}}
    for number in range(8):
        await client.create(CONFIG_MAPS, {**config_map(f"c{number}"), **big})
        await anext(answer.events)
    for number in range(4):
        await client.create(CONFIG_MAPS, {**config_map(f"d{number}"), **big})
    assert [event.type async for event in answer.events] == ["ERROR"]


async def test_a_slow_watcher_is_ended_and_holds_nobody_up(client, api):
    answer = await api.handle(Request("GET", CONFIG_MAPS.path(), ADMIN, {"watch": "true"}))
    answer.events._limit = 5
    for number in range(10):
        await client.create(CONFIG_MAPS, config_map(f"c{number}"))
    events = [event async for event in answer.events]
    assert [event.type for event in events] == ["ERROR"]
    assert events[0].item.obj["code"] == 410
    assert api.state.of(CONFIG_MAPS).watchers == []


@asynccontextmanager
async def virtual():
    """A server on virtual time: an hour passes as soon as everything else rests.

    No fixture, since fixtures run before virtual time begins.
    """
    server = APIServer(MemoryStore(), LoopClock(1_700_000_000.0), service_cidr=SERVICE_CIDR)
    await server.start()
    yield server, Client(server.transport(ADMIN))
    await server.stop()


@pytest.mark.looptime
async def test_a_watch_ends_after_timeout_seconds():
    async with virtual() as (server, client):
        begun = server.clock.now()
        events = [event async for event in client.watch(CONFIG_MAPS, timeout_seconds=30)]
        assert [event["type"] for event in events] == ["BOOKMARK", "BOOKMARK"]
        assert round(server.clock.now() - begun, 3) == 30


@pytest.mark.looptime
async def test_bookmarks_come_every_minute():
    async with virtual() as (server, client):
        watch = client.watch(CONFIG_MAPS)
        await anext(watch)
        await client.create(NAMESPACES, {"metadata": {"name": "other"}})
        event = await anext(watch)
        assert event["type"] == "BOOKMARK"
        assert event["object"]["metadata"]["resourceVersion"] == str(server.state.revision)
        await watch.aclose()


@pytest.mark.looptime
async def test_events_are_forgotten_after_an_hour():
    async with virtual() as (server, client):
        about = {"kind": "Pod", "name": "web", "namespace": "default"}
        event = {"metadata": {"name": "web.1"}, "involvedObject": about}
        await client.create(EVENTS, event, "default")
        await server.clock.sleep(3500)
        assert (await client.list(EVENTS))["items"] != []
        await server.clock.sleep(200)
        assert (await client.list(EVENTS))["items"] == []


async def test_an_informer_in_memory_follows_every_change(client):
    informer = Informer(client, PODS, Clock())
    informer.start()
    await informer.synced()
    await asyncio.gather(*(client.create(PODS, pod(f"p{number}")) for number in range(50)))
    for number in range(0, 50, 2):
        await client.delete(PODS, f"p{number}", "default")
    wanted = {
        f"default/{one['metadata']['name']}": one for one in (await client.list(PODS))["items"]
    }
    for _ in range(100):
        if informer.store == wanted:
            break
        await asyncio.sleep(0)
    assert informer.store == wanted
    await informer.stop()


# A model: a list of what happened.  Whatever is done, and wherever a watch resumes, it tells
# exactly what happened after that, as its selector sees it.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["x", "y"]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.data())
def test_a_resumed_watch_tells_exactly_what_came_after(steps, data):
    asyncio.run(_check_model(steps, data))


async def _check_model(steps, data):
    server = APIServer(MemoryStore(), Clock(), service_cidr=SERVICE_CIDR)
    await server.start()
    client = Client(server.transport(ADMIN))
    revisions = [str(server.state.revision)]
    history: list[tuple[str | None, dict[str, str]]] = [(None, {})]
    live = client.watch(CONFIG_MAPS, label_selector="is=x", resource_version=revisions[0])
    head = asyncio.ensure_future(anext(live))
    await asyncio.sleep(0)
    for verb, name, label in steps:
        state = dict(history[-1][1])
        if verb == "delete":
            if state.pop(name, None) is None:
                continue
            await client.delete(CONFIG_MAPS, name, "default")
        else:
            obj = config_map(name, n=str(len(history)))
            obj["metadata"]["labels"] = {"is": label}
            await (client.update if name in state else client.create)(CONFIG_MAPS, obj)
            state[name] = label
        history.append((name, state))
        revisions.append(str(server.state.revision))
    start = data.draw(st.integers(0, len(history) - 1))
    resumed = client.watch(CONFIG_MAPS, label_selector="is=x", resource_version=revisions[start])
    assert told(await _all(resumed)) == _expected(history, start)
    versions = [int(revision) for revision in revisions]
    assert versions == sorted(set(versions))
    wanted = _expected(history, 0)
    if wanted:
        assert told([await head, *await taken(live, len(wanted) - 1)]) == wanted
    head.cancel()
    await asyncio.gather(head, return_exceptions=True)
    await server.stop()


async def _all(watch) -> list[dict]:
    found = []
    while True:
        task = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return found
        found.append(task.result())


def _expected(history, start: int) -> list[tuple[str, str]]:
    events = []
    for (_, before), (name, after) in zip(history[start:], history[start + 1 :], strict=False):
        was, now = before.get(name) == "x", after.get(name) == "x"
        if was or now:
            kind = "MODIFIED" if was and now else "ADDED" if now else "DELETED"
            events.append((kind, name))
    return events
