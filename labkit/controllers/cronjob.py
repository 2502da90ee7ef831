"""The CronJob controller: a Job at each time of a schedule.

reconcile: take notice of Jobs that have ended, drop the oldest of them, and start the Job of the
newest time that has come and not been served; earlier ones that were missed are let go.

Source: kube-controller-manager's cronjob controller (cronjob_controllerv2.go, utils.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.controllers.job import is_finished
from labkit.controllers.replicaset import BY_CONTROLLER, controller_uid
from labkit.kube import conditions, cron, objects, times
from labkit.kube.resources import CRON_JOBS, JOBS

_LATER = 0.1  # seconds after its time that a Job is started: clocks differ
_MANY_MISSED = 100
_TIMESTAMP = "batch.kubernetes.io/cronjob-scheduled-timestamp"


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
        if cron_job is None or objects.is_deleting(cron_job):
            return None
        jobs = self._jobs.by_index(BY_CONTROLLER, cron_job["metadata"]["uid"])
        status = self._noticed(cron_job, jobs)
        await self._forget_old(cron_job, jobs)
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        wait = None
        if not cron_job["spec"].get("suspend"):
            due, next_time = schedule_of(cron_job, now)
            if due:
                status = await self._start(cron_job, jobs, status, due, now)
            wait = next_time and (next_time - now).total_seconds() + _LATER
        if status != (cron_job.get("status") or {}):
            await self.client.update(CRON_JOBS, {**cron_job, "status": status}, "status")
        return wait

    def _noticed(self, cron_job: Mapping, jobs: list[Mapping]) -> dict:
        """The status with those Jobs active that are, and the end of the others told."""
        status = dict(cron_job.get("status") or {})
        by_uid = {job["metadata"]["uid"]: job for job in jobs}
        for reference in status.pop("active", None) or ():
            job = by_uid.get(reference["uid"])
            if job and is_finished(job):
                how = "Complete" if conditions.is_true(job, "Complete") else "Failed"
                message = f"Saw completed job: {reference['name']}, condition: {how}"
                self.events.event(cron_job, NORMAL, "SawCompletedJob", message)
        active = [_reference(job) for job in jobs if not is_finished(job)]
        ends = [end for job in jobs if (end := (job.get("status") or {}).get("completionTime"))]
        if active:
            status["active"] = active
        if ends:
            status["lastSuccessfulTime"] = max(ends)
        return status

    async def _forget_old(self, cron_job: Mapping, jobs: list[Mapping]) -> None:
        spec = cron_job["spec"]
        for kind, limit in (
            ("Complete", spec.get("successfulJobsHistoryLimit")),
            ("Failed", spec.get("failedJobsHistoryLimit")),
        ):
            ended = [job for job in jobs if conditions.is_true(job, kind)]
            ended.sort(key=lambda job: (job.get("status") or {}).get("startTime") or "")
            for job in ended[: len(ended) - limit] if limit is not None else ():
                await self._delete(cron_job, job)

    async def _delete(self, cron_job: Mapping, job: Mapping) -> None:
        meta = job["metadata"]
        try:
            await self.client.delete(
                JOBS, meta["name"], meta["namespace"], propagation_policy="Background"
            )
        except ApiError as error:
            if not error.not_found:
                raise
        self.events.event(cron_job, NORMAL, "SuccessfulDelete", f"Deleted job {meta['name']}")

    async def _start(
        self, cron_job: Mapping, jobs: list[Mapping], status: dict, due: datetime, now: datetime
    ) -> dict:
        """Start the Job of one time, as far as the policies allow; the status with it."""
        spec = cron_job["spec"]
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and now > due + timedelta(seconds=deadline):
            message = f"Missed scheduled time to start a job: {due:%a, %d %b %Y %H:%M:%S} +0000"
            self.events.event(cron_job, WARNING, "MissSchedule", message)
            return status
        active = [job for job in jobs if not is_finished(job)]
        if active and spec.get("concurrencyPolicy") == "Forbid":
            message = "Not starting job because prior execution is running and concurrency policy "
            self.events.event(cron_job, NORMAL, "JobAlreadyActive", message + "is Forbid")
            return status
        if active and spec.get("concurrencyPolicy") == "Replace":
            for job in active:
                await self._delete(cron_job, job)
            status.pop("active", None)
        return await self._create(cron_job, status, due)

    async def _create(self, cron_job: Mapping, status: dict, due: datetime) -> dict:
        body = job_of(cron_job, due)
        try:
            job = await self.client.create(JOBS, body)
        except ApiError as error:
            if error.already_exists:
                return {**status, "lastScheduleTime": times.rfc3339(due.timestamp())}
            message = f"Error creating job: {error}"
            self.events.event(cron_job, WARNING, "FailedCreate", message)
            raise
        name = job["metadata"]["name"]
        self.events.event(cron_job, NORMAL, "SuccessfulCreate", f"Created job {name}")
        active = [*status.get("active", ()), _reference({**body, **job})]
        return {**status, "active": active, "lastScheduleTime": times.rfc3339(due.timestamp())}


def _cron_job_of(job: Mapping) -> Iterable[str]:
    owner = objects.controller_of(job)
    if owner and owner["kind"] == CRON_JOBS.kind:
        yield f"{job['metadata']['namespace']}/{owner['name']}"


def _reference(job: Mapping) -> dict:
    return {"apiVersion": JOBS.api_version, "kind": JOBS.kind, **_identity(job["metadata"])}


def _identity(metadata: Mapping) -> dict:
    return {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion")}


def schedule_of(cron_job: Mapping, now: datetime) -> tuple[datetime | None, datetime | None]:
    """The newest time that has come and was not served, and the next time (both UTC)."""
    spec, status = cron_job["spec"], cron_job.get("status") or {}
    schedule, zone = cron.parse(spec["schedule"]), ZoneInfo(spec.get("timeZone") or "UTC")
    since = status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"]
    start = datetime.fromtimestamp(times.parse(since), zone)
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None:
        start = max(start, (now - timedelta(seconds=deadline)).astimezone(zone))
    due, upcoming = None, cron.following(schedule, start)
    while upcoming and upcoming <= now:
        due, upcoming = upcoming, cron.following(schedule, upcoming)
        if upcoming and (now - upcoming) > _MANY_MISSED * (upcoming - due):
            # Long ago: only the newest of all these counts.
            upcoming = cron.following(schedule, now.astimezone(zone) - 2 * (upcoming - due))
    return due and due.astimezone(UTC), upcoming and upcoming.astimezone(UTC)


def job_of(cron_job: Mapping, due: datetime) -> dict:
    """The Job of one time; its name tells the minute, so that no time has two."""
    template, metadata = cron_job["spec"]["jobTemplate"], cron_job["metadata"]
    inherited = template.get("metadata") or {}
    annotations = {**(inherited.get("annotations") or {}), _TIMESTAMP: _local(cron_job, due)}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": f"{metadata['name']}-{int(due.timestamp()) // 60}",
            "namespace": metadata["namespace"],
            "labels": dict(inherited.get("labels") or {}),
            "annotations": annotations,
            "ownerReferences": [objects.controller_reference(cron_job)],
        },
        "spec": template["spec"],
    }


def _local(cron_job: Mapping, due: datetime) -> str:
    zone = cron_job["spec"].get("timeZone")
    if not zone:
        return times.rfc3339(due.timestamp())
    return due.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
