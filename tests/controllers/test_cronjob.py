"""CronJobs: schedules as a table, and a CronJob's life against a real API server in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from labkit.controllers import cronjob_decision as decision
from labkit.controllers.cronjob import CronJobController
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
    moment = at(f"2026-01-01 {now}")
    assert decision.due(job, moment).time == (due and at(f"2026-01-01 {due}"))
    if then:
        left = (at(f"2026-01-01 {then}") - moment).total_seconds()
        assert decision.next_in(job, moment) == pytest.approx(left + 0.1)


@pytest.mark.parametrize(
    ("job", "too_many"),
    [
        (cron_job("* * * * *", "2026-01-01T02:00:00Z"), False),
        (cron_job("* * * * *", "2025-12-31T02:00:00Z"), True),
        (cron_job("* * * * *", "2025-12-31T02:00:00Z", startingDeadlineSeconds=600), False),
    ],
)
def test_a_hundred_missed_times_are_too_many(job, too_many):
    assert decision.due(job, at("2026-01-01 03:10:30")).too_many == too_many


@pytest.mark.parametrize(
    ("schedule", "after", "then"),
    [
        pytest.param("30 2 * * *", "2026-03-28T12:00", "2026-03-30T02:30", id="a time left out"),
        pytest.param(
            "30 2 * * *", "2026-10-24T12:00", "2026-10-25T02:30", id="a time that is twice"
        ),
        pytest.param("0 * * * *", "2026-03-29T01:30", "2026-03-29T03:00", id="the hour after"),
    ],
)
def test_times_where_clocks_are_put_forward_or_back(schedule, after, then):
    zone = ZoneInfo("Europe/Paris")
    moment = datetime.fromisoformat(after).replace(tzinfo=zone)
    found = cron.following(cron.parse(schedule), moment)
    assert found == datetime.fromisoformat(then).replace(tzinfo=zone)


def test_an_hour_that_comes_twice_has_two_times():
    moment = datetime(2026, 10, 25, 2, 0, tzinfo=ZoneInfo("Europe/Paris"))
    found = cron.following(cron.parse("0 * * * *"), moment)
    assert (found.astimezone(UTC) - moment.astimezone(UTC)).total_seconds() == 3600
    assert found.hour == 2


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


@pytest.mark.looptime
async def test_a_new_job_may_replace_the_one_that_runs(virtual):
    async with virtual.world() as world:
        controller = CronJobController(world.client, world.clock)
        async with virtual.run(controller):
            await tick(world, concurrencyPolicy="Replace")

            async def replaced():
                reasons = [reason for reason, _ in await world.reasons("tick")]
                return "SuccessfulDelete" in reasons and len(await world.items(JOBS)) == 1

            await world.until(replaced, 200)


@pytest.mark.looptime
async def test_ended_jobs_are_noticed_and_only_the_newest_are_kept(virtual):
    async with virtual.world() as world:
        controller = CronJobController(world.client, world.clock)
        async with virtual.run(controller):
            await tick(world, successfulJobsHistoryLimit=1)

            async def ended():
                for job in await world.items(JOBS):
                    if not job["status"].get("conditions"):
                        await end(world, job)
                status = (await world.find(CRON_JOBS, "tick"))["status"]
                reasons = [reason for reason, _ in await world.reasons("tick")]
                return "SuccessfulDelete" in reasons and status.get("lastSuccessfulTime")

            await world.until(ended, 300)
            reasons = [reason for reason, _ in await world.reasons("tick")]
            assert "SawCompletedJob" in reasons
            assert len(await world.items(JOBS)) <= 2


async def end(world, job) -> None:
    """What the job controller says of a Job that is complete."""
    now = world.clock.timestamp()
    told = [
        {"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    status = {"conditions": told, "startTime": now, "completionTime": now, "succeeded": 1}
    await world.set_status(JOBS, job, status)


@pytest.mark.looptime
async def test_a_job_that_someone_made_from_it_is_unexpected(virtual):
    async with virtual.world() as world:
        controller = CronJobController(world.client, world.clock)
        async with virtual.run(controller):
            made = await tick(world, suspend=True)
            job = decision.job_of(made, at("2026-01-01 00:00:00"))
            job["metadata"]["name"] = "by-hand"
            await world.client.create(JOBS, job)
            message = "Saw a job that the controller did not create or forgot: by-hand"

            async def told():
                return ("UnexpectedJob", message) in await world.reasons("tick")

            await world.until(told, 200)
            assert "active" not in (await world.find(CRON_JOBS, "tick"))["status"]
