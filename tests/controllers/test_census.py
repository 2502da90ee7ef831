"""What is counted from event to event, against counting all."""

import random
from collections import Counter

import pytest

from labkit.controllers.census import Census, Traits, traits

OLD, NEW = "2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z"
NOW = 1767225660.0  # 2026-01-01T00:01:00Z


def pod(name="web-1", phase="Running", since="", deleting=False, owner="u1", labels=None):
    meta = {"name": name, "namespace": "default", "labels": labels or {"app": "web"}}
    if owner:
        kind = "Job" if owner == "job" else "ReplicaSet"
        meta["ownerReferences"] = [{"kind": kind, "uid": owner, "name": "x", "controller": True}]
    if deleting:
        meta["deletionTimestamp"] = NEW
    ready = {"type": "Ready", "status": "True" if since else "False", "lastTransitionTime": since}
    return {"metadata": meta, "status": {"phase": phase, "conditions": [ready]}}


@pytest.mark.parametrize(
    ("given", "active", "terminating", "ready"),
    [
        (pod(phase="Pending"), True, False, False),
        (pod(), True, False, False),
        (pod(since=OLD), True, False, True),
        (pod(since=OLD, deleting=True), False, True, False),
        (pod(phase="Failed"), False, False, False),
        (pod(phase="Succeeded", deleting=True), False, False, False),
    ],
    ids=["pending", "not ready", "ready", "ready but deleting", "failed", "ended and deleting"],
)
def test_a_pod_is_counted_as_what_it_is(given, active, terminating, ready):
    found = traits(given)
    assert (found.active, found.terminating, found.ready) == (active, terminating, ready)


@pytest.mark.parametrize(
    ("since", "wait", "left"),
    [("", 0, None), ("", 45, None), (NEW, 0, 0.0), (NEW, 45, 15.0), (OLD, 45, 0.0)],
)
def test_a_ready_pod_is_available_after_a_while(since, wait, left):
    assert traits(pod(since=since)).available_in(wait, NOW) == left


def test_counts_follow_every_change():
    source, census, store = random.Random(1), Census("ReplicaSet"), {}
    for _ in range(2000):
        name = f"web-{source.randrange(40)}"
        fresh = pod(
            name,
            phase=source.choice(["Pending", "Running", "Failed"]),
            since=source.choice(["", OLD, NEW]),
            deleting=source.random() < 0.2,
            owner=source.choice(["u1", "u2", "job", ""]),
            labels=source.choice([{"app": "web"}, {"app": "other"}]),
        )
        new = None if name in store and source.random() < 0.3 else fresh
        census.changed(store.get(name), new)
        store.pop(name, None)
        if new:
            store[name] = new
        for uid in ("u1", "u2"):
            assert census.of(uid) == recounted(store.values(), uid)
    assert not census.of("job")


def recounted(pods, uid):
    owned = (each for each in pods if each["metadata"].get("ownerReferences"))
    return Counter(traits(p) for p in owned if p["metadata"]["ownerReferences"][0]["uid"] == uid)


def test_what_was_given_away_cannot_be_changed_by_what_comes():
    census = Census("ReplicaSet")
    census.changed(None, pod())
    seen = census.of("u1")
    census.changed(pod(), None)
    assert seen == {Traits(frozenset({("app", "web")}), True, False, False, ""): 1}
    assert not census.of("u1")
