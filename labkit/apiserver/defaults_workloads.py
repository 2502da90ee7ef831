"""The defaults of what makes Pods: of apps, of batch, and of ReplicationControllers.

Source: k8s.io/kubernetes pkg/apis/apps/v1/defaults.go, pkg/apis/batch/v1/defaults.go and, for
ReplicationControllers, pkg/apis/core/v1/defaults.go.  Every function fills in only what is missing;
running it again changes nothing.
"""

from __future__ import annotations

from labkit.apiserver import defaults_pod, defaults_storage
from labkit.apiserver.defaults_pod import fill

_DEPLOYMENT = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
_DEPLOYMENT_ROLLING = {"maxUnavailable": "25%", "maxSurge": "25%"}
_STATEFUL_SET = {"podManagementPolicy": "OrderedReady", "replicas": 1, "revisionHistoryLimit": 10}
_RETENTION = {"whenDeleted": "Retain", "whenScaled": "Retain"}
_CLAIM = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
_DAEMON_ROLLING = {"maxUnavailable": 1, "maxSurge": 0}
_UNLIMITED = 2**31 - 1
_CRON_JOB = {
    "concurrencyPolicy": "Allow",
    "suspend": False,
    "successfulJobsHistoryLimit": 3,
    "failedJobsHistoryLimit": 1,
}


def _spec(obj: dict) -> dict:
    return obj.setdefault("spec", {})


def template(spec: dict) -> None:
    """The Pod template of a spec."""
    inner = (spec.get("template") or {}).get("spec")
    if inner is not None:
        defaults_pod.pod_spec(inner)


def _strategy(spec: dict, name: str) -> tuple[dict, str]:
    """A rollout strategy and its type, which is RollingUpdate if nothing is said."""
    strategy = spec.setdefault(name, {})
    fill(strategy, {"type": "RollingUpdate"})
    return strategy, strategy["type"]


def deployment(obj: dict) -> None:
    """apps/v1 Deployment."""
    spec = _spec(obj)
    fill(spec, _DEPLOYMENT)
    strategy, kind = _strategy(spec, "strategy")
    if kind == "RollingUpdate":
        fill(strategy.setdefault("rollingUpdate", {}), _DEPLOYMENT_ROLLING)
    template(spec)


def replica_set(obj: dict) -> None:
    """apps/v1 ReplicaSet."""
    spec = _spec(obj)
    spec.setdefault("replicas", 1)
    template(spec)


def stateful_set(obj: dict) -> None:
    """apps/v1 StatefulSet."""
    spec = _spec(obj)
    fill(spec, _STATEFUL_SET)
    untold = not (spec.get("updateStrategy") or {}).get("type")
    strategy, kind = _strategy(spec, "updateStrategy")
    if untold:
        strategy.setdefault("rollingUpdate", {})
    if kind == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
    fill(spec.setdefault("persistentVolumeClaimRetentionPolicy", {}), _RETENTION)
    for claim in spec.get("volumeClaimTemplates") or ():
        fill(claim, _CLAIM)
        defaults_storage.claim(claim)
    template(spec)


def daemon_set(obj: dict) -> None:
    """apps/v1 DaemonSet."""
    spec = _spec(obj)
    spec.setdefault("revisionHistoryLimit", 10)
    strategy, kind = _strategy(spec, "updateStrategy")
    if kind == "RollingUpdate":
        fill(strategy.setdefault("rollingUpdate", {}), _DAEMON_ROLLING)
    template(spec)


def replication_controller(obj: dict) -> None:
    """core/v1 ReplicationController: selector and labels are those of its template."""
    spec = _spec(obj)
    spec.setdefault("replicas", 1)
    labels = _template_labels(spec)
    if labels and not spec.get("selector"):
        spec["selector"] = dict(labels)
    label_as_template(obj)
    template(spec)


def _template_labels(spec: dict) -> dict:
    return ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}


def label_as_template(obj: dict) -> None:
    """An object without labels gets those of its Pod template."""
    labels = _template_labels(obj["spec"])
    if labels and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(labels)


def pod_template(obj: dict) -> None:
    """core/v1 PodTemplate."""
    template(obj)


def job_spec(spec: dict) -> None:
    """A Job's spec, also inside of a CronJob."""
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", _UNLIMITED if "backoffLimitPerIndex" in spec else 6)
    fill(spec, {"completionMode": "NonIndexed", "suspend": False})
    failed = "podFailurePolicy" in spec
    spec.setdefault("podReplacementPolicy", "Failed" if failed else "TerminatingOrFailed")
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            fill(pattern, {"status": "True"})
    template(spec)


def job(obj: dict) -> None:
    """batch/v1 Job."""
    job_spec(_spec(obj))


def cron_job(obj: dict) -> None:
    """batch/v1 CronJob: its own, and of the template only the Pods' defaults."""
    spec = _spec(obj)
    fill(spec, _CRON_JOB)
    template((spec.get("jobTemplate") or {}).get("spec") or {})
