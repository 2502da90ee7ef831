"""The snapshot: what is tried on it is as if it were so, and leaves nothing behind."""

import copy

import pytest

from labkit.kube.resources import NODES, PODS
from labkit.scheduler.snapshot import Snapshot
from tests.scheduler.objects import node, pod


@pytest.fixture
def snapshot():
    """Two nodes of 4 CPUs; `a` has one Pod that requests 3."""
    found = Snapshot()
    for name in ("a", "b"):
        found.changed(NODES, None, node(name))
    found.changed(PODS, None, pod("big", cpu="3", node="a"))
    return found


def test_a_pod_fits_where_the_scheduler_would_put_it(snapshot):
    assert snapshot.find(pod(cpu="2")) == "b"
    assert snapshot.find(pod(cpu="2"), ["a"]) is None
    assert snapshot.refusal(pod(cpu="2"), "a") == ("Insufficient cpu",)
    assert snapshot.refusal(pod(cpu="2"), "b") == ()


def test_pods_that_are_placed_in_thought_take_room(snapshot):
    snapshot.place(pod("one", cpu="3"), "b")
    assert snapshot.find(pod("two", cpu="2")) is None
    assert [each["metadata"]["name"] for each in snapshot.pods("b")] == ["one"]


def test_all_that_was_tried_can_be_taken_back(snapshot):
    before = copy.deepcopy(snapshot.pods("a")), snapshot.pods("b")
    mark = snapshot.mark()
    snapshot.add_node(node("c"), [pod("daemon", cpu="1")])
    snapshot.set_node(node("b", taints=[{"key": "k", "effect": "NoSchedule"}]))
    snapshot.place(snapshot.pods("a")[0], "c")
    assert snapshot.find(pod(cpu="4")) == "a"
    assert snapshot.find(pod(cpu="4"), ["b", "c"]) is None
    snapshot.revert(mark)
    assert (snapshot.pods("a"), snapshot.pods("b")) == before
    assert snapshot.pods("c") == []
    assert snapshot.find(pod(cpu="4")) == "b"
    assert snapshot.refusal(pod(cpu="2"), "a") == ("Insufficient cpu",)


def test_the_watch_goes_on_after_something_was_tried(snapshot):
    big, mark = snapshot.pods("a")[0], snapshot.mark()
    snapshot.remove_pod(big)
    snapshot.revert(mark)
    snapshot.changed(PODS, big, None)
    assert snapshot.pods("a") == []
    assert snapshot.find(pod(cpu="4"), ["a"]) == "a"


def test_pods_that_want_to_be_alone_are_kept_apart(snapshot):
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}
    alone = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    snapshot.place(pod("one", labels={"app": "x"}, affinity=alone), "a")
    assert snapshot.find(pod("two", labels={"app": "x"}, affinity=alone)) == "b"
    snapshot.place(pod("two", labels={"app": "x"}, affinity=alone), "b")
    assert snapshot.find(pod("three", labels={"app": "x"}, affinity=alone)) is None


def test_the_share_of_a_node_is_what_pods_request_of_it(snapshot):
    found = [pod(cpu="1", memory="2Gi"), pod(cpu="500m")]
    assert snapshot.share(found, node(cpu="4", memory="8Gi")) == (0.375, 0.25)
