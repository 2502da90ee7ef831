"""The Pods that wait: order, back-off, waking up."""

import asyncio
from dataclasses import replace

import pytest

from labkit.clock import Clock
from labkit.scheduler import hints
from labkit.scheduler.queue import LONGEST_WAIT, SchedulingQueue
from tests.scheduler.objects import info, seen
from tests.scheduler.test_affinity import far, near, term


class HandClock(Clock):
    """Time that moves by hand."""

    time = 0.0

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def queue(clock):
    return SchedulingQueue(clock)


def a_pod(name, priority=0, **spec):
    """Its key in the queue is its name."""
    return replace(seen(name, priority=priority, **spec), key=name)


async def drain(queue):
    found = []
    while queue._in_active:
        found.append(await queue.pop())
    return found


async def test_priority_goes_first_then_age(queue):
    for key, priority in (("a", 0), ("b", 10), ("c", 0), ("d", 10)):
        queue.add(a_pod(key, priority))
    assert await drain(queue) == ["b", "d", "a", "c"]


async def test_a_pod_that_is_added_twice_is_tried_once(queue):
    queue.add(a_pod("a"))
    queue.add(a_pod("a"))
    assert await drain(queue) == ["a"]


async def test_a_removed_pod_is_not_tried(queue):
    queue.add(a_pod("a"))
    queue.remove("a")
    queue.add(a_pod("b"))
    assert await drain(queue) == ["b"]


async def test_an_unschedulable_pod_waits_for_a_change_and_for_its_back_off(queue, clock):
    queue.add(a_pod("a"))
    queue.failed(await queue.pop())
    clock.time = 5.0
    queue.flush()
    assert await drain(queue) == []
    queue.move_all()
    assert await drain(queue) == ["a"], "its back-off of 1 s is over"
    queue.failed("a")
    queue.move_all()
    queue.flush()
    assert await drain(queue) == [], "its back-off is now 2 s"
    clock.time = 7.0
    queue.flush()
    assert await drain(queue) == ["a"]


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (60, 10)]
)
async def test_the_back_off_doubles_up_to_ten_seconds(queue, clock, failures, seconds):
    queue.add(a_pod("a"))
    for _ in range(failures):
        clock.time += 1000
        queue.move_all()
        queue.flush()
        queue.failed(await queue.pop())
    queue.move_all()
    clock.time += seconds - 0.1
    queue.flush()
    assert await drain(queue) == []
    clock.time += 0.1
    queue.flush()
    assert await drain(queue) == ["a"]


async def test_an_unschedulable_pod_is_tried_after_five_minutes_whatever_happened(queue, clock):
    queue.add(a_pod("a"))
    queue.failed(await queue.pop())
    clock.time = LONGEST_WAIT - 1
    queue.flush()
    assert await drain(queue) == []
    clock.time = LONGEST_WAIT
    queue.flush()
    assert await drain(queue) == ["a"]


async def test_a_failure_that_is_nobodys_fault_backs_off_without_waiting_for_a_change(queue, clock):
    queue.add(a_pod("a"))
    queue.failed(await queue.pop(), error=True)
    clock.time = 1.0
    queue.flush()
    assert await drain(queue) == ["a"]


async def test_a_pod_that_was_changed_while_it_was_tried_is_tried_again_at_once(queue):
    queue.add(a_pod("a"))
    key = await queue.pop()
    queue.add(a_pod("a"))
    queue.failed(key)
    assert await drain(queue) == ["a"]


async def test_where_nothing_else_is_to_do_a_back_off_is_cut_short_but_not_an_errors(queue, clock):
    for name in "ab":
        queue.add(a_pod(name))
        queue.failed(await queue.pop(), error=name == "b")
    queue.move_all()
    assert await asyncio.wait_for(queue.pop(), 1) == "a"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.pop(), 0.01)
    clock.time = 1.0
    queue.flush()
    assert await queue.pop() == "b"


TAINT = {"key": "k", "effect": "NoSchedule"}
FOE = far(term("foe"))
LEFT, PLACED, CHANGED = hints.pod_left, hints.pod_placed, hints.pod_changed


def node_changed(old, new):
    before = None if old is None else info("n", **old)
    return hints.node_changed(before, info("n", **new))


@pytest.mark.parametrize(
    ("refused_by", "spec", "change", "tried"),
    [
        pytest.param("NodeResourcesFit", {"cpu": "2"}, node_changed(None, {"cpu": "4"}), True,
                     id="a node that is large enough"),
        pytest.param("NodeResourcesFit", {"cpu": "2"}, node_changed(None, {"cpu": "1"}), False,
                     id="a node that is too small"),
        pytest.param("NodeResourcesFit", {"cpu": "2"}, node_changed({}, {"labels": {"a": "b"}}),
                     False, id="a label does not make a node larger"),
        pytest.param("NodeResourcesFit", {"cpu": "2"}, node_changed({"cpu": "1"}, {"cpu": "3"}),
                     True, id="a node that has grown"),
        pytest.param("TaintToleration", {}, node_changed({"taints": [TAINT]}, {}), True,
                     id="a taint has gone"),
        pytest.param("TaintToleration", {}, node_changed({}, {"cpu": "9"}), False,
                     id="there was no taint before"),
        pytest.param("NodeAffinity", {"nodeSelector": {"a": "b"}},
                     node_changed({}, {"labels": {"a": "b"}}), True, id="the label it asks for"),
        pytest.param("NodeUnschedulable", {}, node_changed({"unschedulable": True}, {}), True,
                     id="uncordoned"),
        pytest.param("NodeResourcesFit", {}, LEFT(seen("x"), {}), True, id="a Pod has left"),
        pytest.param("NodeAffinity", {}, LEFT(seen("x"), {}), False, id="which moves no label"),
        pytest.param("NodePorts", {"ports": [{"hostPort": 80}]},
                     LEFT(seen("x", ports=[{"hostPort": 80}]), {}), True, id="its port is free"),
        pytest.param("NodePorts", {"ports": [{"hostPort": 80}]}, LEFT(seen("x"), {}), False,
                     id="it had no such port"),
        pytest.param("InterPodAffinity", {"affinity": FOE},
                     LEFT(seen("x", labels={"app": "foe"}), {}), True, id="a foe has left"),
        pytest.param("InterPodAffinity", {"labels": {"app": "foe"}},
                     LEFT(seen("x", affinity=FOE), {}), True, id="one who took it for a foe"),
        pytest.param("InterPodAffinity", {"affinity": near(term("db"))},
                     PLACED(seen("x", labels={"app": "db"}), {}), True, id="a friend has come"),
        pytest.param("NodeResourcesFit", {}, PLACED(seen("x"), {}), False, id="which takes room"),
        pytest.param("PodTopologySpread", {}, hints.NODE_GONE, True, id="a domain has gone"),
        pytest.param("NodeResourcesFit", {}, CHANGED(seen("x")), True, id="a Pod asks for less"),
        pytest.param("VolumeBinding", {}, hints.STORAGE_CHANGED, True, id="a claim has come"),
    ],
)  # fmt: skip
async def test_a_pod_is_tried_again_when_that_could_help_it(
    queue, clock, refused_by, spec, change, tried
):
    queue.add(a_pod("a", **spec))
    queue.failed(await queue.pop(), [refused_by])
    clock.time = 5.0
    queue.move(change)
    assert bool(await drain(queue)) is tried


async def test_a_pod_that_no_filter_refused_is_tried_after_any_change(queue, clock):
    queue.add(a_pod("a"))
    queue.failed(await queue.pop())
    clock.time = 5.0
    queue.move(hints.NODE_GONE)
    assert await drain(queue) == ["a"]
