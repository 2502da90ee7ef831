"""The informer against a scripted server: what it must survive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from labkit.client import Client, Informer
from labkit.client.errors import status_error
from labkit.clock import LoopClock
from labkit.kube.resources import PODS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def pod(name: str, revision: int, **labels: str) -> dict:
    meta = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(revision)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "labels": labels}}


class Script:
    """A Transport that plays lists and watches in order, then goes silent."""

    def __init__(self, lists: list, watches: list) -> None:
        self.lists, self.watches = lists, watches
        self.asked: list[str] = []

    async def request(self, method: str, path: str, **_: object) -> dict:
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        revision, items = answer
        return {"metadata": {"resourceVersion": str(revision)}, "items": items}

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[dict]:
        self.asked.append(params["resourceVersion"])
        for event in self.watches.pop(0) if self.watches else ():
            if isinstance(event, Exception):
                raise event
            yield event
        if not self.watches:
            await asyncio.sleep(3600)

    async def close(self) -> None: ...


def event(kind: str, obj: dict) -> dict:
    return {"type": kind, "object": obj}


async def follow(lists: list, watches: list) -> tuple[Informer, list, Script]:
    script, seen = Script(lists, watches), []
    informer = Informer(Client(script), PODS, LoopClock(0))
    informer.add_handler(lambda old, new: seen.append((_name(old), _name(new))))
    informer.add_index("app", lambda obj: [obj["metadata"]["labels"].get("app", "")])
    informer.start()
    await asyncio.wait_for(informer.synced(), 60)
    await asyncio.sleep(60)
    await informer.stop()
    return informer, seen, script


def _name(obj: Mapping | None) -> str | None:
    return obj and f"{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}"


async def test_it_follows_what_the_watch_tells():
    informer, seen, _ = await follow(
        [(1, [pod("a", 1)])],
        [
            [
                event("ADDED", pod("b", 2)),
                event("MODIFIED", pod("a", 3)),
                event("DELETED", pod("b", 4)),
            ]
        ],
    )
    assert list(informer.store) == ["ns/a"]
    assert seen == [(None, "a@1"), (None, "b@2"), ("a@1", "a@3"), ("b@2", None)]


async def test_a_watch_that_ends_is_resumed_from_the_last_revision_seen():
    bookmark = {"metadata": {"resourceVersion": "7"}}
    _, _, script = await follow([(1, [])], [[event("BOOKMARK", bookmark)], []])
    assert script.asked[:2] == ["1", "7"]


async def test_a_lost_connection_is_resumed_too():
    _, _, script = await follow([(1, [])], [[event("ADDED", pod("a", 5)), ConnectionError()], []])
    assert script.asked[:2] == ["1", "5"]


@pytest.mark.parametrize("how", ["event", "status"])
async def test_when_the_revision_is_gone_it_lists_again_and_tells_the_differences(how: str):
    gone = status_error(410, "Expired", "too old resource version: 1 (9)")
    ending = gone if how == "status" else event("ERROR", gone.status)
    informer, seen, _ = await follow(
        [(1, [pod("a", 1), pod("b", 1)]), (9, [pod("b", 8), pod("c", 9)])], [[ending], []]
    )
    assert sorted(informer.store) == ["ns/b", "ns/c"]
    assert set(seen[2:]) == {("a@1", None), ("b@1", "b@8"), (None, "c@9")}


async def test_when_the_server_does_not_know_the_revision_yet_it_lists_again():
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    future = status_error(504, "Timeout", "Timeout: Too large", {"causes": [cause]})
    informer, seen, script = await follow(
        [(9, [pod("a", 9)]), (2, [pod("b", 2)])], [[event("ERROR", future.status)], []]
    )
    assert list(informer.store) == ["ns/b"]
    assert seen[1:] == [("a@9", None), (None, "b@2")]
    assert script.asked[:2] == ["9", "2"]


async def test_a_server_that_is_away_at_first_is_asked_again():
    informer, _, _ = await follow([ConnectionError(), ConnectionError(), (1, [pod("a", 1)])], [])
    assert list(informer.store) == ["ns/a"]


async def test_indexes_follow_changes():
    informer, _, _ = await follow(
        [(1, [pod("a", 1, app="x"), pod("b", 1, app="x")])],
        [[event("MODIFIED", pod("a", 2, app="y")), event("DELETED", pod("b", 3))]],
    )
    assert [obj["metadata"]["name"] for obj in informer.by_index("app", "y")] == ["a"]
    assert informer.by_index("app", "x") == []
