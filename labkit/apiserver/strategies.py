"""The behaviour of each kind: which defaults, which preparation, which validation."""

from __future__ import annotations

from labkit.apiserver import names
from labkit.apiserver.strategy import Strategy

PLAIN = Strategy()
_SPEC = ("spec",)
_CREATED_POD = {"phase": "Pending"}

POD = Strategy(
    generation=(_SPEC,),
    initial_status=_CREATED_POD,
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
    initial_status={"loadBalancer": {}},
    returns_deleted=True,
    fields=("spec.clusterIP", "spec.type"),
)
ENDPOINTS = Strategy(create_on_update=True)
CONFIG_MAP = Strategy()
SECRET = Strategy(fields=("type",))
NAMESPACE = Strategy(
    initial_status={"phase": "Active"}, returns_deleted=True, fields=("status.phase",)
)
NODE = Strategy(fields=("spec.unschedulable",))
EVENT = Strategy(
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
    create_on_update=True,
)
DEPLOYMENT = Strategy(generation=(_SPEC, ("metadata", "annotations")), initial_status={})
REPLICA_SET = Strategy(
    generation=(_SPEC,), initial_status={"replicas": 0}, fields=("status.replicas",)
)
HPA = Strategy(initial_status={"desiredReplicas": 0})
ENDPOINT_SLICE = Strategy(generation=(("endpoints",), ("ports",)))
LEASE = Strategy(create_on_update=True)
API_SERVICE = Strategy(validate_name=names.path_segment)
