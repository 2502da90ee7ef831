"""The group apps: what keeps many Pods running.

Source: k8s.io/kubernetes pkg/registry/apps.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import defaults_workloads, validate_apps, validate_status
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

_SPEC = ("spec",)
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def _prepare_daemon_set(obj: dict, old: Mapping | None) -> None:
    """An annotation counts the changes of the template, as a field of older versions did."""
    metadata, count = obj["metadata"], 1
    if old is not None:
        known = (old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1")
        changed = obj["spec"].get("template") != old["spec"].get("template")
        count = (int(known) if known.isdecimal() else 1) + changed
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {**annotations, _TEMPLATE_GENERATION: str(count)}


DEPLOYMENT = Strategy(
    default=defaults_workloads.deployment,
    validate=validate_apps.deployment,
    validate_update=validate_apps.selector_update,
    validate_status=validate_status.deployment,
    generation=(_SPEC, ("metadata", "annotations")),
    initial_status={},
)
REPLICA_SET = Strategy(
    default=defaults_workloads.replica_set,
    validate=validate_apps.replica_set,
    validate_update=validate_apps.selector_update,
    validate_status=validate_status.replica_set,
    generation=(_SPEC,),
    initial_status={"replicas": 0},
    fields=("status.replicas",),
)
STATEFUL_SET = Strategy(
    default=defaults_workloads.stateful_set,
    validate=validate_apps.stateful_set,
    validate_update=validate_apps.stateful_set_update,
    validate_status=validate_status.stateful_set,
    generation=(_SPEC,),
    initial_status={"replicas": 0, "availableReplicas": 0},
)
DAEMON_SET = Strategy(
    default=defaults_workloads.daemon_set,
    prepare=_prepare_daemon_set,
    validate=validate_apps.daemon_set,
    validate_update=validate_apps.selector_update,
    validate_status=validate_status.daemon_set,
    generation=(_SPEC,),
    initial_status={
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
)
CONTROLLER_REVISION = Strategy(
    validate=validate_apps.controller_revision,
    validate_update=validate_apps.controller_revision_update,
)

_SCALED = {"subresources": "status scale", "categories": "all"}
ROWS = (
    row(resources.DEPLOYMENTS, DEPLOYMENT, short="deploy", **_SCALED),
    row(resources.REPLICA_SETS, REPLICA_SET, short="rs", **_SCALED),
    row(resources.STATEFUL_SETS, STATEFUL_SET, short="sts", **_SCALED),
    row(resources.DAEMON_SETS, DAEMON_SET, short="ds", subresources="status", categories="all"),
    row(resources.CONTROLLER_REVISIONS, CONTROLLER_REVISION),
)
