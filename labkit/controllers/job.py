"""The job controller: Pods that run to their end, until enough of them have succeeded.

reconcile: count the Pods (`job_survey`), decide whether the Job has ended, or else what is missing
or too much (`job_decision`), do it, note what has ended in the status, release those Pods and count
them for good (`job_status`).  A Job that ends gets its verdict first (`SuccessCriteriaMet` or
`FailureTarget`) and its last condition when all its Pods have stopped.

Source: kube-controller-manager's job controller; documentation "Jobs".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import job_decision, job_pods, job_status
from labkit.controllers.batches import slow_start
from labkit.controllers.claims import claim
from labkit.controllers.expectations import Expectations
from labkit.controllers.informers import InformerFactory, SharingController, batch_delay
from labkit.controllers.job_decision import Orders, Verdict
from labkit.controllers.job_survey import NO_FAILURES, Backoff, Survey, survey
from labkit.controllers.replicaset import (
    BY_CONTROLLER,
    ORPHANS,
    controller_uid,
    is_terminating_namespace,
    orphan_namespace,
)
from labkit.kube import conditions, objects, pods
from labkit.kube.resources import JOBS, PODS

_JOB = "job"  # the index of Pods by the key of their Job
_ORPHAN = "orphan:"  # what the keys of Pods in the queue begin with


class JobController(SharingController):
    """Runs every Job."""

    name = "job-controller"
    workers = 5  # --concurrent-job-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self.expectations = Expectations(clock)
        self._written: dict[str, Mapping] = {}  # the newest version of a Job that we wrote
        self._backoffs: dict[str, Backoff] = {}
        self._released: set[str] = set()  # Pods whose finalizer is gone, but not in the cache yet
        self._jobs = self.watch(JOBS)
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(BY_CONTROLLER, controller_uid)
        self._pods.add_index(ORPHANS, orphan_namespace)
        self._pods.add_index(_JOB, lambda pod: filter(None, [_job_of(pod)]))
        self.on_change(self._pods, self._pod_changed)

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        pod = new or old
        uid = pod["metadata"]["uid"]
        if new is None or not job_pods.is_tracked(new):
            self._released.discard(uid)
        elif objects.controller_of(new) is None:
            self.queue.add(_ORPHAN + objects.key(new))
        for key in {_job_of(each) for each in (old, new) if each} - {None}:
            if old is None:
                self.expectations.creations_observed(key)
            if new is None or objects.is_deleting(new):
                self.expectations.deletion_observed(key, uid)
            job = self._jobs.store.get(key)
            members = job["spec"].get("parallelism", 1) if job else 0
            self.queue.add_after(key, batch_delay(members))

    async def reconcile(self, key: str) -> float | None:
        """Bring one Job further; seconds until the next look, where time alone matters."""
        if key.startswith(_ORPHAN):
            return await self._release_orphan(key.removeprefix(_ORPHAN))
        job = self._newest(key)
        if job is None:
            self._forget(key)
        elif not _is_ours(job["spec"]):
            return None
        await self._release(self._uncounted_for_ever(key, job))
        if job is None or is_finished(job):
            return None
        acted = self.expectations.satisfied(key)
        now, backoff = self.clock.now(), self._backoffs.get(key, NO_FAILURES)
        found = survey(job, await self._claimed(job), now, self._released, backoff)
        return await self._act(key, found, acted)

    def _newest(self, key: str) -> Mapping | None:
        """The Job in the cache, or what we wrote where the cache has not seen it yet.

        Acting by an old status would count a Pod as missing that has been counted and released.
        """
        cached, written = self._jobs.store.get(key), self._written.get(key)
        if cached is None or written is None:
            return cached
        one, other = cached["metadata"], written["metadata"]
        if one["uid"] != other["uid"] or int(one["resourceVersion"]) >= int(
            other["resourceVersion"]
        ):
            del self._written[key]
            return cached
        return written

    def _forget(self, key: str) -> None:
        self.expectations.forget(key)
        self._written.pop(key, None)
        self._backoffs.pop(key, None)

    def _uncounted_for_ever(self, key: str, job: Mapping | None) -> list[Mapping]:
        """Tracked Pods that no Job will count: theirs has ended, or is another of that name."""
        goes_on = job["metadata"]["uid"] if job and not is_finished(job) else None
        return [
            pod
            for pod in self._pods.by_index(_JOB, key)
            if job_pods.is_tracked(pod) and objects.controller_of(pod)["uid"] != goes_on
        ]

    async def _release_orphan(self, key: str) -> None:
        pod = self._pods.store.get(key)
        if pod and job_pods.is_tracked(pod) and objects.controller_of(pod) is None:
            await self._release([pod])

    async def _claimed(self, job: Mapping) -> list[Mapping]:
        candidates = self._pods.by_index(BY_CONTROLLER, job["metadata"]["uid"])
        candidates += self._pods.by_index(ORPHANS, job["metadata"]["namespace"])
        return await claim(self.client, PODS, JOBS, job, candidates, finalizer=job_pods.FINALIZER)

    # What is done.

    async def _act(self, key: str, found: Survey, acted: bool) -> float | None:
        job, now = found.job, self.clock.timestamp()
        status = job_status.opened(job, now)
        goes_on = acted and not objects.is_deleting(job)
        # Before expectations are met there may be Pods that the cache does not show.
        verdict = job_decision.verdict(found) if acted else None
        gone, wait, made = [], 0.0, 0
        if verdict:
            gone = found.active
            await self._delete_all(key, job, gone)
        elif goes_on:
            orders = job_decision.orders(found)
            gone, wait = orders.delete, orders.wait
            made = await self._carry_out(key, found, orders)
        active = len(found.active) - len(gone) + made
        ready = sum(map(pods.is_ready, found.active)) - sum(map(pods.is_ready, gone))
        status = job_status.with_counts(status, active, ready, found.terminating + len(gone))
        if verdict is None and acted and job_decision.is_complete(found, active):
            verdict = job_decision.DONE
        elif verdict is None and goes_on:
            status, reason = job_status.suspended(status, bool(found.spec.get("suspend")), now)
            if reason:
                self.events.event(job, NORMAL, reason, f"Job {reason.lower()}")
        await self._count(key, found, status, verdict)
        return self._next_look(key, job, wait)

    async def _carry_out(self, key: str, found: Survey, orders: Orders) -> int:
        """Delete and create Pods; how many were created."""
        if orders.delete:
            # What is taken away from a Job that goes on has not failed: it is not counted.
            await self._release([pod for pod in orders.delete if job_pods.is_tracked(pod)])
            await self._delete_all(key, found.job, orders.delete)
        return await self._create(key, found, orders) if orders.create else 0

    async def _create(self, key: str, found: Survey, orders: Orders) -> int:
        job, template = found.job, job_pods.template_pod(found.job)
        indexes = iter(orders.indexes)

        async def create() -> None:
            pod = template
            if found.indexed:
                index = next(indexes)
                pod = job_pods.indexed_pod(job, template, index, found.delayed.get(index))
            await self._create_pod(job, pod)

        self.expectations.expect_creations(key, orders.create)
        created, failure = await slow_start(orders.create, create)
        self.expectations.creations_observed(key, orders.create - created)  # these never come
        if failure and not (isinstance(failure, ApiError) and is_terminating_namespace(failure)):
            raise failure
        return created

    async def _create_pod(self, job: Mapping, pod: Mapping) -> None:
        try:
            created = await self.client.create(PODS, pod)
        except ApiError as error:
            if not is_terminating_namespace(error):
                self.events.event(job, WARNING, "FailedCreate", f"Error creating: {error}")
            raise
        name = created["metadata"]["name"]
        self.events.event(job, NORMAL, "SuccessfulCreate", f"Created pod: {name}")

    async def _delete_all(self, key: str, job: Mapping, doomed: Sequence[Mapping]) -> None:
        self.expectations.expect_deletions(key, [pod["metadata"]["uid"] for pod in doomed])
        await asyncio.gather(*(self._delete(key, job, pod) for pod in doomed))

    async def _delete(self, key: str, job: Mapping, pod: Mapping) -> None:
        meta = pod["metadata"]
        try:
            await self.client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            self.expectations.deletion_observed(key, meta["uid"])  # this will never come
            if error.not_found or error.conflict:
                return
            self.events.event(job, WARNING, "FailedDelete", f"Error deleting: {error}")
            raise
        self.events.event(job, NORMAL, "SuccessfulDelete", f"Deleted pod: {meta['name']}")

    async def _release(self, tracked: Iterable[Mapping]) -> None:
        """Take the finalizer off Pods that have been counted or need not be."""
        await asyncio.gather(*map(self._release_pod, tracked))

    async def _release_pod(self, pod: Mapping) -> None:
        meta = pod["metadata"]
        if meta["uid"] in self._released:
            return
        self._released.add(meta["uid"])
        patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [job_pods.FINALIZER]}}
        try:
            await self.client.patch(PODS, meta["name"], patch, meta["namespace"], kind="strategic")
        except ApiError as error:
            self._released.discard(meta["uid"])
            if not error.not_found:
                raise

    # What is told.

    async def _count(self, key: str, found: Survey, status: dict, verdict: Verdict | None) -> None:
        """Note Pods that have ended, release them, count them for good, and end the Job."""
        with_finalizer = {pod["metadata"]["uid"] for pod in found.tracked}
        status = job_status.settled(status, with_finalizer)
        status, release, whole = job_status.tracked(found, status, verdict)
        if verdict:
            status = job_status.with_target(status, verdict, self.clock.timestamp())
        job = await self._write(key, found.job, status)
        self._backoffs[key] = found.backoff
        await self._release(release)
        counted = with_finalizer - {pod["metadata"]["uid"] for pod in release}
        status = job_status.settled(status, counted)
        last = None
        if verdict and whole:
            last = job_status.finished(status, verdict, self.clock.timestamp())
        job = await self._write(key, job, last or status)
        if last:
            self._tell_end(job, verdict)

    async def _write(self, key: str, job: Mapping, status: Mapping) -> Mapping:
        if status == job.get("status"):
            return job
        self._written[key] = await self.client.update(JOBS, {**job, "status": status}, "status")
        return self._written[key]

    def _tell_end(self, job: Mapping, verdict: Verdict) -> None:
        if verdict.condition == "Failed":
            self.events.event(job, WARNING, verdict.reason, verdict.message)
            return
        completions = job["spec"].get("completions")
        if completions is not None and job["status"].get("succeeded", 0) > completions:
            message = "Too many succeeded pods running after completion count reached"
            self.events.event(job, WARNING, "TooManySucceededPods", message)
        self.events.event(job, NORMAL, "Completed", "Job completed")

    def _next_look(self, key: str, job: Mapping, wait: float) -> float | None:
        deadline = job_decision.deadline_in(self._newest(key) or job, self.clock.now())
        delays = [wait] if wait else []
        if deadline is not None:
            delays.append(max(0.05, deadline))
        if not self.expectations.satisfied(key):
            delays.append(self.expectations.expires_in(key))
        return min(delays, default=None)


def _job_of(pod: Mapping) -> str | None:
    """The key of the Job that a Pod is of."""
    owner = objects.controller_of(pod)
    if owner is None or owner["kind"] != JOBS.kind:
        return None
    return f"{pod['metadata']['namespace']}/{owner['name']}"


def _is_ours(spec: Mapping) -> bool:
    """Whether this controller runs a Job; `spec.managedBy` may name another one."""
    return spec.get("managedBy") in (None, "kubernetes.io/job-controller")


def is_finished(job: Mapping) -> bool:
    """Whether a Job has ended, well or not."""
    return conditions.is_true(job, "Complete") or conditions.is_true(job, "Failed")
