"""Which printer a kind has: the table of all of them, by group and kind.

Source: k8s.io/kubernetes pkg/printers/internalversion (AddHandlers); k8s.io/apiserver
pkg/registry/rest/table.go for kinds without a printer of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.tables import (
    autoscaling,
    batch,
    cluster,
    network,
    rbac,
    storage,
    workloads,
)
from labkit.apiserver.tables.format import NAME, Column, Printer
from labkit.apiserver.tables.pods import POD

DEFAULT = Printer(
    (NAME, Column("Created At", "date")),
    lambda obj, now: [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")],
)
PRINTERS: Mapping[tuple[str, str], Printer] = {
    ("", "Pod"): POD,
    ("", "Service"): network.SERVICE,
    ("", "Endpoints"): network.ENDPOINTS,
    ("", "Node"): cluster.NODE,
    ("", "Namespace"): cluster.NAMESPACE,
    ("", "ConfigMap"): cluster.CONFIG_MAP,
    ("", "Secret"): cluster.SECRET,
    ("", "Event"): cluster.EVENT,
    ("", "ServiceAccount"): cluster.SERVICE_ACCOUNT,
    ("", "ResourceQuota"): cluster.RESOURCE_QUOTA,
    ("", "ReplicationController"): workloads.REPLICATION_CONTROLLER,
    ("", "PodTemplate"): workloads.POD_TEMPLATE,
    ("", "PersistentVolume"): storage.PERSISTENT_VOLUME,
    ("", "PersistentVolumeClaim"): storage.PERSISTENT_VOLUME_CLAIM,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("apps", "ControllerRevision"): workloads.CONTROLLER_REVISION,
    ("batch", "Job"): batch.JOB,
    ("batch", "CronJob"): batch.CRON_JOB,
    ("autoscaling", "Scale"): workloads.SCALE,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaling.HORIZONTAL_POD_AUTOSCALER,
    ("networking.k8s.io", "Ingress"): network.INGRESS,
    ("networking.k8s.io", "IngressClass"): network.INGRESS_CLASS,
    ("networking.k8s.io", "NetworkPolicy"): network.NETWORK_POLICY,
    ("policy", "PodDisruptionBudget"): workloads.POD_DISRUPTION_BUDGET,
    ("scheduling.k8s.io", "PriorityClass"): cluster.PRIORITY_CLASS,
    ("node.k8s.io", "RuntimeClass"): cluster.RUNTIME_CLASS,
    ("storage.k8s.io", "StorageClass"): storage.STORAGE_CLASS,
    ("storage.k8s.io", "CSIDriver"): storage.CSI_DRIVER,
    ("storage.k8s.io", "CSINode"): storage.CSI_NODE,
    ("storage.k8s.io", "VolumeAttachment"): storage.VOLUME_ATTACHMENT,
    ("discovery.k8s.io", "EndpointSlice"): network.ENDPOINT_SLICE,
    ("events.k8s.io", "Event"): cluster.EVENT,
    ("coordination.k8s.io", "Lease"): cluster.LEASE,
    ("apiregistration.k8s.io", "APIService"): cluster.API_SERVICE,
    ("rbac.authorization.k8s.io", "Role"): rbac.ROLE,
    ("rbac.authorization.k8s.io", "ClusterRole"): rbac.ROLE,
    ("rbac.authorization.k8s.io", "RoleBinding"): rbac.ROLE_BINDING,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): rbac.ROLE_BINDING,
    ("metrics.k8s.io", "NodeMetrics"): cluster.NODE_METRICS,
    ("metrics.k8s.io", "PodMetrics"): cluster.POD_METRICS,
}
