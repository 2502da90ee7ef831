"""Watches: ordered, each event once, complete, and resumable from any revision that is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import takewhile

import pytest

from tests.api.conftest import MERGE, Wire

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
END = "k8s.io/initial-events-end"
FUTURE = str(2**62)


def config_map(name: str, **labels: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


def now(wire: Wire, path: str) -> str:
    """The newest revision."""
    return wire.ok("GET", path, limit=1)["metadata"]["resourceVersion"]


def take(events: Iterator[dict], count: int) -> list[dict]:
    """The next `count` events that are not bookmarks."""
    found: list[dict] = []
    while len(found) < count:
        if (event := next(events))["type"] != "BOOKMARK":
            found.append(event)
    return found


def told(events: list[dict]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


def version(event: dict) -> str:
    return event["object"]["metadata"]["resourceVersion"]


def test_every_write_is_one_event_with_the_writes_revision(wire: Wire, ns: str):
    maps = f"{ns}/configmaps"
    with wire.watch(maps, resourceVersion=now(wire, maps)) as events:
        made = wire.ok("POST", maps, config_map("a"))
        changed = wire.ok("PATCH", f"{maps}/a", {"data": {"x": "1"}}, type=MERGE)
        wire.ok("PATCH", f"{maps}/a", {"data": {"x": "1"}}, type=MERGE)
        wire.ok("PUT", f"{maps}/a", changed)
        wire.ok("DELETE", f"{maps}/a")
        found = take(events, 3)
    assert told(found) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert [found[0]["object"], found[1]["object"]] == [made, changed]
    # The last state, at the revision of the deletion.
    gone = found[2]["object"]
    assert gone["data"] == {"x": "1"}
    assert int(gone["metadata"]["resourceVersion"]) > int(changed["metadata"]["resourceVersion"])
    assert now(wire, maps) >= gone["metadata"]["resourceVersion"]


def test_a_write_that_changes_nothing_is_no_revision(wire: Wire, ns: str):
    made = wire.ok("POST", f"{ns}/configmaps", config_map("a", x="1"))
    same = [
        wire.ok("PUT", f"{ns}/configmaps/a", made),
        wire.ok("PATCH", f"{ns}/configmaps/a", {"metadata": {"annotations": None}}, type=MERGE),
        wire.ok("PUT", f"{ns}/configmaps/a", {**made, "data": {"a": "1"}}, dryRun="All"),
    ]
    assert {one["metadata"]["resourceVersion"] for one in same} == {
        made["metadata"]["resourceVersion"]
    }


def test_a_watch_resumes_from_any_revision_that_was_seen(wire: Wire, ns: str):
    maps = f"{ns}/configmaps"
    start = now(wire, maps)
    for name in "abc":
        wire.ok("POST", maps, config_map(name))
        wire.ok("PATCH", f"{maps}/{name}", {"data": {"x": "1"}}, type=MERGE)
    wire.ok("DELETE", f"{maps}/b")
    with wire.watch(maps, resourceVersion=start) as events:
        everything = take(events, 7)
    versions = [int(version(event)) for event in everything]
    assert versions == sorted(set(versions))
    for seen, event in enumerate(everything[:-1], 1):
        with wire.watch(maps, resourceVersion=version(event)) as events:
            assert take(events, 7 - seen) == everything[seen:]


def test_without_a_revision_a_watch_begins_with_what_is_there(wire: Wire, ns: str):
    maps = f"{ns}/configmaps"
    wire.ok("POST", maps, config_map("a"))
    wire.ok("POST", maps, config_map("b"))
    for start in (None, "0"):
        with wire.watch(maps, resourceVersion=start, fieldSelector="metadata.name=b") as events:
            assert told(take(events, 1)) == [("ADDED", "b")]
            wire.ok("PATCH", f"{maps}/b", {"data": {"x": start or "none"}}, type=MERGE)
            assert told(take(events, 1)) == [("MODIFIED", "b")]


def test_objects_that_enter_or_leave_a_selection_are_added_and_deleted(wire: Wire, ns: str):
    maps = f"{ns}/configmaps"
    with wire.watch(maps, resourceVersion=now(wire, maps), labelSelector="app=x") as events:
        wire.ok("POST", maps, config_map("a", app="y"))
        for app in ("x", "x2", "x"):
            body = {"metadata": {"labels": {"app": app}}}
            changed = wire.ok("PATCH", f"{maps}/a", body, type=MERGE)
        wire.ok("DELETE", f"{maps}/a")
        entered, left, again, gone = take(events, 4)
    kinds = [event["type"] for event in (entered, left, again, gone)]
    assert kinds == ["ADDED", "DELETED", "ADDED", "DELETED"]
    # As it was when the watch saw it last, at the revision by which it left.
    assert left["object"]["metadata"]["labels"] == {"app": "x"}
    assert int(version(entered)) < int(version(left)) < int(version(again))
    assert again["object"] == changed


def test_a_field_selector_follows_a_field(wire: Wire, ns: str):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "i"}]},
    }
    pods = f"{ns}/pods"
    selector = "spec.nodeName=nowhere"
    with wire.watch(pods, resourceVersion=now(wire, pods), fieldSelector=selector) as events:
        wire.ok("POST", pods, pod)
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}}
        wire.ok("POST", f"{pods}/p/binding", {**binding, "target": {"name": "nowhere"}})
        [bound] = take(events, 1)
        wire.ok("DELETE", f"{pods}/p", gracePeriodSeconds=0)
        assert bound["type"] == "ADDED"
        assert bound["object"]["spec"]["nodeName"] == "nowhere"
        assert "DELETED" in (event["type"] for event in events)


def test_one_object_is_watched_by_its_name(wire: Wire, ns: str):
    maps = f"{ns}/configmaps"
    start = now(wire, maps)
    wire.ok("POST", maps, config_map("a"))
    wire.ok("POST", maps, config_map("b"))
    with wire.watch(maps, resourceVersion=start, fieldSelector="metadata.name=b") as events:
        wire.ok("DELETE", f"{maps}/a")
        wire.ok("DELETE", f"{maps}/b")
        assert told(take(events, 2)) == [("ADDED", "b"), ("DELETED", "b")]
    # On the path of an object the parameter is ignored.
    wire.ok("POST", maps, config_map("a"))
    assert wire.ok("GET", f"{maps}/a", watch=True)["metadata"]["name"] == "a"


def test_all_namespaces_are_watched_together(wire: Wire, ns: str):
    everywhere = "/api/v1/configmaps"
    with wire.watch(
        everywhere, resourceVersion=now(wire, everywhere), labelSelector="t=1"
    ) as events:
        wire.ok("POST", f"{ns}/configmaps", config_map("a", t="1"))
        [event] = take(events, 1)
    assert event["object"]["metadata"]["namespace"] == ns.rpartition("/")[2]


def test_a_bookmark_comes_before_a_watch_times_out(wire: Wire, ns: str):
    maps = f"{ns}/configmaps"
    start = now(wire, maps)
    with wire.watch(maps, 4, resourceVersion=start, allowWatchBookmarks=True) as events:
        wire.ok("POST", f"{ns}/secrets", {"metadata": {"name": "elsewhere"}})
        newest = now(wire, maps)
        found = list(events)
    assert {event["type"] for event in found} == {"BOOKMARK"}
    last = found[-1]["object"]
    assert (last["kind"], last["apiVersion"]) == ("ConfigMap", "v1")
    assert int(last["metadata"]["resourceVersion"]) >= int(newest)


def test_a_watch_without_bookmarks_gets_none_and_ends(wire: Wire, ns: str):
    maps = f"{ns}/configmaps"
    with wire.watch(maps, 1, resourceVersion=now(wire, maps)) as events:
        assert list(events) == []


@pytest.fixture
def streams(wire: Wire, ns: str) -> dict:
    """The parameters of a streamed list."""
    asked = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    answer = wire.get(f"{ns}/configmaps", watch=True, timeoutSeconds=1, **asked)
    if answer.status_code == 422:
        pytest.skip("this server does not stream lists")
    return {**asked, "allowWatchBookmarks": "true"}


def test_a_streamed_list_ends_with_a_marked_bookmark(wire: Wire, ns: str, streams: dict):
    maps = f"{ns}/configmaps"
    for name in "abc":
        wire.ok("POST", maps, config_map(name, mine="yes"))
    with wire.watch(maps, **streams, labelSelector="mine") as events:
        initial = list(takewhile(lambda event: event["type"] != "BOOKMARK", events))
        wire.ok("DELETE", f"{maps}/b")
        assert told(take(events, 1)) == [("DELETED", "b")]
    assert sorted(told(initial)) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


def test_the_bookmark_of_a_streamed_list_says_which_revision_it_showed(
    wire: Wire, ns: str, streams: dict
):
    maps = f"{ns}/configmaps"
    made = wire.ok("POST", maps, config_map("a", mine="yes"))
    start = made["metadata"]["resourceVersion"]
    with wire.watch(maps, **streams, labelSelector="mine", resourceVersion=start) as events:
        bookmark = next(event for event in events if event["type"] == "BOOKMARK")
    metadata = bookmark["object"]["metadata"]
    assert metadata["annotations"] == {END: "true"}
    assert int(metadata["resourceVersion"]) >= int(start)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"sendInitialEvents": "true"},
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
            "resourceVersionMatch to NotOlderThan",
        ),
        (
            {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
            "sendInitialEvents is provided",
        ),
    ],
)
def test_options_that_contradict_each_other_are_invalid(
    wire: Wire, ns: str, params: dict, message: str
):
    answer = wire.get(f"{ns}/configmaps", watch=True, timeoutSeconds=1, **params)
    assert answer.status_code == 422
    assert message in answer.json()["message"]


def test_a_compacted_revision_is_expired_by_an_event(wire: Wire):
    events = "/api/v1/events"
    with wire.watch(events, 2, resourceVersion="1") as found:
        first = next(found, None)
    if first is None or first["type"] != "ERROR":
        pytest.skip("this server still has its first revision")
    status = first["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert "too old" in status["message"]


def test_a_streamed_list_of_the_future_times_out_by_an_event(wire: Wire, ns: str, streams: dict):
    with wire.watch(f"{ns}/configmaps", **streams, resourceVersion=FUTURE) as events:
        status = next(events)["object"]
        assert list(events) == []
    assert (status["code"], status["reason"]) == (504, "Timeout")
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def test_metadata_alone_is_watched(wire: Wire, ns: str):
    maps = f"{ns}/configmaps"
    params = {"watch": "true", "resourceVersion": now(wire, maps), "timeoutSeconds": "10"}
    headers = {"Accept": METADATA}
    with wire.http.stream("GET", maps, params=params, headers=headers) as answer:
        wire.ok("POST", maps, {**config_map("a"), "data": {"x": "1"}})
        event = json.loads(next(answer.iter_lines()))
    assert event["object"]["kind"] == "PartialObjectMetadata"
    assert "data" not in event["object"]


def test_many_writers_and_one_watch_agree(wire: Wire, ns: str):
    """What the watch tells, applied to nothing, is what a list shows in the end."""
    maps = f"{ns}/configmaps"
    start = now(wire, maps)
    others = {one["metadata"]["name"] for one in wire.ok("GET", maps)["items"]}

    def write(name: str) -> None:
        wire.ok("POST", maps, config_map(name))
        for turn in range(5):
            wire.ok("PATCH", f"{maps}/{name}", {"data": {"turn": str(turn)}}, type=MERGE)
        if name > "m2":
            wire.ok("DELETE", f"{maps}/{name}")

    with wire.watch(maps, resourceVersion=start) as events:
        writers = [threading.Thread(target=write, args=[f"m{n}"]) for n in range(5)]
        for writer in writers:
            writer.start()
        found = take(events, 5 * 6 + 2)
        for writer in writers:
            writer.join()
    versions = [int(version(event)) for event in found]
    assert versions == sorted(set(versions))
    state: dict = {}
    for event in found:
        obj = event["object"]
        if event["type"] == "DELETED":
            del state[obj["metadata"]["name"]]
        else:
            assert (event["type"] == "ADDED") == (obj["metadata"]["name"] not in state)
            state[obj["metadata"]["name"]] = obj["metadata"]["resourceVersion"]
    listed = {
        one["metadata"]["name"]: one["metadata"]["resourceVersion"]
        for one in wire.ok("GET", maps)["items"]
    }
    assert state == {name: listed[name] for name in listed.keys() - others}
