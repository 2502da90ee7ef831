"""What each controller may do: the rules of the default roles `system:controller:*`, as words.

A rule is (verbs, API groups, resources), each a list in one string; `core` is the core group.

Source: k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy (buildControllerRoles).
Left out: the roles of controllers that are not run here (attaching and growing of volumes, routes,
certificates, dynamic resource allocation).
"""

from __future__ import annotations

_READ = "get list watch"
_APPS = "apps extensions"
_EVENTS = ("create patch update", "core events.k8s.io", "events")

RULES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "clusterrole-aggregation-controller": (
        (f"escalate {_READ} patch update", "rbac.authorization.k8s.io", "clusterroles"),
    ),
    "cronjob-controller": (
        (f"{_READ} update", "batch", "cronjobs"),
        (f"create delete {_READ} patch update", "batch", "jobs"),
        ("update", "batch", "cronjobs/status"),
        ("update", "batch", "cronjobs/finalizers"),
        ("delete list watch", "core", "pods"),
        _EVENTS,
    ),
    "daemon-set-controller": (
        (_READ, _APPS, "daemonsets"),
        ("update", _APPS, "daemonsets/status"),
        ("update", _APPS, "daemonsets/finalizers"),
        ("list watch", "core", "nodes"),
        ("create delete list patch watch", "core", "pods"),
        ("create", "core", "pods/binding"),
        (f"create delete {_READ} patch update", "apps", "controllerrevisions"),
        _EVENTS,
    ),
    "deployment-controller": (
        (f"{_READ} update", _APPS, "deployments"),
        ("update", _APPS, "deployments/status"),
        ("update", _APPS, "deployments/finalizers"),
        (f"create delete {_READ} patch update", _APPS, "replicasets"),
        (f"{_READ} update", "core", "pods"),
        _EVENTS,
    ),
    "disruption-controller": (
        (_READ, _APPS, "deployments"),
        (_READ, _APPS, "replicasets"),
        (_READ, "core", "replicationcontrollers"),
        (_READ, "policy", "poddisruptionbudgets"),
        (_READ, "apps", "statefulsets"),
        ("update", "policy", "poddisruptionbudgets/status"),
        ("patch update", "core", "pods/status"),
        ("get", "*", "*/scale"),
        _EVENTS,
    ),
    "endpoint-controller": (
        (_READ, "core", "pods services"),
        (f"create delete {_READ} update", "core", "endpoints"),
        ("create", "core", "endpoints/restricted"),
        _EVENTS,
    ),
    "endpointslice-controller": (
        (_READ, "core", "nodes pods services"),
        ("update", "core", "services/finalizers"),
        (f"create delete {_READ} update", "discovery.k8s.io", "endpointslices"),
        _EVENTS,
    ),
    "endpointslicemirroring-controller": (
        (_READ, "core", "endpoints services"),
        ("update", "core", "services/finalizers"),
        ("update", "core", "endpoints/finalizers"),
        (f"create delete {_READ} update", "discovery.k8s.io", "endpointslices"),
        _EVENTS,
    ),
    "generic-garbage-collector": (
        (f"delete {_READ} patch update", "*", "*"),
        _EVENTS,
    ),
    "horizontal-pod-autoscaler": (
        (_READ, "autoscaling", "horizontalpodautoscalers"),
        ("update", "autoscaling", "horizontalpodautoscalers/status"),
        ("get update", "*", "*/scale"),
        ("list watch", "core", "pods"),
        ("list watch", "metrics.k8s.io", "pods"),
        (_READ, "custom.metrics.k8s.io", "*"),
        (_READ, "external.metrics.k8s.io", "*"),
        _EVENTS,
    ),
    "job-controller": (
        (f"{_READ} patch update", "batch", "jobs"),
        ("update", "batch", "jobs/status"),
        ("update", "batch", "jobs/finalizers"),
        ("create delete list patch watch", "core", "pods"),
        _EVENTS,
    ),
    "namespace-controller": (
        (f"delete {_READ}", "core", "namespaces"),
        ("update", "core", "namespaces/finalize namespaces/status"),
        (f"delete deletecollection {_READ}", "*", "*"),
    ),
    "node-controller": (
        (f"delete {_READ} patch update", "core", "nodes"),
        ("patch update", "core", "nodes/status"),
        ("patch update", "core", "pods/status"),
        (f"delete {_READ}", "core", "pods"),
        _EVENTS,
    ),
    "persistent-volume-binder": (
        (f"create delete {_READ} update", "core", "persistentvolumes"),
        ("update", "core", "persistentvolumes/status"),
        (f"{_READ} update", "core", "persistentvolumeclaims"),
        ("update", "core", "persistentvolumeclaims/status"),
        (f"create delete {_READ}", "core", "pods"),
        (_READ, "storage.k8s.io", "storageclasses"),
        (_READ, "core", "nodes"),
        _EVENTS,
    ),
    "pod-garbage-collector": (
        ("delete list watch", "core", "pods"),
        (_READ, "core", "nodes"),
        ("patch", "core", "pods/status"),
    ),
    "pv-protection-controller": (
        (f"{_READ} update", "core", "persistentvolumes"),
        _EVENTS,
    ),
    "pvc-protection-controller": (
        (f"{_READ} update", "core", "persistentvolumeclaims"),
        (_READ, "core", "pods"),
        _EVENTS,
    ),
    "replicaset-controller": (
        (f"{_READ} update", _APPS, "replicasets"),
        ("update", _APPS, "replicasets/status"),
        ("update", _APPS, "replicasets/finalizers"),
        ("create delete list patch watch", "core", "pods"),
        _EVENTS,
    ),
    "replication-controller": (
        (f"{_READ} update", "core", "replicationcontrollers"),
        ("update", "core", "replicationcontrollers/status"),
        ("update", "core", "replicationcontrollers/finalizers"),
        ("create delete list patch watch", "core", "pods"),
        _EVENTS,
    ),
    "resourcequota-controller": (
        ("list watch", "*", "*"),
        ("update", "core", "resourcequotas/status"),
        _EVENTS,
    ),
    "root-ca-cert-publisher": (
        ("create update", "core", "configmaps"),
        _EVENTS,
    ),
    "service-account-controller": (
        ("create", "core", "serviceaccounts"),
        _EVENTS,
    ),
    "statefulset-controller": (
        ("list watch", "core", "pods"),
        (_READ, "apps", "statefulsets"),
        ("update", "apps", "statefulsets/status"),
        ("update", "apps", "statefulsets/finalizers"),
        ("create delete get patch update", "core", "pods"),
        (f"create delete {_READ} patch update", "apps", "controllerrevisions"),
        (f"create {_READ}", "core", "persistentvolumeclaims"),
        ("delete update", "core", "persistentvolumeclaims"),
        ("update", "core", "pods/finalizers"),
        _EVENTS,
    ),
    "ttl-after-finished-controller": (
        (f"delete {_READ}", "batch", "jobs"),
        _EVENTS,
    ),
}
"""The controller's name, which is its ServiceAccount's too → its rules."""
