"""When a CronJob is due, and the Job of that time: functions of the CronJob and the time.

Only the newest time that has come counts; how many were missed before it is told but not made up
for.  Times are found by going on from the last one that was served, or from the CronJob's birth.

Source: kube-controller-manager's cronjob controller (utils.go: mostRecentScheduleTime,
nextScheduleTimeDuration, getJobFromTemplate2).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from labkit.kube import cron, objects, times
from labkit.kube.resources import JOBS

_LATER = 0.1  # seconds after its time that a Job is started: clocks differ (nextScheduleDelta)
_MANY = 100  # so many missed times are worth a warning
_TIMESTAMP = "batch.kubernetes.io/cronjob-scheduled-timestamp"


class Due(NamedTuple):
    """The newest time that has come and was not served, and how many there were (about)."""

    time: datetime | None = None
    missed: int = 0

    @property
    def too_many(self) -> bool:
        """Whether so many were missed that something must be wrong."""
        return self.missed > _MANY


def due(cron_job: Mapping, now: datetime) -> Due:
    """What is due at `now`, in UTC; what `startingDeadlineSeconds` has let go is not."""
    since = _served(cron_job)
    deadline = cron_job["spec"].get("startingDeadlineSeconds")
    if deadline is not None:
        since = max(since, (now - timedelta(seconds=deadline)).astimezone(since.tzinfo))
    return _newest(cron.parse(cron_job["spec"]["schedule"]), since, now)


def next_in(cron_job: Mapping, now: datetime) -> float | None:
    """Seconds until the next time after the newest that has come; None where there is none."""
    schedule, since = cron.parse(cron_job["spec"]["schedule"]), _served(cron_job)
    newest = _newest(schedule, since, now).time
    upcoming = cron.following(schedule, newest.astimezone(since.tzinfo) if newest else since)
    return upcoming and (upcoming - now).total_seconds() + _LATER


def _served(cron_job: Mapping) -> datetime:
    """The last time that was served, in the CronJob's zone."""
    served = (cron_job.get("status") or {}).get("lastScheduleTime")
    text = served or cron_job["metadata"]["creationTimestamp"]
    zone = ZoneInfo(cron_job["spec"].get("timeZone") or "UTC")
    return datetime.fromtimestamp(times.parse(text), zone)


def _newest(schedule: cron.Schedule, since: datetime, now: datetime) -> Due:
    first = cron.following(schedule, since)
    if first is None or first > now:
        return Due()
    second = cron.following(schedule, first)
    if second is None or second > now:
        return Due(first.astimezone(UTC), 1)
    pace = (second - first).total_seconds()
    missed = int((now - first).total_seconds() // pace) + 1
    # Not one by one through years of minutes: from shortly before now on.
    start = first.astimezone(UTC) + timedelta(seconds=pace * (missed - 2))
    newest, upcoming = first, cron.following(schedule, start.astimezone(since.tzinfo))
    while upcoming and upcoming <= now:
        newest, upcoming = upcoming, cron.following(schedule, upcoming)
    return Due(newest.astimezone(UTC), missed)


def is_too_late(cron_job: Mapping, time: datetime, now: datetime) -> bool:
    """Whether `startingDeadlineSeconds` have passed since a time."""
    deadline = cron_job["spec"].get("startingDeadlineSeconds")
    return deadline is not None and now > time + timedelta(seconds=deadline)


def job_name(cron_job: Mapping, time: datetime) -> str:
    """The name of a time's Job: it tells the minute, so that no time has two."""
    return f"{cron_job['metadata']['name']}-{int(time.timestamp()) // 60}"


def job_of(cron_job: Mapping, time: datetime) -> dict:
    """The Job of one time."""
    template, metadata = cron_job["spec"]["jobTemplate"], cron_job["metadata"]
    inherited = template.get("metadata") or {}
    annotations = {**(inherited.get("annotations") or {}), _TIMESTAMP: _local(cron_job, time)}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": job_name(cron_job, time),
            "namespace": metadata["namespace"],
            "labels": dict(inherited.get("labels") or {}),
            "annotations": annotations,
            "ownerReferences": [objects.controller_reference(cron_job)],
        },
        "spec": template["spec"],
    }


def _local(cron_job: Mapping, time: datetime) -> str:
    zone = cron_job["spec"].get("timeZone")
    if not zone:
        return times.rfc3339(time.timestamp())
    return time.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
