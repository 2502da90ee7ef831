"""Admission: what the cluster itself demands of new objects and adds to them.

Source: k8s.io/apiserver plugin NamespaceLifecycle; k8s.io/kubernetes plugin/pkg/admission
(serviceaccount, defaulttolerationseconds, priority).  Left out: the projected token volume, for
containers here do not call the API with their Pod's identity; quotas; webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import statuses
from labkit.apiserver.registration import Registration
from labkit.apiserver.state import State
from labkit.kube.resources import NAMESPACES, PODS

_EVICTION_SECONDS = 300
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def namespace(state: State, row: Registration, obj: Mapping) -> None:
    """New objects need a namespace that is there to stay.  Raises ApiError 403, 404."""
    if not row.resource.namespaced:
        return
    name = obj["metadata"]["namespace"]
    found = state.of(NAMESPACES).items.get(name)
    if found is None:
        raise statuses.not_found(NAMESPACES, name)
    if found.obj["metadata"].get("deletionTimestamp"):
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }
        why = f"unable to create new content in namespace {name} because it is being terminated"
        raise statuses.forbidden(row.resource, obj["metadata"].get("name", ""), why, [cause])


def mutate(row: Registration, obj: dict) -> None:
    """Add to a new object what the cluster's admission plugins add."""
    if row.resource == PODS and isinstance(obj.get("spec"), dict):
        _pod(obj["spec"])


def _pod(spec: dict) -> None:
    spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = list(spec.get("tolerations") or ())
    for key in _TOLERATED:
        if not any(_tolerates(toleration, key) for toleration in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": _EVICTION_SECONDS,
                }
            )
    spec["tolerations"] = tolerations


def _tolerates(toleration: Mapping, key: str) -> bool:
    return toleration.get("key") in (key, None, "") and toleration.get("effect") in (
        "NoExecute",
        None,
        "",
    )
