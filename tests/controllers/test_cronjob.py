"""CronJobs: schedules as a table, and a CronJob's life against a real API server in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from labkit.controllers.cronjob import CronJobController, schedule_of
from labkit.kube import cron
from labkit.kube.resources import CRON_JOBS, JOBS

TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "web:1"}]}}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "then"),
    [
        ("* * * * *", "2026-01-01 00:00:30", "2026-01-01 00:01:00"),
        ("*/15 * * * *", "2026-01-01 00:45:00", "2026-01-01 01:00:00"),
        ("0 9 * * mon-fri", "2026-01-02 09:00:00", "2026-01-05 09:00:00"),
        ("30 2 29 2 *", "2026-01-01 00:00:00", "2028-02-29 02:30:00"),
        ("0 0 13 * fri", "2026-01-01 00:00:00", "2026-01-02 00:00:00"),
        ("@monthly", "2026-12-15 10:00:00", "2027-01-01 00:00:00"),
        ("@every 90s", "2026-01-01 00:00:00", "2026-01-01 00:01:30"),
    ],
)
def test_the_next_time_of_a_schedule(schedule, after, then):
    assert cron.following(cron.parse(schedule), at(after)) == at(then)


def test_a_schedule_may_have_no_time():
    assert cron.following(cron.parse("0 0 30 2 *"), at("2026-01-01 00:00:00")) is None


def cron_job(schedule: str, last: str | None = None, **spec: object) -> dict:
    return {
        "metadata": {"name": "tick", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"schedule": schedule, **spec},
        "status": {"lastScheduleTime": last} if last else {},
    }


@pytest.mark.parametrize(
    ("job", "now", "due", "then"),
    [
        (cron_job("0 * * * *"), "00:30:00", None, "01:00:00"),
        (cron_job("0 * * * *"), "01:00:00", "01:00:00", "02:00:00"),
        (cron_job("0 * * * *"), "03:10:00", "03:00:00", "04:00:00"),
        (cron_job("0 * * * *", "2026-01-01T03:00:00Z"), "03:10:00", None, "04:00:00"),
        (cron_job("0 * * * *", startingDeadlineSeconds=60), "03:10:00", None, "04:00:00"),
        (cron_job("* * * * *", "2025-01-01T03:00:00Z"), "03:10:30", "03:10:00", "03:11:00"),
        (cron_job("0 5 * * *", timeZone="Europe/Paris"), "04:00:00", "04:00:00", None),
    ],
)
def test_what_is_due(job, now, due, then):
    found, upcoming = schedule_of(job, at(f"2026-01-01 {now}"))
    assert found == (due and at(f"2026-01-01 {due}"))
    assert then is None or upcoming == at(f"2026-01-01 {then}")


async def tick(world, **spec: object) -> dict:
    """A CronJob for each minute."""
    meta = {"name": "tick", "namespace": "default"}
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": TEMPLATE}}, **spec}
    return await world.client.create(CRON_JOBS, {"metadata": meta, "spec": spec})


@pytest.mark.looptime
async def test_each_minute_has_its_job(virtual):
    async with virtual.world() as world:
        controller = CronJobController(world.client, world.clock)
        async with virtual.run(controller):
            made = await tick(world)

            async def two():
                found = await world.items(JOBS)
                return found if len(found) == 2 else None

            found = await world.until(two, 200)
            names = [job["metadata"]["name"] for job in found]
            minutes = [int(name.removeprefix("tick-")) for name in names]
            assert minutes[1] == minutes[0] + 1
            assert found[0]["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]

            async def told():
                status = (await world.find(CRON_JOBS, "tick"))["status"]
                return [each["name"] for each in status.get("active", ())] == names and status

            assert (await world.until(told))["lastScheduleTime"]


@pytest.mark.looptime
async def test_a_job_that_runs_forbids_the_next(virtual):
    async with virtual.world() as world:
        controller = CronJobController(world.client, world.clock)
        async with virtual.run(controller):
            await tick(world, concurrencyPolicy="Forbid")

            async def refused():
                return any(
                    reason == "JobAlreadyActive" for reason, _ in await world.reasons("tick")
                )

            await world.until(refused, 200)
            assert len(await world.items(JOBS)) == 1
