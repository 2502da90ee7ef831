"""One small object of each kind, and what a server makes of it: a table for `test_kinds`.

Nothing here runs: what has Pods wants none of them, or wants them where no node is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NOWHERE = {"example.com/nowhere": "true"}
LABELS = {"app": "test"}
SELECTOR = {"matchLabels": LABELS}


def template(**spec: object) -> dict:
    """A Pod template that no node fits."""
    containers = [{"name": "main", "image": "example.com/main:1"}]
    return {
        "metadata": {"labels": LABELS},
        "spec": {"containers": containers, "nodeSelector": NOWHERE, **spec},
    }


CONTAINER_DEFAULTS = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
TEMPLATE_DEFAULTS = {
    "spec": {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "containers": [CONTAINER_DEFAULTS],
    }
}
JOB_TEMPLATE = template(restartPolicy="Never")
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


@dataclass(frozen=True)
class Kind:
    """`made` is part of what a created object has, `row` of its row in a table.

    `fixed` are merge patches that are refused (422), each with words of the refusal.  `status` is a
    merge patch for the subresource, empty where there is none.
    """

    group: str
    kind: str
    plural: str
    body: dict
    made: dict
    row: dict = field(default_factory=dict)
    fixed: tuple[tuple[dict, str], ...] = ()
    status: dict = field(default_factory=dict)
    namespaced: bool = True


def spec(**fields: object) -> dict:
    """A body with nothing but a spec."""
    return {"spec": fields}


CORE = (
    Kind(
        "v1", "ReplicationController", "replicationcontrollers",
        spec(replicas=0, template=template()),
        {"metadata": {"labels": LABELS, "generation": 1},
         "spec": {"selector": LABELS, "template": TEMPLATE_DEFAULTS}},
        {"Desired": 0, "Current": 0, "Ready": 0, "Images": "example.com/main:1",
         "Selector": "app=test"},
        ((spec(selector={"app": "other"}), "`selector` does not match template `labels`"),),
        {"replicas": 0, "observedGeneration": 7},
    ),
    Kind(
        "v1", "ResourceQuota", "resourcequotas", spec(hard={"pods": "10", "requests.cpu": "0.5"}),
        {"spec": {"hard": {"pods": "10", "requests.cpu": "500m"}}},
        fixed=((spec(scopes=["BestEffort"]), "field is immutable"),
               (spec(hard={"pods": "1.5"}), "must be an integer"),
               (spec(hard={"nonsense": "1"}), "must be a standard resource for quota")),
        status={"hard": {"pods": "10"}, "used": {"pods": "3"}},
    ),
    Kind(
        "v1", "LimitRange", "limitranges",
        spec(limits=[{"type": "Container", "max": {"cpu": "1000m"}, "min": {"memory": "1Mi"}}]),
        {"spec": {"limits": [{"default": {"cpu": "1"},
                              "defaultRequest": {"cpu": "1", "memory": "1Mi"}}]}},
        fixed=((spec(limits=[{"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}]),
                "min value 2 is greater than max value 1"),),
    ),
    Kind(
        "v1", "PersistentVolume", "persistentvolumes",
        spec(capacity={"storage": "1024Mi"}, accessModes=["ReadWriteMany", "ReadWriteOnce"],
             hostPath={"path": "/tmp"}, storageClassName="none"),
        {"spec": {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem",
                  "capacity": {"storage": "1Gi"}, "hostPath": {"type": ""}}},
        {"Capacity": "1Gi", "Access Modes": "RWO,RWX", "Reclaim Policy": "Retain", "Claim": "",
         "StorageClass": "none", "VolumeAttributesClass": "<unset>", "VolumeMode": "Filesystem"},
        ((spec(hostPath={"path": "/other"}),
          "spec.persistentvolumesource is immutable after creation"),
         (spec(volumeMode="Block"), "field is immutable")),
        {"message": "seen"},
        namespaced=False,
    ),
    Kind(
        "v1", "PersistentVolumeClaim", "persistentvolumeclaims", spec(storageClassName="", **CLAIM),
        {"spec": {"volumeMode": "Filesystem", "resources": {"requests": {"storage": "1Gi"}}},
         "status": {"phase": "Pending"}},
        {"Status": "Pending", "Volume": "", "Capacity": "", "Access Modes": "", "StorageClass": "",
         "VolumeMode": "Filesystem"},
        ((spec(accessModes=["ReadOnlyMany"]), "spec is immutable after creation except"),),
        {"capacity": {"storage": "2Gi"}},
    ),
    Kind(
        "v1", "PodTemplate", "podtemplates", {"template": template()},
        {"template": TEMPLATE_DEFAULTS},
        {"Containers": "main", "Images": "example.com/main:1", "Pod Labels": "app=test"},
    ),
)  # fmt: skip

WORKLOADS = (
    Kind(
        "apps/v1", "Deployment", "deployments",
        spec(replicas=0, selector=SELECTOR, template=template()),
        {"metadata": {"generation": 1},
         "spec": {"revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                  "strategy": {"type": "RollingUpdate", "rollingUpdate": {
                      "maxUnavailable": "25%", "maxSurge": "25%"}},
                  "template": TEMPLATE_DEFAULTS}},
        {"Ready": "0/0", "Selector": "app=test"},
        ((spec(selector={"matchLabels": {"more": "1"}}), "field is immutable"),),
        {"observedGeneration": 7},
    ),
    Kind(
        "apps/v1", "StatefulSet", "statefulsets",
        spec(replicas=0, serviceName="web", selector=SELECTOR, template=template(),
             volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": CLAIM}]),
        {"metadata": {"generation": 1},
         "spec": {"podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
                  "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                  "persistentVolumeClaimRetentionPolicy": {
                      "whenDeleted": "Retain", "whenScaled": "Retain"},
                  "volumeClaimTemplates": [{"spec": {"volumeMode": "Filesystem"}}]}},
        {"Ready": "0/0", "Containers": "main"},
        ((spec(serviceName="other"),
          "updates to statefulset spec for fields other than 'replicas', 'ordinals'"),
         (spec(podManagementPolicy="Odd"), "must be 'OrderedReady' or 'Parallel'")),
        {"observedGeneration": 7},
    ),
    Kind(
        "apps/v1", "DaemonSet", "daemonsets", spec(selector=SELECTOR, template=template()),
        {"metadata": {"generation": 1,
                      "annotations": {"deprecated.daemonset.template.generation": "1"}},
         "spec": {"revisionHistoryLimit": 10,
                  "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {
                      "maxUnavailable": 1, "maxSurge": 0}}},
         "status": {"desiredNumberScheduled": 0, "numberReady": 0}},
        {"Desired": 0, "Up-to-date": 0, "Node Selector": "example.com/nowhere=true"},
        ((spec(selector={"matchLabels": {"more": "1"}}), "field is immutable"),
         (spec(updateStrategy={"rollingUpdate": {"maxUnavailable": 0}}),
          "cannot be 0 when maxSurge is 0")),
        {"observedGeneration": 7},
    ),
    Kind(
        "apps/v1", "ControllerRevision", "controllerrevisions",
        {"revision": 3, "data": {"spec": {"a": 1}}}, {"revision": 3},
        {"Controller": "<none>", "Revision": 3},
        (({"data": {"spec": {"a": 2}}}, "field is immutable"),),
    ),
    Kind(
        "batch/v1", "Job", "jobs", spec(suspend=True, template=JOB_TEMPLATE),
        {"metadata": {"generation": 1},
         "spec": {"completions": 1, "parallelism": 1, "backoffLimit": 6,
                  "completionMode": "NonIndexed", "podReplacementPolicy": "TerminatingOrFailed"}},
        {"Completions": "0/1", "Duration": "", "Containers": "main"},
        ((spec(completions=2), "field is immutable"),
         (spec(template={"spec": {"dnsPolicy": "Default"}}), "field is immutable")),
        {"ready": 0, "terminating": 1},
    ),
    Kind(
        "batch/v1", "CronJob", "cronjobs",
        spec(schedule="*/5 * * * *", suspend=True,
             jobTemplate={"spec": {"template": JOB_TEMPLATE}}),
        {"metadata": {"generation": 1},
         "spec": {"concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 3,
                  "failedJobsHistoryLimit": 1,
                  "jobTemplate": {"spec": {"template": {"spec": {"dnsPolicy": "ClusterFirst"}}}}}},
        {"Schedule": "*/5 * * * *", "Timezone": "<none>", "Suspend": "True", "Active": 0,
         "Last Schedule": "<none>", "Selector": "<none>"},
        ((spec(schedule="* * *"), "expected exactly 5 fields, found 3: [* * *]"),
         (spec(schedule="70 * * * *"), "end of range (70) above maximum (59): 70"),
         (spec(schedule="TZ=UTC * * * * *"), "use timeZone field instead"),
         (spec(timeZone="Nowhere/Land"), "unknown time zone Nowhere/Land")),
        {"lastScheduleTime": "2026-01-01T00:00:00Z"},
    ),
    Kind(
        "policy/v1", "PodDisruptionBudget", "poddisruptionbudgets",
        spec(minAvailable="50%", selector=SELECTOR),
        {"metadata": {"generation": 1}, "status": {"disruptionsAllowed": 0, "expectedPods": 0}},
        {"Min Available": "50%", "Max Unavailable": "N/A", "Allowed Disruptions": 0},
        ((spec(maxUnavailable=1), "minAvailable and maxUnavailable cannot be both set"),),
        {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
         "disruptedPods": {"gone": "2026-01-01T00:00:00Z"}},
    ),
    Kind(
        "autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers",
        spec(scaleTargetRef=TARGET, maxReplicas=3),
        {"spec": {"minReplicas": 1, "metrics": [{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}},
        {"Reference": "Deployment/web", "Targets": "cpu: <unknown>/80%", "MinPods": "1",
         "MaxPods": 3},
        ((spec(minReplicas=4), "must be greater than or equal to `minReplicas`"),),
        {"currentReplicas": 2, "desiredReplicas": 2},
    ),
)  # fmt: skip

NETWORK = (
    Kind(
        "networking.k8s.io/v1", "Ingress", "ingresses",
        spec(ingressClassName="none", tls=[{"hosts": ["a.example.com"]}], rules=[
            {"host": "a.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": BACKEND}]}}]),
        {"metadata": {"generation": 1}, "status": {"loadBalancer": {}}},
        {"Class": "none", "Hosts": "a.example.com", "Address": "", "Ports": "80, 443"},
        ((spec(rules=None), "either `defaultBackend` or `rules` must be specified"),
         (spec(rules=[{"http": {"paths": [{"path": "/", "backend": BACKEND}]}}]),
          "pathType must be specified"),
         (spec(rules=[{"host": "1.2.3.4"}]), "must be a DNS name, not an IP address")),
        {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    ),
    Kind(
        "networking.k8s.io/v1", "IngressClass", "ingressclasses",
        spec(controller="example.com/none", parameters={"kind": "Odd", "name": "x"}),
        {"metadata": {"generation": 1}, "spec": {"parameters": {"scope": "Cluster"}}},
        {"Controller": "example.com/none", "Parameters": "Odd/x"},
        ((spec(controller="example.com/other"), "field is immutable"),),
        namespaced=False,
    ),
    Kind(
        "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies",
        spec(podSelector=SELECTOR, egress=[{"ports": [{"port": 53}]}]),
        {"metadata": {"generation": 1},
         "spec": {"policyTypes": ["Ingress", "Egress"],
                  "egress": [{"ports": [{"protocol": "TCP"}]}]}},
        {"Pod-Selector": "app=test"},
        ((spec(ingress=[{"from": [
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["192.0.2.0/24"]}}]}]),
          "must be a strict subset of `cidr`"),
         (spec(ingress=[{"from": [{}]}]), "must specify a peer")),
    ),
)  # fmt: skip

CLUSTER = (
    Kind(
        "scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", {"value": 7},
        {"metadata": {"generation": 1}, "preemptionPolicy": "PreemptLowerPriority"},
        {"Value": 7, "Global-Default": False},
        (({"value": 8}, "may not be changed in an update."),
         ({"preemptionPolicy": "Never"}, "field is immutable")),
        namespaced=False,
    ),
    Kind(
        "node.k8s.io/v1", "RuntimeClass", "runtimeclasses",
        {"handler": "odd", "overhead": {"podFixed": {"memory": "1024Ki"}}},
        {"overhead": {"podFixed": {"memory": "1Mi"}}}, {"Handler": "odd"},
        (({"handler": "other"}, "field is immutable"),),
        namespaced=False,
    ),
    Kind(
        "storage.k8s.io/v1", "StorageClass", "storageclasses", {"provisioner": "example.com/none"},
        {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
        {"Provisioner": "example.com/none", "ReclaimPolicy": "Delete",
         "VolumeBindingMode": "Immediate", "AllowVolumeExpansion": False},
        (({"provisioner": "example.com/x"},
          'provisioner: Invalid value: "example.com/x": field is immutable'),
         ({"reclaimPolicy": "Retain"},
          'reclaimPolicy: Invalid value: "Retain": field is immutable'),
         ({"volumeBindingMode": "WaitForFirstConsumer"}, "field is immutable")),
        namespaced=False,
    ),
    Kind(
        "storage.k8s.io/v1", "CSIDriver", "csidrivers", spec(attachRequired=False),
        {"spec": {"podInfoOnMount": False, "storageCapacity": False,
                  "fsGroupPolicy": "ReadWriteOnceWithFSType",
                  "volumeLifecycleModes": ["Persistent"]}},
        {"AttachRequired": False, "PodInfoOnMount": False, "TokenRequests": "<unset>",
         "Modes": "Persistent"},
        ((spec(attachRequired=True), "field is immutable"),),
        namespaced=False,
    ),
    Kind(
        "storage.k8s.io/v1", "CSINode", "csinodes",
        spec(drivers=[{"name": "example.com", "nodeID": "a", "topologyKeys": None}]),
        {"spec": {"drivers": [{"name": "example.com"}]}}, {"Drivers": 1},
        namespaced=False,
    ),
    Kind(
        "storage.k8s.io/v1", "VolumeAttachment", "volumeattachments",
        spec(attacher="example.com", nodeName="none", source={"persistentVolumeName": "none"}),
        {"status": {"attached": False}},
        {"Attacher": "example.com", "PV": "none", "Node": "none", "Attached": False},
        ((spec(nodeName="other"), "field is immutable"),),
        {"attached": True},
        namespaced=False,
    ),
    Kind(
        "storage.k8s.io/v1", "CSIStorageCapacity", "csistoragecapacities",
        {"storageClassName": "none", "capacity": "1024Mi"}, {"capacity": "1Gi"},
        {},
        (({"storageClassName": "other"}, "field is immutable"),),
    ),
)  # fmt: skip

KINDS = (*CORE, *WORKLOADS, *NETWORK, *CLUSTER)
