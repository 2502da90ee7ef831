"""The Pods that wait: order, back-off, waking up."""

from dataclasses import replace

import pytest

from labkit.clock import Clock
from labkit.scheduler.queue import LONGEST_WAIT, SchedulingQueue
from tests.scheduler.objects import seen


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
