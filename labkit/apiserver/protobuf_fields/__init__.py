"""The order of fields on the wire: for each message, its fields' names by number, from 1 on.

`-` is a number that is not used (or not known here), `?` marks an optional scalar, whose zero value
means something, `*Name` a message whose fields JSON shows as its parent's own.  Messages that are
not listed are not read.

Source: the protobuf tags of Kubernetes' API types.
"""

from __future__ import annotations

from labkit.apiserver.protobuf_fields import cluster, workloads
from labkit.apiserver.protobuf_fields.core import CORE
from labkit.apiserver.protobuf_fields.meta import META
from labkit.apiserver.protobuf_fields.pods import PODS
from labkit.apiserver.protobuf_fields.volumes import VOLUMES

INLINED = {
    "VolumeSource": (
        "hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi "
        "glusterfs persistentVolumeClaim rbd flexVolume cinder cephfs flocker downwardAPI fc "
        "azureFile configMap vsphereVolume quobyte azureDisk photonPersistentDisk portworxVolume "
        "scaleIO projected storageos csi ephemeral image"
    ),
    "LocalObjectReference": "name",
    "ProbeHandler": "exec httpGet tcpSocket grpc",
    "EphemeralContainerCommon": (
        "name image command args workingDir ports env resources volumeMounts livenessProbe "
        "readinessProbe lifecycle terminationMessagePath imagePullPolicy securityContext stdin "
        "stdinOnce tty envFrom terminationMessagePolicy volumeDevices startupProbe resizePolicy "
        "restartPolicy? restartPolicyRules"
    ),
    "PersistentVolumeSource": (
        "gcePersistentDisk awsElasticBlockStore hostPath glusterfs nfs rbd iscsi cinder cephfs fc "
        "flocker flexVolume azureFile vsphereVolume quobyte azureDisk photonPersistentDisk "
        "portworxVolume scaleIO local storageos csi"
    ),
    "IngressRuleValue": "http",
}

_PACKAGES = (
    ("io.k8s.apimachinery.pkg.apis.meta.v1", META),
    ("io.k8s.api.core.v1", {**CORE, **PODS, **VOLUMES}),
    ("io.k8s.api.apps.v1", workloads.APPS),
    ("io.k8s.api.batch.v1", workloads.BATCH),
    ("io.k8s.api.autoscaling.v1", workloads.AUTOSCALING_1),
    ("io.k8s.api.autoscaling.v2", workloads.AUTOSCALING_2),
    ("io.k8s.api.policy.v1", workloads.POLICY),
    ("io.k8s.api.networking.v1", cluster.NETWORKING),
    ("io.k8s.api.storage.v1", cluster.STORAGE),
    ("io.k8s.api.scheduling.v1", cluster.SCHEDULING),
    ("io.k8s.api.node.v1", cluster.NODE),
    ("io.k8s.api.discovery.v1", cluster.DISCOVERY),
    ("io.k8s.api.coordination.v1", cluster.COORDINATION),
    ("io.k8s.api.events.v1", cluster.EVENTS),
    ("io.k8s.api.rbac.v1", cluster.RBAC),
    ("io.k8s.api.authentication.v1", cluster.AUTHENTICATION),
    ("io.k8s.api.authorization.v1", cluster.AUTHORIZATION),
)
FIELDS: dict[str, str] = {
    f"{package}.{name}": words for package, table in _PACKAGES for name, words in table.items()
}
