"""The CronJob controller: a Job at each time of a schedule.

reconcile: drop the oldest Jobs that have ended, take notice of what has ended or gone missing, and
start the Job of the newest time that has come and was not served (`cronjob_decision`); earlier ones
that were missed are let go.

Source: kube-controller-manager's cronjob controller (cronjob_controllerv2.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import cronjob_decision as decision
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.controllers.job import is_finished
from labkit.controllers.replicaset import (
    BY_CONTROLLER,
    controller_uid,
    is_terminating_namespace,
)
from labkit.kube import conditions, cron, objects, times
from labkit.kube.resources import CRON_JOBS, JOBS


class CronJobController(SharingController):
    """Starts the Jobs of every CronJob."""

    name = "cronjob-controller"
    workers = 5  # --concurrent-cron-job-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._cron_jobs = self.watch(CRON_JOBS)
        self._jobs = self.watch(JOBS, _cron_job_of)
        self._jobs.add_index(BY_CONTROLLER, controller_uid)

    async def reconcile(self, key: str) -> float | None:
        """Bring one CronJob up to the present; seconds until its next time."""
        cron_job = self._cron_jobs.store.get(key)
        if cron_job is None:
            return None
        jobs = self._jobs.by_index(BY_CONTROLLER, cron_job["metadata"]["uid"])
        await self._forget_old(cron_job, jobs)
        status = await self._noticed(cron_job, jobs)
        wait = None
        if self._may_start(cron_job):
            now = datetime.fromtimestamp(self.clock.now(), UTC)
            status = await self._start({**cron_job, "status": status}, now)
            wait = decision.next_in({**cron_job, "status": status}, now)
        if status != (cron_job.get("status") or {}):
            await self.client.update(CRON_JOBS, {**cron_job, "status": status}, "status")
        return wait

    async def _noticed(self, cron_job: Mapping, jobs: list[Mapping]) -> dict:
        """The status without those Jobs that have ended or are gone."""
        status = dict(cron_job.get("status") or {})
        by_uid = {job["metadata"]["uid"]: job for job in jobs}
        active = []
        for reference in status.pop("active", None) or ():
            job = by_uid.get(reference["uid"])
            if job and is_finished(job):
                how = "Complete" if conditions.is_true(job, "Complete") else "Failed"
                message = f"Saw completed job: {reference['name']}, condition: {how}"
                self.events.event(cron_job, NORMAL, "SawCompletedJob", message)
            elif job or await self._find(reference):
                active.append(reference)
            else:
                message = f"Active job went missing: {reference['name']}"
                self.events.event(cron_job, NORMAL, "MissingJob", message)
        await self._tell_unexpected(cron_job, active, jobs)
        ends = [end for job in jobs if (end := (job.get("status") or {}).get("completionTime"))]
        if active:
            status["active"] = active
        if newest := max([*ends, status.get("lastSuccessfulTime") or ""]):
            status["lastSuccessfulTime"] = newest
        return status

    async def _tell_unexpected(
        self, cron_job: Mapping, active: list[Mapping], jobs: list[Mapping]
    ) -> None:
        """Jobs that call this CronJob theirs without being started by it, as by `kubectl create
        job --from`; the API is asked, for the cache may not show yet what was written."""
        known = {reference["uid"] for reference in active}
        others = [j for j in jobs if j["metadata"]["uid"] not in known and not is_finished(j)]
        if not others:
            return
        meta = cron_job["metadata"]
        fresh = await self.client.get(CRON_JOBS, meta["name"], meta["namespace"])
        written = {each["uid"] for each in (fresh.get("status") or {}).get("active") or ()}
        for job in others:
            if job["metadata"]["uid"] not in written:
                name = job["metadata"]["name"]
                message = f"Saw a job that the controller did not create or forgot: {name}"
                self.events.event(cron_job, WARNING, "UnexpectedJob", message)

    async def _find(self, reference: Mapping) -> Mapping | None:
        """A Job that the cache does not show, asked of the API."""
        try:
            return await self.client.get(JOBS, reference["name"], reference["namespace"])
        except ApiError as error:
            if not error.not_found:
                raise
        return None

    async def _forget_old(self, cron_job: Mapping, jobs: list[Mapping]) -> None:
        spec = cron_job["spec"]
        for kind, limit in (
            ("Complete", spec.get("successfulJobsHistoryLimit")),
            ("Failed", spec.get("failedJobsHistoryLimit")),
        ):
            ended = [job for job in jobs if conditions.is_true(job, kind)]
            ended = [job for job in ended if not objects.is_deleting(job)]
            ended.sort(key=lambda job: (job.get("status") or {}).get("startTime") or "")
            for job in ended[: max(0, len(ended) - limit)] if limit is not None else ():
                await self._delete(cron_job, job["metadata"])

    async def _delete(self, cron_job: Mapping, job: Mapping) -> None:
        """Delete the Job of this metadata or reference."""
        try:
            await self.client.delete(
                JOBS, job["name"], job["namespace"], propagation_policy="Background"
            )
        except ApiError as error:
            if not error.not_found:
                self.events.event(cron_job, WARNING, "FailedDelete", f"Deleted job: {error}")
                raise
        self.events.event(cron_job, NORMAL, "SuccessfulDelete", f"Deleted job {job['name']}")

    # What is started.

    def _may_start(self, cron_job: Mapping) -> bool:
        """Whether a schedule goes on; it says so where it cannot."""
        spec = cron_job["spec"]
        if objects.is_deleting(cron_job) or spec.get("suspend"):
            return False
        try:
            ZoneInfo(spec.get("timeZone") or "UTC")
        except (KeyError, ValueError, OSError):
            message = f'invalid timeZone: "{spec["timeZone"]}": unknown time zone'
            self.events.event(cron_job, WARNING, "UnknownTimeZone", message)
            return False
        try:
            cron.parse(spec["schedule"])
        except ValueError as error:
            message = f'unparseable schedule: "{spec["schedule"]}" : {error}'
            self.events.event(cron_job, WARNING, "UnparseableSchedule", message)
            return False
        return True

    async def _start(self, cron_job: Mapping, now: datetime) -> dict:
        """Start the Job that is due, as far as the policies allow; the status with it."""
        spec, status, due = cron_job["spec"], dict(cron_job["status"]), decision.due(cron_job, now)
        if due.too_many:
            message = (
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or "
                "check clock skew"
            )
            self.events.event(cron_job, WARNING, "TooManyMissedTimes", message)
        if due.time is None:
            return status
        if decision.is_too_late(cron_job, due.time, now):
            message = f"Missed scheduled time to start a job: {due.time:%a, %d %b %Y %H:%M:%S %z}"
            self.events.event(cron_job, WARNING, "MissSchedule", message)
            return status
        active = status.get("active") or []
        if any(each["name"] == decision.job_name(cron_job, due.time) for each in active):
            return status
        if active and spec.get("concurrencyPolicy") == "Forbid":
            message = "Not starting job because prior execution is running and concurrency policy "
            self.events.event(cron_job, NORMAL, "JobAlreadyActive", message + "is Forbid")
            return status
        if spec.get("concurrencyPolicy") == "Replace":
            for reference in active:
                await self._delete(cron_job, reference)
            status.pop("active", None)
        return await self._create(cron_job, status, due.time)

    async def _create(self, cron_job: Mapping, status: dict, time: datetime) -> dict:
        job = await self._created(cron_job, decision.job_of(cron_job, time))
        if job is None:
            return status
        active = [*status.get("active", ()), objects.object_reference(job)]
        return {**status, "active": active, "lastScheduleTime": times.rfc3339(time.timestamp())}

    async def _created(self, cron_job: Mapping, wanted: dict) -> Mapping | None:
        """The Job, also if it was created before and only the status was not; else None."""
        try:
            job = await self.client.create(JOBS, wanted)
        except ApiError as error:
            if error.already_exists:
                job = await self._find(wanted["metadata"])
                owner = objects.controller_of(job) if job else None
                ours = owner and owner["uid"] == cron_job["metadata"]["uid"]
                return {**wanted, **job} if ours else None
            if is_terminating_namespace(error):
                return None
            message = f"Error creating job: {error}"
            self.events.event(cron_job, WARNING, "FailedCreate", message)
            raise
        name = job["metadata"]["name"]
        self.events.event(cron_job, NORMAL, "SuccessfulCreate", f"Created job {name}")
        return {**wanted, **job}


def _cron_job_of(job: Mapping) -> Iterable[str]:
    owner = objects.controller_of(job)
    if owner and owner["kind"] == CRON_JOBS.kind:
        yield f"{job['metadata']['namespace']}/{owner['name']}"
