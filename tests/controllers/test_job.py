"""Jobs: the decisions as tables, and a Job's life against a real API server in memory."""

from __future__ import annotations

import itertools

import pytest

from labkit.controllers import job_decision, job_indexes, job_pods, job_status
from labkit.controllers.job import JobController
from labkit.controllers.job_survey import NO_FAILURES, Backoff, survey
from labkit.controllers.ttlafterfinished import TTLAfterFinishedController, expires_in
from labkit.kube import conditions
from labkit.kube.resources import JOBS, PODS

NOW = 1_767_225_600.0
TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "web:1"}]}}


def pod(phase: str, index: int | None = None, **more: object) -> dict:
    """A Pod; `gone` makes it terminate, `failures` is its index's count so far."""
    name = f"{phase.lower()}-{index}" if index is not None else phase.lower()
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": more.pop("uid", f"{name}-{id(more)}"),
        "creationTimestamp": "2025-12-31T23:59:55Z",
        "finalizers": [job_pods.FINALIZER],
        "annotations": {},
    }
    if index is not None:
        metadata["annotations"][job_pods.INDEX] = str(index)
        metadata["annotations"][job_pods.FAILURES] = str(more.pop("failures", 0))
    if more.pop("gone", False):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, **more}}


def job(**spec: object) -> dict:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": "default", "uid": "job"},
        "spec": {"parallelism": 1, "completions": 1, "template": TEMPLATE, **spec},
        "status": {"startTime": "2025-12-31T23:59:00Z"},
    }


def looked_at(one: dict, *pods: dict, backoff: Backoff = NO_FAILURES):
    return survey(one, pods, NOW, backoff=backoff)


def indexed(completions: int = 4, **spec: object) -> dict:
    return job(completionMode="Indexed", completions=completions, parallelism=completions, **spec)


# How it ends.


@pytest.mark.parametrize(
    ("spec", "phases", "verdict"),
    [
        ({}, [], None),
        ({}, ["Running"], None),
        ({"backoffLimit": 1}, ["Failed"], None),
        ({"backoffLimit": 1}, ["Failed", "Failed"], job_decision.TOO_OFTEN),
        ({"activeDeadlineSeconds": 60}, ["Running"], job_decision.TOO_LONG),
        ({"activeDeadlineSeconds": 61}, ["Running"], None),
        ({"activeDeadlineSeconds": 60, "suspend": True}, [], None),
    ],
)
def test_when_a_job_has_failed(spec, phases, verdict):
    assert job_decision.verdict(looked_at(job(**spec), *map(pod, phases))) == verdict


@pytest.mark.parametrize(
    ("spec", "phases", "complete"),
    [
        ({}, ["Succeeded"], True),
        ({"completions": 3}, ["Succeeded", "Succeeded"], False),
        ({"completions": 1}, ["Succeeded", "Running"], False),
        ({"completions": None}, ["Succeeded", "Running"], False),
        ({"completions": None}, ["Succeeded", "Failed"], True),
        ({"completions": None}, ["Failed"], False),
    ],
)
def test_when_a_job_is_complete(spec, phases, complete):
    found = looked_at(job(**spec), *map(pod, phases))
    assert job_decision.is_complete(found, len(found.active)) == complete


def test_restarts_in_place_count_against_the_limit():
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "OnFailure"}}
    running = pod("Running", containerStatuses=[{"restartCount": 2}])
    assert job_decision.verdict(looked_at(job(backoffLimit=2, template=template), running))
    assert not job_decision.verdict(looked_at(job(backoffLimit=3, template=template), running))


def ended(code: int, container: str = "app") -> list[dict]:
    state = {"terminated": {"exitCode": code, "finishedAt": "2025-12-31T23:59:58Z"}}
    return [{"name": container, "state": state, "restartCount": 0}]


def on_exit(action: str, operator: str, *values: int) -> dict:
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(values)}}


DISRUPTED = {
    "action": "Ignore",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}


@pytest.mark.parametrize(
    ("rules", "failed", "expected"),
    [
        pytest.param([], pod("Failed"), ("Count", True), id="without a rule it counts"),
        pytest.param(
            [on_exit("Ignore", "In", 3)], pod("Failed", containerStatuses=ended(3)),
            ("Ignore", False), id="ignored",
        ),
        pytest.param(
            [on_exit("Ignore", "In", 3)], pod("Failed", containerStatuses=ended(4)),
            ("Count", True), id="another code",
        ),
        pytest.param(
            [on_exit("FailIndex", "NotIn", 3)], pod("Failed", containerStatuses=ended(4)),
            ("FailIndex", True), id="NotIn",
        ),
        pytest.param(
            [on_exit("Ignore", "NotIn", 3)], pod("Failed", containerStatuses=ended(0)),
            ("Count", True), id="success is never meant",
        ),
        pytest.param(
            [DISRUPTED], pod("Failed", conditions=[{"type": "DisruptionTarget", "status": "True"}]),
            ("Ignore", False), id="by a condition",
        ),
    ],
)  # fmt: skip
def test_what_the_failure_policy_says(rules, failed, expected):
    spec = {"podFailurePolicy": {"rules": rules}}
    assert job_pods.judge(spec, failed)[:2] == expected


def test_a_job_fails_by_its_failure_policy_with_upstreams_words():
    policy = {"rules": [DISRUPTED, on_exit("FailJob", "In", 42)]}
    found = looked_at(job(podFailurePolicy=policy), pod("Failed", containerStatuses=ended(42)))
    verdict = job_decision.verdict(found)
    assert (verdict.condition, verdict.reason) == ("Failed", "PodFailurePolicy")
    assert verdict.message == (
        "Container app for pod default/failed failed with exit code 42 "
        "matching FailJob rule at index 1"
    )


@pytest.mark.parametrize(
    ("spec", "pods", "reason"),
    [
        pytest.param({"backoffLimitPerIndex": 1}, [pod("Failed", 0)], None, id="once is allowed"),
        pytest.param(
            {"backoffLimitPerIndex": 1, "maxFailedIndexes": 0}, [pod("Failed", 0, failures=1)],
            "MaxFailedIndexesExceeded", id="too many indexes",
        ),
        pytest.param(
            {"backoffLimitPerIndex": 0}, [pod("Failed", 0), *(pod("Succeeded", i) for i in (1, 2))],
            None, id="one index still goes on",
        ),
        pytest.param(
            {"backoffLimitPerIndex": 0},
            [pod("Failed", 0), *(pod("Succeeded", i) for i in (1, 2, 3))],
            "FailedIndexes", id="all have ended",
        ),
        pytest.param(
            {"successPolicy": {"rules": [{"succeededIndexes": "0,2"}]}},
            [pod("Succeeded", 0), pod("Succeeded", 2)], "SuccessPolicy", id="the leaders succeeded",
        ),
        pytest.param(
            {"successPolicy": {"rules": [{"succeededIndexes": "0-3", "succeededCount": 2}]}},
            [pod("Succeeded", 0)], None, id="too few of them",
        ),
        pytest.param(
            {"successPolicy": {"rules": [{"succeededCount": 1}]}},
            [pod("Succeeded", 3)], "SuccessPolicy", id="any of them",
        ),
    ],
)  # fmt: skip
def test_how_indexed_jobs_end(spec, pods, reason):
    spec = {"backoffLimit": 100, **spec}
    verdict = job_decision.verdict(looked_at(indexed(**spec), *pods))
    assert (verdict and verdict.reason) == reason


# What it needs.


@pytest.mark.parametrize(
    ("spec", "phases", "create", "delete"),
    [
        ({"parallelism": 2, "completions": 5}, [], 2, 0),
        ({"parallelism": 9, "completions": 5}, ["Succeeded"], 4, 0),
        ({"parallelism": 2, "completions": None}, [], 2, 0),
        ({"parallelism": 2, "completions": None}, ["Succeeded", "Running"], 0, 0),
        ({"parallelism": 1, "completions": 5}, ["Running", "Running"], 0, 1),
        ({"parallelism": 2, "completions": 5}, ["Succeeded"] * 4 + ["Running"] * 2, 0, 1),
        ({"parallelism": 2, "suspend": True}, ["Running"], 0, 1),
    ],
)
def test_how_many_pods_come_and_go(spec, phases, create, delete):
    orders = job_decision.orders(looked_at(job(**spec), *map(pod, phases)))
    assert (orders.create, len(orders.delete)) == (create, delete)


@pytest.mark.parametrize(
    ("policy", "create", "failed"), [("TerminatingOrFailed", 1, 1), ("Failed", 0, 0)]
)
def test_whether_a_terminating_pod_is_replaced(policy, create, failed):
    found = looked_at(job(podReplacementPolicy=policy, backoffLimit=6), pod("Running", gone=True))
    # Its predecessor's end is in the future of the clock: no pause.
    assert found.failed == failed
    found.backoff = NO_FAILURES
    assert job_decision.orders(found).create == create


def test_failed_pods_are_replaced_after_a_growing_pause():
    assert looked_at(job()).backoff.left(NOW) == 0
    assert job_decision.orders(looked_at(job(), pod("Failed"))).wait == 5
    assert job_decision.orders(looked_at(job(), *[pod("Failed")] * 2)).wait == 15
    earlier = Backoff(failures=3, last=NOW - 100)
    found = looked_at(job(completions=9), pod("Succeeded"), backoff=earlier)
    assert found.backoff.failures == 0


def test_indexes_without_a_pod_get_one_from_the_lowest_on():
    one = indexed(5)
    one["spec"]["parallelism"] = 3
    found = looked_at(one, pod("Succeeded", 0), pod("Running", 2))
    assert job_decision.orders(found).indexes == [1, 3]


def test_pods_with_a_double_or_wrong_index_go():
    found = looked_at(indexed(2), pod("Running", 0), pod("Running", 0), pod("Running", 7))
    doomed = job_decision.orders(found).delete
    assert [job_pods.index(found.spec, each) for each in doomed] == [None, 0]


def test_each_index_has_its_own_pause_and_count():
    spec = {"backoffLimitPerIndex": 3, "backoffLimit": 100}
    found = looked_at(indexed(2, **spec), pod("Failed", 0, failures=1))
    orders = job_decision.orders(found)
    assert (orders.create, list(orders.indexes)) == (1, [1])
    found = looked_at(indexed(1, **spec), pod("Failed", 0, failures=1))
    assert job_decision.orders(found).wait == 15
    template = job_pods.template_pod(found.job)
    fresh = job_pods.indexed_pod(found.job, template, 0, found.delayed[0])
    assert fresh["metadata"]["annotations"][job_pods.FAILURES] == "2"


def test_a_pod_is_told_its_index():
    one = indexed(3)
    found = job_pods.indexed_pod(one, job_pods.template_pod(one), 2, None)
    assert found["metadata"]["annotations"] == {job_pods.INDEX: "2"}
    assert found["metadata"]["labels"][job_pods.INDEX] == "2"
    assert found["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert (found["metadata"]["generateName"], found["spec"]["hostname"]) == ("work-2-", "work-2")
    (variable,) = found["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"
    field = "metadata.labels['batch.kubernetes.io/job-completion-index']"
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == field


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ([], ""),
        ([3], "3"),
        ([0, 1], "0,1"),
        ([0, 2, 3, 4, 7], "0,2-4,7"),
        ([5, 6, 8, 9], "5,6,8,9"),
    ],
)
def test_how_indexes_are_spelled(indexes, text):
    assert job_indexes.spell(indexes) == text
    assert job_indexes.parse(text, 10) == set(indexes)
    assert job_indexes.parse("1-9", 3) == {1, 2}


# How they are counted.


def test_a_pod_that_has_ended_is_noted_then_released_then_counted():
    one = job(completions=2)
    found = looked_at(one, pod("Succeeded", uid="a"), pod("Failed", uid="b"), pod("Running"))
    status, release, whole = job_status.tracked(found, job_status.opened(one, "now"), None)
    assert status["uncountedTerminatedPods"] == {"succeeded": ["a"], "failed": ["b"]}
    assert [each["metadata"]["uid"] for each in release] == ["a", "b"]
    assert whole
    half = job_status.settled(status, {"b"})
    assert half["uncountedTerminatedPods"] == {"failed": ["b"]}
    assert half["succeeded"] == 1
    assert "failed" not in half
    done = job_status.settled(half, set())
    assert (done["succeeded"], done["failed"]) == (1, 1)
    assert done["uncountedTerminatedPods"] == {}


def test_noted_pods_are_counted_once_wherever_it_stopped():
    one = job(completions=9)
    one["status"]["uncountedTerminatedPods"] = {"succeeded": ["a"]}
    assert looked_at(one, pod("Succeeded", uid="a")).succeeded == 1
    released = pod("Succeeded", uid="a")
    released["metadata"]["finalizers"] = []
    assert looked_at(one, released).succeeded == 1
    one["status"] |= {"uncountedTerminatedPods": {}, "succeeded": 1}
    assert looked_at(one, released).succeeded == 1
    assert survey(one, [pod("Succeeded", uid="a")], NOW, released={"a"}).succeeded == 1


def test_a_failed_pod_waits_for_its_indexs_next_one():
    one = indexed(1, backoffLimitPerIndex=3)
    failed = pod("Failed", 0, uid="a")
    status, release, _ = job_status.tracked(
        looked_at(one, failed), job_status.opened(one, "now"), None
    )
    assert release == []
    assert status["failedIndexes"] == ""
    _, release, _ = job_status.tracked(
        looked_at(one, failed, pod("Running", 0, failures=1)), job_status.opened(one, "now"), None
    )
    assert release == [failed]


# A Job's life.


@pytest.fixture
async def jobs(world, running):
    await running(JobController(world.client, world.clock))
    return Jobs(world)


class Jobs:
    """What the tests do to the Job `work`, and what they ask about it."""

    def __init__(self, world):
        self.world = world

    async def create(self, **spec: object) -> dict:
        meta = {"name": "work", "namespace": "default"}
        body = {"metadata": meta, "spec": {"template": TEMPLATE, **spec}}
        return await self.world.client.create(JOBS, body)

    async def get(self) -> dict:
        return await self.world.find(JOBS, "work")

    async def patch(self, **spec: object) -> None:
        await self.world.client.patch(JOBS, "work", {"spec": spec}, "default")

    async def pending(self, count: int, seconds: float = 10) -> list[dict]:
        """The Pods that wait to be run, once there are so many."""

        async def holds():
            found = [p for p in await self.world.pods() if p["status"]["phase"] == "Pending"]
            return len(found) == count and found

        return await self.world.until(holds, seconds)

    async def idle(self) -> bool:
        """Whether no Pod is left."""
        return not await self.world.pods()

    async def end(self, one: dict, phase: str = "Succeeded", **status: object) -> None:
        await self.world.set_status(PODS, one, {"phase": phase, **status})

    async def condition(self, kind: str) -> dict:
        """The Job once this condition is true."""

        async def holds():
            found = await self.get()
            return conditions.is_true(found, kind) and found

        return await self.world.until(holds)

    async def status(self, **expected: object) -> dict:
        """The status once it has these fields."""

        async def holds():
            status = (await self.get())["status"]
            return expected.items() <= {"failed": 0, "succeeded": 0, **status}.items() and status

        return await self.world.until(holds)


async def test_a_job_makes_pods_until_enough_have_succeeded(world, jobs):
    await jobs.create(completions=2, parallelism=1)
    for _ in range(2):
        (fresh,) = await jobs.pending(1)
        assert fresh["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "work"
        await jobs.end(fresh)
    status = (await jobs.condition("Complete"))["status"]
    assert status["succeeded"] == 2
    assert status["completionTime"] >= status["startTime"]
    assert [each["type"] for each in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert status["conditions"][1]["message"] == "Reached expected number of succeeded pods"
    found = await world.pods()
    assert len(found) == 2
    assert not any(job_pods.is_tracked(each) for each in found)
    assert ("Completed", "Job completed") in await world.until(lambda: world.reasons("work"))


async def test_an_indexed_job_has_one_pod_for_each_index(world, jobs):
    await jobs.create(completions=3, parallelism=3, completionMode="Indexed")
    for each in await jobs.pending(3):
        await jobs.end(each)
    status = (await jobs.condition("Complete"))["status"]
    assert (status["succeeded"], status["completedIndexes"]) == (3, "0-2")
    found = await world.pods()
    assert sorted(each["spec"]["hostname"] for each in found) == ["work-0", "work-1", "work-2"]


async def test_a_job_that_fails_takes_its_pods_down_and_counts_them(world, jobs, kubelets):
    kubelets.hold = lambda pod: True
    await jobs.create(completions=3, parallelism=3, backoffLimit=0)
    one, *_ = await jobs.pending(3)
    await jobs.end(one, "Failed", containerStatuses=ended(1))
    status = (await jobs.condition("Failed"))["status"]
    assert [each["type"] for each in status["conditions"]] == ["FailureTarget", "Failed"]
    assert status["conditions"][1]["reason"] == "BackoffLimitExceeded"
    assert (status["failed"], status.get("active", 0), status["terminating"]) == (3, 0, 0)
    assert len(await world.pods()) == 1


async def test_a_suspended_job_has_no_pods_and_loses_none_of_its_count(world, jobs, kubelets):
    kubelets.hold = lambda pod: True
    await jobs.create(suspend=True)
    first = await jobs.condition("Suspended")
    assert "startTime" not in first["status"]
    assert await world.pods() == []
    await jobs.patch(suspend=False)
    await jobs.pending(1)
    await jobs.patch(suspend=True)
    await jobs.condition("Suspended")
    await world.until(jobs.idle)
    status = await jobs.status(terminating=0)
    assert (status.get("failed", 0), status.get("active", 0)) == (0, 0)
    reasons = [reason for reason, _ in await world.reasons("work")]
    assert "Suspended" in reasons
    assert "Resumed" in reasons


@pytest.mark.looptime
async def test_failed_pods_come_back_ever_later(virtual):
    async with virtual.world() as world:
        controller = JobController(world.client, world.clock)
        async with virtual.run(controller):
            jobs, born = Jobs(world), []
            await jobs.create(backoffLimit=6)
            for _ in range(4):
                (fresh,) = await jobs.pending(1, seconds=100)
                born.append(world.clock.monotonic())
                finished = ended(1)
                finished[0]["state"]["terminated"]["finishedAt"] = world.clock.timestamp()
                await jobs.end(fresh, "Failed", containerStatuses=finished)
    pauses = [later - earlier for earlier, later in itertools.pairwise(born)]
    assert pauses == [pytest.approx(seconds, abs=1.5) for seconds in (10, 20, 40)]


async def test_pods_of_a_job_that_is_gone_are_not_held_up(world, jobs):
    await jobs.create()
    await jobs.pending(1)
    await world.client.delete(JOBS, "work", "default", propagation_policy="Background")

    async def released():
        return not any(job_pods.is_tracked(each) for each in await world.pods())

    await world.until(released)


@pytest.mark.parametrize(
    ("ttl", "kind", "left"),
    [(None, "Complete", None), (60, "Complete", 55), (0, "Failed", -5), (60, "Suspended", None)],
)
def test_when_an_ended_job_goes(ttl, kind, left):
    since = "2025-12-31T23:59:55Z"
    told = [{"type": kind, "status": "True", "lastTransitionTime": since}]
    ended = {**job(ttlSecondsAfterFinished=ttl), "status": {"conditions": told}}
    assert expires_in(ended, NOW) == left


async def test_an_ended_job_goes_with_its_pods(world, jobs, running):
    await running(TTLAfterFinishedController(world.client, world.clock))
    await jobs.create(ttlSecondsAfterFinished=0)
    (fresh,) = await jobs.pending(1)
    await jobs.end(fresh)

    async def going():
        found = await jobs.get()
        return found is None or "deletionTimestamp" in found["metadata"]

    await world.until(going)
