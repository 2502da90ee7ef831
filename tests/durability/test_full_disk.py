"""A full disk refuses writes with a Status that says so; reads and watches go on."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from labkit.apiserver.store import StoreFull
from labkit.apiserver.store_sqlite import SQLiteStore
from tests.durability.server import ServerProcess
from tests.durability.small_disk import SmallDisk

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Disk(NamedTuple):
    """A running server, and the way to make its disk full and free again."""

    server: ServerProcess
    fill: Callable[[], None]
    free: Callable[[], None]


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Disk]:
    """Files may not grow beyond their present size: what a quota does."""
    server = ServerProcess(tmp_path)
    server.start()

    def limit(size: int) -> None:
        pid = server.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    yield Disk(server, lambda: limit(8192), lambda: limit(resource.RLIM_INFINITY))
    server.stop()


@pytest.fixture
def small(small_disk: SmallDisk) -> Iterator[Disk]:
    """A real file system of 8 MB; needs the right to mount one."""
    server = ServerProcess(small_disk.path)
    server.start()
    yield Disk(server, small_disk.fill, small_disk.free)
    server.stop()


@pytest.fixture(params=["limited", "small"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return request.getfixturevalue(request.param)


def config_map(name: str, size: int = 10) -> dict:
    return {"metadata": {"name": name}, "data": {"key": "x" * size}}


def test_writes_are_refused_reads_and_watches_go_on_and_writes_come_back(disk):
    with disk.server.http() as http:
        made = http.post(CONFIG_MAPS, json=config_map("before"))
        assert made.status_code == 201
        disk.fill()
        number, refusal = 0, made
        while refusal.status_code == 201:  # what has room in the blocks that are there already
            number += 1
            refusal = http.post(CONFIG_MAPS, json=config_map(f"filling-{number}", 100_000))
        status = refusal.json()
        assert (refusal.status_code, status["code"]) == (507, 507)
        assert (status["kind"], status["reason"]) == ("Status", "InsufficientStorage")
        assert str(disk.server.directory / "state.db") in status["message"]
        assert "Free some space on that disk" in status["message"]
        assert "Retry-After" not in refusal.headers

        name = f"{CONFIG_MAPS}/before"
        patch = {"data": {"key": "y" * 100_000}}
        merge = {"Content-Type": "application/merge-patch+json"}
        assert http.patch(name, content=json.dumps(patch), headers=merge).status_code == 507
        assert http.get(name).json() == made.json()
        listed = http.get(CONFIG_MAPS).json()
        assert len(listed["items"]) == number
        assert http.get(f"{CONFIG_MAPS}/filling-{number}").status_code == 404

        query = {"watch": "1", "resourceVersion": made.json()["metadata"]["resourceVersion"]}
        with http.stream("GET", CONFIG_MAPS, params=query) as watch:
            lines = watch.iter_lines()
            seen = [json.loads(next(lines))["object"] for _ in range(number - 1)]
            disk.free()
            again = http.post(CONFIG_MAPS, json=config_map("after"))
            assert again.status_code == 201
            seen.append(json.loads(next(lines))["object"])
        assert [one["metadata"]["name"] for one in seen][-1] == "after"
        assert seen[-1] == again.json()
        versions = [int(one["metadata"]["resourceVersion"]) for one in seen]
        assert versions == sorted(set(versions))
    disk.server.kill()
    disk.server.start()
    with disk.server.http() as http:
        names = {item["metadata"]["name"] for item in http.get(CONFIG_MAPS).json()["items"]}
        assert names == {"before", "after", *(f"filling-{n}" for n in range(1, number))}


def test_a_store_that_cannot_be_opened_for_want_of_room_says_so(small):
    with small.server.http() as http:
        assert http.post(CONFIG_MAPS, json=config_map("before")).status_code == 201
    small.server.stop()
    small.fill()
    store = SQLiteStore(small.server.directory / "state.db")
    with pytest.raises(StoreFull, match="Free some space on that disk"):
        store.open()
    small.free()
    small.server.start()
    with small.server.http() as http:
        assert http.get(f"{CONFIG_MAPS}/before").status_code == 200
