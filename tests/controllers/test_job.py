"""Jobs: the decisions as tables, and a Job's life against a real API server in memory."""

from __future__ import annotations

import pytest

from labkit.controllers import job_decision
from labkit.controllers.job import JobController
from labkit.kube import conditions
from labkit.kube.resources import JOBS, PODS

NOW = 1_767_225_600.0
TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "web:1"}]}}


def pod(phase: str, **more: object) -> dict:
    metadata = {"name": phase.lower(), "creationTimestamp": "2025-12-31T23:59:55Z"}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, **more}}


def job(**spec: object) -> dict:
    return {
        "metadata": {"name": "work", "namespace": "default"},
        "spec": {"parallelism": 1, "completions": 1, "template": TEMPLATE, **spec},
        "status": {"startTime": "2025-12-31T23:59:00Z"},
    }


@pytest.mark.parametrize(
    ("spec", "phases", "verdict"),
    [
        ({}, [], None),
        ({}, ["Running"], None),
        ({}, ["Succeeded"], job_decision.DONE),
        ({"completions": 3}, ["Succeeded", "Succeeded"], None),
        ({"completions": None}, ["Succeeded", "Running"], None),
        ({"completions": None}, ["Succeeded", "Failed"], job_decision.DONE),
        ({"backoffLimit": 1}, ["Failed"], None),
        ({"backoffLimit": 1}, ["Failed", "Failed"], job_decision.TOO_OFTEN),
        ({"activeDeadlineSeconds": 60}, ["Running"], job_decision.TOO_LONG),
        ({"activeDeadlineSeconds": 61}, ["Running"], None),
    ],
)
def test_when_a_job_has_ended(spec, phases, verdict):
    found = job_decision.census([pod(phase) for phase in phases])
    assert job_decision.verdict(job(**spec), found, NOW) == verdict


def test_restarts_in_place_count_against_the_limit():
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "OnFailure"}}
    running = pod("Running", containerStatuses=[{"restartCount": 2}])
    found = job_decision.census([running])
    assert job_decision.verdict(job(backoffLimit=2, template=template), found, NOW)
    assert not job_decision.verdict(job(backoffLimit=3, template=template), found, NOW)


@pytest.mark.parametrize(
    ("spec", "phases", "wanted"),
    [
        ({"parallelism": 2, "completions": 5}, [], 2),
        ({"parallelism": 9, "completions": 5}, ["Succeeded"], 4),
        ({"parallelism": 2, "completions": None}, [], 2),
        ({"parallelism": 2, "completions": None}, ["Succeeded", "Running"], 1),
        ({"parallelism": 2, "suspend": True}, ["Running"], 0),
    ],
)
def test_how_many_pods_should_work(spec, phases, wanted):
    found = job_decision.census([pod(phase) for phase in phases])
    assert job_decision.wanted_active(job(**spec)["spec"], found) == wanted


def test_failed_pods_are_replaced_after_a_growing_pause():
    assert job_decision.pause(job_decision.census([]), NOW) == 0
    assert job_decision.pause(job_decision.census([pod("Failed")]), NOW) == 5
    assert job_decision.pause(job_decision.census([pod("Failed")] * 2), NOW) == 15


async def test_a_job_makes_pods_until_enough_have_succeeded(world, running):
    await running(JobController(world.client, world.clock))
    spec = {"completions": 2, "parallelism": 1, "template": TEMPLATE}
    meta = {"name": "work", "namespace": "default"}
    await world.client.create(JOBS, {"metadata": meta, "spec": spec})
    for number in (1, 2):

        async def next_pod(count: int = number):
            pods = await world.pods()
            return len(pods) == count and next(
                (p for p in pods if p["status"]["phase"] == "Pending"), None
            )

        fresh = await world.until(next_pod)
        assert fresh["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "work"
        await world.set_status(PODS, fresh, {"phase": "Succeeded"})

    async def finished():
        found = await world.find(JOBS, "work")
        return conditions.is_true(found, "Complete") and found

    status = (await world.until(finished))["status"]
    assert status["succeeded"] == 2
    assert status["completionTime"] >= status["startTime"]
    assert [each["type"] for each in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert len(await world.pods()) == 2
    assert ("Completed", "Job completed") in await world.until(lambda: world.reasons("work"))


async def test_a_suspended_job_has_no_pods(world, running):
    await running(JobController(world.client, world.clock))
    meta = {"name": "work", "namespace": "default"}
    body = {"metadata": meta, "spec": {"suspend": True, "template": TEMPLATE}}
    await world.client.create(JOBS, body)

    async def suspended():
        return conditions.is_true(await world.find(JOBS, "work"), "Suspended")

    await world.until(suspended)
    assert await world.pods() == []
    await world.client.patch(JOBS, "work", {"spec": {"suspend": False}}, "default")
    await world.until(world.pods)
