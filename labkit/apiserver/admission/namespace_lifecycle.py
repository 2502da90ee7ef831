"""NamespaceLifecycle: new objects need a namespace that is there to stay.

Source: k8s.io/apiserver plugin/namespace/lifecycle.  (That some namespaces cannot be deleted is in
`deletion`.)
"""

from __future__ import annotations

from labkit.apiserver import statuses
from labkit.apiserver.admission.attributes import Attributes
from labkit.kube.resources import NAMESPACES


def admit(a: Attributes) -> None:
    """Raises ApiError 403 in a namespace that is being deleted, 404 in none."""
    if not a.row.resource.namespaced:
        return
    name = a.namespace
    found = a.state.of(NAMESPACES).items.get(name)
    if found is None:
        raise statuses.not_found(NAMESPACES, name)
    if found.obj["metadata"].get("deletionTimestamp"):
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }
        why = f"unable to create new content in namespace {name} because it is being terminated"
        raise statuses.forbidden(a.row.resource, a.obj["metadata"].get("name", ""), why, [cause])
