"""Rows of Jobs and CronJobs.

Source: printJob and printCronJob in pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.tables import format
from labkit.apiserver.tables.format import AGE, NAME, NONE, UNSET, Column, Printer, wide
from labkit.kube import conditions, times

_TEMPLATE = (wide("Containers"), wide("Images"), wide("Selector"))


def _job(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        _job_status(obj),
        _completions(spec, status.get("succeeded", 0)),
        _duration(status, now),
        format.age(obj, now),
        *format.containers(spec["template"]),
        format.selector(spec.get("selector")) or NONE,
    ]


def _job_status(obj: Mapping) -> str:
    def holds(kind: str) -> bool:
        return (conditions.get(obj, kind) or {}).get("status") == "True"

    for ended in ("Complete", "Failed"):
        if holds(ended):
            return ended
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if holds(kind):
            return kind
    return "Running"


def _completions(spec: Mapping, succeeded: int) -> str:
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(status: Mapping, now: float) -> str:
    started, ended = status.get("startTime"), status.get("completionTime")
    if not started:
        return ""
    return format.human_duration((times.parse(ended) if ended else now) - times.parse(started))


def _cron_job(obj: Mapping, now: float) -> list:
    spec, status = obj["spec"], obj.get("status") or {}
    inner, last = spec["jobTemplate"].get("spec") or {}, status.get("lastScheduleTime")
    suspended = spec.get("suspend")
    return [
        obj["metadata"]["name"],
        spec["schedule"],
        spec.get("timeZone", NONE),
        UNSET if suspended is None else str(suspended),
        len(status.get("active") or ()),
        format.since(last, now) if last else NONE,
        format.age(obj, now),
        *format.containers(inner.get("template") or {}),
        format.selector(inner.get("selector")) or NONE,
    ]


JOB = Printer(
    (NAME, Column("Status"), Column("Completions"), Column("Duration"), AGE, *_TEMPLATE), _job
)
CRON_JOB = Printer(
    (
        NAME,
        Column("Schedule"),
        Column("Timezone"),
        Column("Suspend", "boolean"),
        Column("Active", "integer"),
        Column("Last Schedule"),
        AGE,
        *_TEMPLATE,
    ),
    _cron_job,
)
