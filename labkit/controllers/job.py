"""The job controller: Pods that run to their end, until enough of them have succeeded.

reconcile: count the Pods, decide whether the Job has ended (`job_decision`), make what is missing
or delete what is too much, write the status.  A Job that ends gets its verdict first
(`SuccessCriteriaMet` or `FailureTarget`) and its last condition when all its Pods have stopped.

Source: kube-controller-manager's job controller; documentation "Jobs".  Left out: Indexed Jobs,
Pod failure policies, success policies, tracking of Pods by finalizers (a Pod that is deleted is
forgotten, and made again).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import job_decision
from labkit.controllers.batches import slow_start
from labkit.controllers.claims import claim
from labkit.controllers.expectations import Expectations
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.controllers.job_decision import Census, Verdict
from labkit.controllers.replicaset import (
    BY_CONTROLLER,
    ORPHANS,
    controller_uid,
    is_terminating_namespace,
    orphan_namespace,
    pod_from_template,
)
from labkit.kube import conditions, objects, times
from labkit.kube.resources import JOBS, PODS

_NO_INDEXES = (
    "Jobs with completionMode Indexed are not run in this cluster. Its job controller gives Pods "
    "no indexes. Leave out spec.completionMode, or use a real cluster."
)
_TARGETS = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}


class JobController(SharingController):
    """Runs every Job."""

    name = "job-controller"
    workers = 5  # --concurrent-job-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self.expectations = Expectations(clock)
        self._jobs = self.watch(JOBS)
        self._pods = self.watch(PODS, self._job_of)
        self._pods.add_index(BY_CONTROLLER, controller_uid)
        self._pods.add_index(ORPHANS, orphan_namespace)
        self.on_change(self._pods, self._observe)

    def _job_of(self, pod: Mapping) -> Iterable[str]:
        owner = objects.controller_of(pod)
        if owner and owner["kind"] == JOBS.kind:
            yield f"{pod['metadata']['namespace']}/{owner['name']}"

    def _observe(self, old: Mapping | None, new: Mapping | None) -> None:
        for key in self._job_of(new or old):
            if old is None:
                self.expectations.creations_observed(key)
            if new is None or objects.is_deleting(new):
                self.expectations.deletion_observed(key, (new or old)["metadata"]["uid"])

    async def reconcile(self, key: str) -> float | None:
        """Bring one Job further; seconds until the next look, where time alone matters."""
        job = self._jobs.store.get(key)
        if job is None:
            self.expectations.forget(key)
            return None
        if is_finished(job) or objects.is_deleting(job) or not _is_ours(job["spec"]):
            return None
        if job["spec"].get("completionMode") == "Indexed":
            self.events.event(job, WARNING, "UnsupportedCompletionMode", _NO_INDEXES)
            return None
        now = self.clock.now()
        found = job_decision.census(await self._own_pods(job))
        verdict = _verdict_so_far(job) or job_decision.verdict(job, found, now)
        wait = 0.0
        if self.expectations.satisfied(key):
            wait = await self._manage(key, job, found, verdict, now)
        await self._write_status(job, found, verdict)
        return self._next_look(job, wait, now)

    async def _own_pods(self, job: Mapping) -> list[Mapping]:
        metadata = job["metadata"]
        candidates = self._pods.by_index(BY_CONTROLLER, metadata["uid"])
        candidates += self._pods.by_index(ORPHANS, metadata["namespace"])
        return await claim(self.client, PODS, JOBS, job, candidates)

    async def _manage(
        self, key: str, job: Mapping, found: Census, verdict: Verdict | None, now: float
    ) -> float:
        """Make or delete Pods; seconds to wait before failed ones are replaced."""
        wanted = 0 if verdict else job_decision.wanted_active(job["spec"], found)
        missing = wanted - len(found.active)
        if missing < 0:
            await self._delete(key, job, found.active[:-missing])
        if missing <= 0:
            return 0.0
        wait = job_decision.pause(found, now)
        if not wait:
            await self._create(key, job, missing)
        return wait

    async def _create(self, key: str, job: Mapping, count: int) -> None:
        self.expectations.expect_creations(key, count)
        pod = pod_from_template(job)
        created, failure = await slow_start(count, lambda: self._create_pod(job, pod))
        self.expectations.creations_observed(key, count - created)  # these will never come
        if failure and not (isinstance(failure, ApiError) and is_terminating_namespace(failure)):
            raise failure

    async def _create_pod(self, job: Mapping, pod: Mapping) -> None:
        try:
            created = await self.client.create(PODS, pod)
        except ApiError as error:
            self.events.event(job, WARNING, "FailedCreate", f"Error creating: {error}")
            raise
        name = created["metadata"]["name"]
        self.events.event(job, NORMAL, "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(self, key: str, job: Mapping, doomed: Iterable[Mapping]) -> None:
        doomed = list(doomed)
        self.expectations.expect_deletions(key, [pod["metadata"]["uid"] for pod in doomed])
        await asyncio.gather(*(self._delete_pod(key, job, pod) for pod in doomed))

    async def _delete_pod(self, key: str, job: Mapping, pod: Mapping) -> None:
        meta = pod["metadata"]
        try:
            await self.client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            self.expectations.deletion_observed(key, meta["uid"])  # this will never come
            if not error.not_found and not error.conflict:
                raise
            return
        self.events.event(job, NORMAL, "SuccessfulDelete", f"Deleted pod: {meta['name']}")

    # What is told.

    async def _write_status(self, job: Mapping, found: Census, verdict: Verdict | None) -> None:
        status = status_of(job, found, verdict, self.clock.now())
        if status == job.get("status"):
            return
        await self.client.update(JOBS, {**job, "status": status}, "status")
        if verdict and conditions.is_true({"status": status}, verdict.condition):
            if verdict.condition == "Complete":
                self.events.event(job, NORMAL, "Completed", "Job completed")
            else:
                self.events.event(job, WARNING, verdict.reason, verdict.message)

    def _next_look(self, job: Mapping, wait: float, now: float) -> float | None:
        delays = [wait] if wait else []
        deadline = job["spec"].get("activeDeadlineSeconds")
        started = (job.get("status") or {}).get("startTime")
        if deadline is not None and started:
            delays.append(max(0.05, times.parse(started) + deadline - now))
        return min(delays, default=None)


def _is_ours(spec: Mapping) -> bool:
    """Whether this controller runs a Job; `spec.managedBy` may name another one."""
    return spec.get("managedBy") in (None, "kubernetes.io/job-controller")


def is_finished(job: Mapping) -> bool:
    """Whether a Job has ended, well or not."""
    return conditions.is_true(job, "Complete") or conditions.is_true(job, "Failed")


def _verdict_so_far(job: Mapping) -> Verdict | None:
    """The verdict that waits for the last Pods to stop."""
    for condition, target in _TARGETS.items():
        if conditions.is_true(job, target):
            found = conditions.get(job, target)
            return Verdict(condition, found["reason"], found["message"])
    return None


def status_of(job: Mapping, found: Census, verdict: Verdict | None, now: float) -> dict:
    """The status of a Job whose Pods have been counted."""
    status, moment = dict(job.get("status") or {}), times.rfc3339(now)
    suspended = bool(job["spec"].get("suspend"))
    if suspended:
        status.pop("startTime", None)
    else:
        status.setdefault("startTime", moment)
    counts = {
        "active": len(found.active),
        "succeeded": found.succeeded,
        "failed": len(found.failed),
    }
    for name, count in counts.items():
        status.pop(name, None)
        if count:
            status[name] = count
    status |= {"ready": found.ready, "terminating": found.terminating}
    status["uncountedTerminatedPods"] = {}
    told = _conditions(status.get("conditions"), suspended, verdict, moment)
    if verdict and not found.active and not found.terminating:
        told = conditions.updated(
            told, verdict.condition, "True", verdict.reason, verdict.message, moment
        )
        if verdict.condition == "Complete":
            status["completionTime"] = moment
    if told:
        status["conditions"] = told
    return status


def _conditions(
    told: list[dict] | None, suspended: bool, verdict: Verdict | None, now: str
) -> list[dict]:
    present = any(each["type"] == "Suspended" for each in told or ())
    if suspended:
        told = conditions.updated(told, "Suspended", "True", "JobSuspended", "Job suspended", now)
    elif present:
        told = conditions.updated(told, "Suspended", "False", "JobResumed", "Job resumed", now)
    if verdict:
        target = _TARGETS[verdict.condition]
        told = conditions.updated(told, target, "True", verdict.reason, verdict.message, now)
    return told or []
