"""The group batch: what runs Pods to their end, once or on a schedule.

Source: k8s.io/kubernetes pkg/registry/batch.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import defaults_workloads, validate_batch, validate_status
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.apiserver.validate_batch import CONTROLLER_UID, JOB_NAME, LEGACY_NAME, LEGACY_UID
from labkit.kube import resources

_SPEC = ("spec",)


def _prepare_job(obj: dict, old: Mapping | None) -> None:
    """A new Job selects its own Pods by its uid, unless it brings a selector."""
    spec = obj["spec"]
    if old is None and not spec.get("manualSelector"):
        _generate_selector(spec, obj["metadata"])
    defaults_workloads.label_as_template(obj)


def _generate_selector(spec: dict, metadata: Mapping) -> None:
    inner = spec.setdefault("template", {}).setdefault("metadata", {})
    labels = {LEGACY_NAME: metadata.get("name", ""), JOB_NAME: metadata.get("name", "")}
    own = {LEGACY_UID: metadata["uid"], CONTROLLER_UID: metadata["uid"]}
    inner["labels"] = {**labels, **own, **(inner.get("labels") or {})}
    wanted = spec.setdefault("selector", {}).setdefault("matchLabels", {})
    wanted.setdefault(CONTROLLER_UID, metadata["uid"])


JOB = Strategy(
    default=defaults_workloads.job,
    prepare=_prepare_job,
    validate=validate_batch.job,
    validate_update=validate_batch.job_update,
    validate_status=validate_status.job,
    generation=(_SPEC,),
    initial_status={},
    dependents="Orphan",
    orphaning="child pods are preserved by default when jobs are deleted; set "
    "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this "
    "warning",
    fields=("status.successful",),
)
CRON_JOB = Strategy(
    default=defaults_workloads.cron_job,
    validate=validate_batch.cron_job,
    validate_name=validate_batch.cron_job_name,
    generation=(_SPEC,),
    initial_status={},
)

ROWS = (
    row(resources.JOBS, JOB, subresources="status", categories="all"),
    row(resources.CRON_JOBS, CRON_JOB, short="cj", subresources="status", categories="all"),
)
