"""Jobs and CronJobs on a whole cluster."""

from __future__ import annotations

from tests.api.conftest import MERGE, Wire, until
from tests.api.workloads import condition, job, pods_of, reasons, told
from tests.kubectl.conftest import Kubectl

TRACKING = "batch.kubernetes.io/job-tracking"


def ended(wire: Wire, path: str, kind: str = "Complete") -> dict:
    """The Job once it has ended so."""
    return until(
        lambda: condition(found := wire.ok("GET", path), kind).get("status") == "True" and found,
        60,
        f"{path} is {kind}",
    )


def test_a_job_runs_its_pods_to_their_end(wire: Wire, ns: str, in_group, k: Kubectl):
    jobs = f"{in_group('batch/v1')}/jobs"
    wire.ok("POST", jobs, job("sum", "echo done", completions=3, parallelism=2))
    status = ended(wire, f"{jobs}/sum")["status"]
    assert (status["succeeded"], status.get("failed", 0), status["terminating"]) == (3, 0, 0)
    assert status["uncountedTerminatedPods"] == {}
    pods = pods_of(wire, ns, "sum")
    assert len(pods) == 3
    assert not any(TRACKING in pod["metadata"].get("finalizers", ()) for pod in pods)
    assert "3/3" in k("get", "job", "sum")
    told(wire, ns, "sum", ("Completed", "Job completed"))


def test_indexes_tell_pods_apart(wire: Wire, ns: str, in_group, k: Kubectl):
    jobs = f"{in_group('batch/v1')}/jobs"
    command = 'echo "$JOB_COMPLETION_INDEX of $HOSTNAME"'
    body = job("indexed", command, completions=3, parallelism=3, completionMode="Indexed")
    wire.ok("POST", jobs, body)
    status = ended(wire, f"{jobs}/indexed")["status"]
    assert status["completedIndexes"] == "0-2"
    for number, pod in enumerate(pods_of(wire, ns, "indexed")):
        name = pod["metadata"]["name"]
        assert name.startswith(f"indexed-{number}-")
        labels = pod["metadata"]["labels"]
        assert labels["batch.kubernetes.io/job-completion-index"] == str(number)
        assert k("logs", name).strip() == f"{number} of indexed-{number}"


def test_a_job_that_fails_says_why(wire: Wire, ns: str, in_group):
    jobs = f"{in_group('batch/v1')}/jobs"
    wire.ok("POST", jobs, job("broken", "exit 1", backoffLimit=0))
    status = ended(wire, f"{jobs}/broken", "Failed")["status"]
    conditions = [(each["type"], each["reason"]) for each in status["conditions"]]
    assert conditions == [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ]
    assert status["failed"] == 1
    message = "Job has reached the specified backoff limit"
    assert status["conditions"][1]["message"] == message
    told(wire, ns, "broken", ("BackoffLimitExceeded", message))


def test_a_failure_policy_ends_a_job_at_once(wire: Wire, ns: str, in_group):
    jobs = f"{in_group('batch/v1')}/jobs"
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    wire.ok("POST", jobs, job("fatal", "exit 42", podFailurePolicy={"rules": [rule]}))
    status = ended(wire, f"{jobs}/fatal", "Failed")["status"]
    (pod,) = pods_of(wire, ns, "fatal")
    name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
    assert condition({"status": status}, "Failed")["reason"] == "PodFailurePolicy"
    assert condition({"status": status}, "Failed")["message"] == (
        f"Container main for pod {space}/{name} failed with exit code 42 matching FailJob rule "
        "at index 0"
    )


def test_each_index_may_fail_alone(wire: Wire, ns: str, in_group):
    jobs = f"{in_group('batch/v1')}/jobs"
    limits = {"backoffLimitPerIndex": 0, "completions": 3, "parallelism": 3}
    command = 'test "$JOB_COMPLETION_INDEX" != 1'
    wire.ok("POST", jobs, job("some", command, completionMode="Indexed", **limits))
    status = ended(wire, f"{jobs}/some", "Failed")["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1")
    assert condition({"status": status}, "Failed")["reason"] == "FailedIndexes"


def test_a_success_policy_ends_a_job_early(wire: Wire, ns: str, in_group):
    jobs = f"{in_group('batch/v1')}/jobs"
    policy = {"rules": [{"succeededIndexes": "0"}]}
    command = 'test "$JOB_COMPLETION_INDEX" = 0 || sleep 1000'
    body = job("leader", command, completions=2, parallelism=2, completionMode="Indexed")
    body["spec"]["successPolicy"] = policy
    wire.ok("POST", jobs, body)
    status = ended(wire, f"{jobs}/leader")["status"]
    assert [each["type"] for each in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert condition({"status": status}, "Complete")["reason"] == "SuccessPolicy"
    assert status["completedIndexes"] == "0"


def test_a_deadline_stops_a_job_and_its_pods(wire: Wire, ns: str, in_group):
    jobs = f"{in_group('batch/v1')}/jobs"
    wire.ok("POST", jobs, job("late", "sleep 1000", activeDeadlineSeconds=1))
    status = ended(wire, f"{jobs}/late", "Failed")["status"]
    assert condition({"status": status}, "Failed")["reason"] == "DeadlineExceeded"
    assert (status["failed"], status["terminating"], status.get("active", 0)) == (1, 0, 0)
    until(lambda: not pods_of(wire, ns, "late"), 30, "its Pods are gone")


def test_a_suspended_job_is_resumed(wire: Wire, ns: str, in_group):
    jobs = f"{in_group('batch/v1')}/jobs"
    wire.ok("POST", jobs, job("later", suspend=True))
    until(
        lambda: condition(wire.ok("GET", f"{jobs}/later"), "Suspended").get("status") == "True",
        what="it is suspended",
    )
    assert pods_of(wire, ns, "later") == []
    resumed = {"spec": {"suspend": False}}
    wire.ok("PATCH", f"{jobs}/later", resumed, type=MERGE)
    status = ended(wire, f"{jobs}/later")["status"]
    assert condition({"status": status}, "Suspended")["reason"] == "JobResumed"
    told(wire, ns, "later", ("Suspended", "Job suspended"), ("Resumed", "Job resumed"))


def test_a_deleted_pod_is_replaced_once_it_has_stopped(wire: Wire, ns: str, in_group):
    jobs = f"{in_group('batch/v1')}/jobs"
    wire.ok("POST", jobs, job("worker", "sleep 1000", podReplacementPolicy="Failed"))

    def running(count: int = 1):
        found = [p for p in pods_of(wire, ns, "worker") if p["status"].get("phase") == "Running"]
        return len(found) == count and found

    (first,) = until(running, what="it runs")
    assert TRACKING in first["metadata"]["finalizers"]
    wire.ok("DELETE", f"{ns}/pods/{first['metadata']['name']}")
    until(
        lambda: wire.ok("GET", f"{jobs}/worker")["status"].get("failed") == 1,
        30,
        "the deleted Pod has failed",
    )
    name = first["metadata"]["name"]
    until(lambda: wire.get(f"{ns}/pods/{name}").status_code == 404, 30, "it is gone")
    wire.ok("DELETE", f"{jobs}/worker", propagationPolicy="Background")
    until(lambda: not pods_of(wire, ns, "worker"), 30, "its Pods go with the Job")


def test_an_ended_job_goes_when_its_time_is_over(wire: Wire, ns: str, in_group):
    jobs = f"{in_group('batch/v1')}/jobs"
    wire.ok("POST", jobs, job("brief", ttlSecondsAfterFinished=0))
    until(lambda: wire.get(f"{jobs}/brief").status_code == 404, 60, "the Job is gone")
    until(lambda: not pods_of(wire, ns, "brief"), 30, "its Pods went with it")


def test_a_cron_job_starts_jobs(wire: Wire, ns: str, in_group, k: Kubectl):
    batch = in_group("batch/v1")
    inner = job("tick")["spec"]
    body = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick"},
        "spec": {"schedule": "@every 1s", "jobTemplate": {"spec": inner}},
    }
    wire.ok("POST", f"{batch}/cronjobs", body)
    cron_job = until(
        lambda: (
            (found := wire.ok("GET", f"{batch}/cronjobs/tick"))["status"].get("lastSuccessfulTime")
            and found
        ),
        60,
        "a Job has succeeded",
    )
    assert cron_job["status"]["lastScheduleTime"]
    found = wire.ok("GET", f"{batch}/jobs")["items"]
    owners = {(o["kind"], o["name"]) for one in found for o in one["metadata"]["ownerReferences"]}
    assert owners == {("CronJob", "tick")}
    k("patch", "cronjob", "tick", "-p", '{"spec":{"suspend":true}}')
    assert "True" in k("get", "cronjob", "tick")
    k("create", "job", "by-hand", "--from=cronjob/tick")
    ended(wire, f"{batch}/jobs/by-hand")
    wanted = {"SuccessfulCreate", "SawCompletedJob"}
    until(lambda: wanted <= {reason for reason, _ in reasons(wire, ns, "tick")}, what="the Events")
