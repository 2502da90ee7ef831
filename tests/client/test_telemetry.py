"""What work queues tell, on virtual time."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from labkit.client import WorkQueue, telemetry
from labkit.clock import LoopClock

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def test_a_queue_tells_how_long_keys_wait_and_how_long_work_takes():
    clock, page = LoopClock(0), telemetry.registry()
    queue = WorkQueue(clock)
    telemetry.QueueMetrics(page).watch(queue, "web")
    for key in ("a", "b", "a"):
        queue.add(key)
    await clock.sleep(2)
    queue.done(await queue.get())
    await queue.get()
    queue.add("b")  # while it is busy
    await clock.sleep(3)
    queue.done("b")
    queue.retry("c")
    assert found(page, "workqueue_adds_total") == 3
    assert found(page, "workqueue_retries_total") == 1
    assert found(page, "workqueue_depth") == 1
    assert found(page, "workqueue_queue_duration_seconds_sum") == pytest.approx(4)
    assert found(page, "workqueue_work_duration_seconds_sum") == pytest.approx(3)
    assert found(page, "workqueue_work_duration_seconds_count") == 2
    queue.close()


def found(page, name):
    """The value of the one sample of that name of the queue `web`."""
    families = text_string_to_metric_families(telemetry.text(page))
    (sample,) = (one for family in families for one in family.samples if one.name == name)
    assert sample.labels == {"name": "web"}
    return sample.value
