"""No new instances of a definition that is being deleted.

Source: k8s.io/apiextensions-apiserver pkg/apiserver (forbidCreateAdmission).
"""

from __future__ import annotations

from labkit.apiserver import statuses
from labkit.apiserver.admission.attributes import Attributes


def admit(a: Attributes) -> None:
    """Raises ApiError 403."""
    if a.row.custom and a.row.custom.terminating:
        why = "create not allowed while custom resource definition is terminating"
        raise statuses.forbidden(a.row.resource, a.obj["metadata"].get("name", ""), why)
