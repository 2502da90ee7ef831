"""The core group: Pods, Services, and what they live in and on.

Source: k8s.io/kubernetes pkg/registry/core.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import (
    defaults,
    defaults_pod,
    defaults_storage,
    defaults_workloads,
    names,
    pod_scheduling,
    validate_apps,
    validate_core,
    validate_pod,
    validate_quota,
    validate_status,
    validate_storage,
)
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

_SPEC = ("spec",)


def _prepare_pod(obj: dict, old: Mapping | None) -> None:
    if old is None:
        qos = defaults_pod.qos_class(obj.get("spec") or {})
        obj["status"] = {"phase": "Pending", "qosClass": qos}
        pod_scheduling.prepare(obj)


def _prepare_namespace(obj: dict, old: Mapping | None) -> None:
    """Its `spec.finalizers` change through the subresource `finalize` only."""
    finalizers = ["kubernetes"] if old is None else (old.get("spec") or {}).get("finalizers")
    obj["spec"] = {"finalizers": finalizers} if finalizers else {}


def _prepare_volume(obj: dict, old: Mapping | None) -> None:
    if old is None:
        obj["status"] = {
            "phase": "Pending",
            "lastPhaseTransitionTime": obj["metadata"]["creationTimestamp"],
        }


POD = Strategy(
    default=defaults.pod,
    prepare=_prepare_pod,
    validate=validate_pod.validate,
    validate_update=validate_pod.validate_update,
    generation=(_SPEC,),
    graceful=True,
    returns_deleted=True,
    fields=(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    index="spec.nodeName",
)
SERVICE = Strategy(
    default=defaults.service,
    validate=validate_core.service,
    validate_update=validate_core.service_update,
    validate_name=names.dns_label_1035,
    initial_status={"loadBalancer": {}},
    returns_deleted=True,
    create_on_update=True,
    fields=("spec.clusterIP", "spec.type"),
)
ENDPOINTS = Strategy(
    default=defaults.endpoints, validate=validate_core.endpoints, create_on_update=True
)
CONFIG_MAP = Strategy(
    validate=validate_core.config_map, validate_update=validate_core.immutable_data
)
SECRET = Strategy(
    default=defaults.secret,
    validate=validate_core.secret,
    validate_update=validate_core.secret_update,
    fields=("type",),
)
SERVICE_ACCOUNT = Strategy(returns_deleted=True)
NAMESPACE = Strategy(
    default=defaults.namespace,
    prepare=_prepare_namespace,
    validate_name=names.dns_label,
    initial_status={"phase": "Active"},
    returns_deleted=True,
    fields=("status.phase",),
)
NODE = Strategy(
    default=defaults.node,
    default_status=defaults.node,
    validate=validate_core.node,
    fields=("spec.unschedulable",),
)
EVENT = Strategy(
    validate=validate_core.event,
    fields=(
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    dependents="Unsupported",
    create_on_update=True,
)
REPLICATION_CONTROLLER = Strategy(
    default=defaults_workloads.replication_controller,
    validate=validate_apps.replication_controller,
    validate_status=validate_status.replication_controller,
    generation=(_SPEC,),
    initial_status={"replicas": 0},
    dependents="Orphan",
    fields=("status.replicas",),
)
POD_TEMPLATE = Strategy(
    default=defaults_workloads.pod_template,
    validate=lambda obj: validate_pod.validate_template(obj.get("template") or {}, "template"),
    generation=(("template",),),
    returns_deleted=True,
)
RESOURCE_QUOTA = Strategy(
    default=defaults_storage.resource_quota,
    default_status=defaults_storage.resource_quota,
    validate=validate_quota.resource_quota,
    validate_update=validate_quota.resource_quota_update,
    initial_status={},
    returns_deleted=True,
)
LIMIT_RANGE = Strategy(
    default=defaults_storage.limit_range,
    validate=validate_quota.limit_range,
    create_on_update=True,
)
PERSISTENT_VOLUME = Strategy(
    default=defaults_storage.volume,
    prepare=_prepare_volume,
    validate=validate_storage.volume,
    validate_update=validate_storage.volume_update,
    returns_deleted=True,
)
PERSISTENT_VOLUME_CLAIM = Strategy(
    default=defaults_storage.claim,
    default_status=defaults_storage.claim,
    validate=validate_storage.claim,
    validate_update=validate_storage.claim_update,
    initial_status={"phase": "Pending"},
    returns_deleted=True,
)

ROWS = (
    row(
        resources.PODS,
        POD,
        short="po",
        subresources="status ephemeralcontainers log binding eviction exec attach portforward "
        "proxy",
        categories="all",
    ),
    row(resources.SERVICES, SERVICE, short="svc", subresources="status proxy", categories="all"),
    row(resources.ENDPOINTS, ENDPOINTS, short="ep"),
    row(resources.CONFIG_MAPS, CONFIG_MAP, short="cm"),
    row(resources.SECRETS, SECRET),
    row(resources.NAMESPACES, NAMESPACE, short="ns", subresources="status finalize"),
    row(resources.NODES, NODE, short="no", subresources="status proxy"),
    row(resources.EVENTS, EVENT, short="ev"),
    row(resources.BINDINGS, Strategy(), ephemeral=True),
    row(resources.SERVICE_ACCOUNTS, SERVICE_ACCOUNT, short="sa", subresources="token"),
    row(
        resources.REPLICATION_CONTROLLERS,
        REPLICATION_CONTROLLER,
        short="rc",
        subresources="status scale",
        categories="all",
    ),
    row(resources.POD_TEMPLATES, POD_TEMPLATE),
    row(resources.RESOURCE_QUOTAS, RESOURCE_QUOTA, short="quota", subresources="status"),
    row(resources.LIMIT_RANGES, LIMIT_RANGE, short="limits"),
    row(resources.PERSISTENT_VOLUMES, PERSISTENT_VOLUME, short="pv", subresources="status"),
    row(
        resources.PERSISTENT_VOLUME_CLAIMS,
        PERSISTENT_VOLUME_CLAIM,
        short="pvc",
        subresources="status",
    ),
)
