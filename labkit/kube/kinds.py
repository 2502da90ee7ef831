"""Objects as people name them: `deployment/myapp`, `svc/web`, and their states in a few words.

Source: kubectl's resource names and short names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labkit.errors import UsageError
from labkit.kube import resources
from labkit.kube.resources import Resource

_KINDS = {
    alias: resource
    for resource, aliases in {
        resources.PODS: "pod pods po",
        resources.SERVICES: "service services svc",
        resources.CONFIG_MAPS: "configmap configmaps cm",
        resources.SECRETS: "secret secrets",
        resources.NAMESPACES: "namespace namespaces ns",
        resources.NODES: "node nodes no",
        resources.SERVICE_ACCOUNTS: "serviceaccount serviceaccounts sa",
        resources.DEPLOYMENTS: "deployment deployments deploy",
        resources.REPLICA_SETS: "replicaset replicasets rs",
        resources.STATEFUL_SETS: "statefulset statefulsets sts",
        resources.DAEMON_SETS: "daemonset daemonsets ds",
        resources.JOBS: "job jobs",
        resources.CRON_JOBS: "cronjob cronjobs cj",
        resources.HORIZONTAL_POD_AUTOSCALERS: "hpa horizontalpodautoscaler",
        resources.INGRESSES: "ingress ingresses ing",
        resources.PERSISTENT_VOLUME_CLAIMS: "pvc persistentvolumeclaim persistentvolumeclaims",
        resources.POD_DISRUPTION_BUDGETS: "pdb poddisruptionbudget poddisruptionbudgets",
    }.items()
    for alias in aliases.split()
}


def parse(name: str) -> tuple[Resource, str]:
    """`deploy/myapp` → the resource and the name.  Raises UsageError."""
    kind, slash, plain = name.partition("/")
    resource = _KINDS.get(kind.lower())
    if not slash or not plain or resource is None:
        raise UsageError(
            f"{name!r} names no object.",
            "An object is named by its kind and its name, with a slash between them.",
            "Try: deployment/myapp",
        )
    return resource, plain


def namespace(resource: Resource) -> str | None:
    """The namespace of objects that are named without one."""
    return "default" if resource.namespaced else None


def state(seen: Mapping) -> str:
    """The state of an object in a few words, for a message."""
    if not seen:
        return "there is no such object"
    status = seen.get("status") or {}
    false = [
        f"{entry['type']}={entry['status']} ({entry.get('reason', '')})"
        for entry in status.get("conditions") or ()
        if entry["status"] != "True"
    ]
    return ", ".join(filter(None, [status.get("phase", ""), *false])) or "it exists"


def tolerant(condition: Callable[[dict], object]) -> Callable[[dict], bool]:
    """`condition`, for an object that grows: a field that is not there yet means "not yet"."""

    def meets(seen: dict) -> bool:
        try:
            return bool(seen and condition(seen))
        except (KeyError, IndexError, TypeError):
            return False

    return meets
