"""The SQLite store: what is acknowledged survives, whatever happens to the process."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from labkit.apiserver.core import APIServer
from labkit.apiserver.state import State
from labkit.apiserver.store import Record
from labkit.apiserver.store_sqlite import SQLiteStore
from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.kube.resources import CONFIG_MAPS, PODS
from tests.apiserver.conftest import ADMIN, SERVICE_CIDR
from tests.apiserver.manifests import config_map, pod


async def started(path) -> APIServer:
    server = APIServer(SQLiteStore(path), Clock(), service_cidr=SERVICE_CIDR)
    await server.start()
    return server


def client_of(server: APIServer) -> Client:
    return Client(server.transport(ADMIN))


async def test_objects_and_revisions_survive_a_restart(tmp_path):
    first = await started(tmp_path / "state.db")
    client = client_of(first)
    await client.create(PODS, pod("gone"))
    kept = await client.create(PODS, pod("kept"))
    await client.delete(PODS, "gone", "default")
    revision = first.state.revision
    await first.stop()

    second = await started(tmp_path / "state.db")
    listed = await client_of(second).list(PODS, "default")
    assert listed["items"] == [kept]
    assert second.state.revision >= revision
    assert await client_of(second).get(PODS, "kept", "default") == kept
    await second.stop()


async def test_a_watch_resumes_across_a_restart(tmp_path):
    first = await started(tmp_path / "state.db")
    client = client_of(first)
    made = await client.create(CONFIG_MAPS, config_map(a="1"))
    changed = await client.patch(CONFIG_MAPS, "settings", {"data": {"a": "2"}}, "default")
    await client.delete(CONFIG_MAPS, "settings", "default")
    await first.stop()

    second = await started(tmp_path / "state.db")
    version = made["metadata"]["resourceVersion"]
    watch = client_of(second).watch(CONFIG_MAPS, "default", resource_version=version)
    events = [await anext(watch), await anext(watch)]
    assert [event["type"] for event in events] == ["MODIFIED", "DELETED"]
    assert events[0]["object"] == changed
    await watch.aclose()
    await second.stop()


async def test_history_is_trimmed_and_then_a_restarted_watch_is_told_to_list_again(tmp_path):
    store = SQLiteStore(tmp_path / "state.db")
    state = State(store, window=10)
    await state.open()
    revisions = []
    for number in range(1500):
        obj = {"metadata": {"name": "a"}, "data": {"n": str(number)}}
        item = await state.commit(CONFIG_MAPS, "default/a", obj)
        revisions.append(int(item.obj["metadata"]["resourceVersion"]))
    await state.close()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        (rows,) = connection.execute("SELECT count(*) FROM log").fetchone()
    connection.close()
    assert rows < 600

    again = State(SQLiteStore(tmp_path / "state.db"), window=10)
    await again.open()
    collection = again.of(CONFIG_MAPS)
    assert collection.items["default/a"].obj["data"] == {"n": "1499"}
    assert again.revision == revisions[-1]
    with pytest.raises(ApiError) as caught:
        collection.since(revisions[0])
    assert caught.value.reason == "Expired"
    assert [event.revision for event in collection.since(revisions[-3])] == revisions[-2:]
    await again.close()


async def test_writes_that_wait_together_become_durable_together_and_in_order(tmp_path):
    store = SQLiteStore(tmp_path / "state.db")
    store.open()
    order = []
    records = [Record(n, "pods", f"default/{n}", False, b"{}") for n in range(1, 501)]
    futures = [store.append(record) for record in records]
    for record, future in zip(records, futures, strict=True):
        future.add_done_callback(lambda _, n=record.revision: order.append(n))
    await asyncio.wait_for(asyncio.gather(*futures), 30)
    await asyncio.sleep(0)
    assert order == [record.revision for record in records]
    await asyncio.to_thread(store.close)
    assert SQLiteStore(tmp_path / "state.db").open().records == records


async def test_a_write_that_fails_is_refused_and_leaves_no_trace(tmp_path):
    server = await started(tmp_path / "state.db")
    client = client_of(server)
    with sqlite3.connect(tmp_path / "state.db", timeout=30) as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON log WHEN new.key = 'default/bad' "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    connection.close()
    with pytest.raises(ApiError) as caught:
        await client.create(CONFIG_MAPS, config_map("bad"))
    assert caught.value.code == 500
    assert [one["metadata"]["name"] for one in (await client.list(CONFIG_MAPS))["items"]] == []
    made = await client.create(CONFIG_MAPS, config_map("good"))
    assert await client.get(CONFIG_MAPS, "good", "default") == made
    await server.stop()


async def test_a_person_can_read_the_file_while_the_server_runs(tmp_path):
    server = await started(tmp_path / "state.db")
    await client_of(server).create(CONFIG_MAPS, config_map(a="1"))
    connection = sqlite3.connect(tmp_path / "state.db")
    query = "SELECT json_extract(json, '$.data.a') FROM objects WHERE resource = 'configmaps'"
    assert connection.execute(query).fetchall() == [("1",)]
    connection.close()
    await server.stop()


WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from labkit.apiserver.core import APIServer
    from labkit.apiserver.request import User
    from labkit.apiserver.store_sqlite import SQLiteStore
    from labkit.client import Client
    from labkit.clock import Clock
    from labkit.kube.resources import CONFIG_MAPS

    async def main():
        server = APIServer(SQLiteStore(sys.argv[1]), Clock(), service_cidr="127.96.0.0/24")
        await server.start()
        client = Client(server.transport(User("writer")))

        async def write(lane):
            for number in range(100_000):
                name = f"{sys.argv[2]}-{lane}-{number}"
                made = await client.create(CONFIG_MAPS, {"metadata": {"name": name}}, "default")
                print(name, made["metadata"]["resourceVersion"], flush=True)
                if number % 3 == 0:
                    await client.delete(CONFIG_MAPS, name, "default")
                    print("-" + name, server.state.revision, flush=True)

        await asyncio.gather(*(write(lane) for lane in range(8)))

    asyncio.run(main())
    """
)


@pytest.mark.parametrize("lines", [1, 40, 400])
async def test_nothing_that_was_acknowledged_is_lost_when_the_server_is_killed(tmp_path, lines):
    path = tmp_path / "state.db"
    made: dict[str, int] = {}
    deleted: set[str] = set()
    highest = 0
    for life in range(2):
        for text in _lines_until_killed(path, life, lines):
            name, revision = text.split()
            if name.startswith("-"):
                deleted.add(name[1:])
            else:
                made[name] = int(revision)
                assert made[name] > highest if life else True
        highest = max(made.values())

    state = State(SQLiteStore(path))
    await state.open()
    items = state.of(CONFIG_MAPS).items
    for name, revision in made.items():
        item = items.get(f"default/{name}")
        if name in deleted:
            assert item is None
        elif item is not None:
            assert item.obj["metadata"]["resourceVersion"] == str(revision)
        else:  # deleted, but killed before it could say so
            assert int(name.rpartition("-")[2]) % 3 == 0
    assert state.revision >= highest
    await state.close()


def _lines_until_killed(path, life: int, count: int) -> list[str]:
    """What a writer acknowledged before it was killed after `count` lines."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), f"life{life}"], stdout=subprocess.PIPE, text=True
    )
    try:
        found = [process.stdout.readline() for _ in range(count)]
    finally:
        os.kill(process.pid, signal.SIGKILL)
        rest = process.communicate(timeout=30)[0]
    found += rest.splitlines(keepends=True)
    return [line for line in found if line.endswith("\n")]
