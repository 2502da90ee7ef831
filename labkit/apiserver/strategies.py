"""The behaviour of each kind: which defaults, which preparation, which validation."""

from __future__ import annotations

from labkit.apiserver.strategy import Strategy

PLAIN = Strategy()
POD = Strategy(
    generation=True,
    graceful=True,
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
SERVICE = Strategy(fields=("spec.clusterIP", "spec.type"))
ENDPOINTS = Strategy(create_on_update=True)
CONFIG_MAP = Strategy()
SECRET = Strategy(fields=("type",))
NAMESPACE = Strategy(fields=("status.phase",))
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
DEPLOYMENT = Strategy(generation=True)
REPLICA_SET = Strategy(generation=True, fields=("status.replicas",))
HPA = Strategy()
ENDPOINT_SLICE = Strategy(generation=True)
LEASE = Strategy(create_on_update=True)
