"""The work queue's promises, on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from labkit.client import WorkQueue
from labkit.clock import LoopClock

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


@pytest.fixture
def clock() -> LoopClock:
    return LoopClock(0)


async def test_a_key_added_twice_is_handed_out_once():
    queue = WorkQueue(LoopClock(0))
    queue.add("a")
    queue.add("b")
    queue.add("a")
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_busy_comes_back_after_it_is_done():
    queue = WorkQueue(LoopClock(0))
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert len(queue) == 0, "never to two workers at once"
    queue.done("a")
    assert await queue.get() == "a"


async def test_a_delayed_key_comes_when_it_is_due_and_the_earliest_delay_counts():
    clock = LoopClock(0)
    queue = WorkQueue(clock)
    queue.add_after("a", 30)
    queue.add_after("a", 10)
    queue.add_after("a", 20)
    assert await queue.get() == "a"
    assert clock.now() == pytest.approx(10)
    queue.close()


async def test_failures_wait_twice_as_long_each_time_until_forgotten():
    queue = WorkQueue(LoopClock(0))
    delays = [queue.retry("a") for _ in range(4)]
    assert delays == pytest.approx([0.005, 0.01, 0.02, 0.04])
    queue.forget("a")
    assert queue.retry("a") == pytest.approx(0.005)
    queue.close()


async def test_a_waiting_worker_wakes_up():
    queue = WorkQueue(LoopClock(0))
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    queue.add("a")
    assert await waiting == "a"
