"""PersistentVolumeClaimResize: which claims may grow.

Source: k8s.io/kubernetes plugin/pkg/admission/storage/persistentvolume/resize, with its messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from labkit.apiserver.admission.attributes import Attributes
from labkit.kube.quantity import parse_quantity
from labkit.kube.resources import PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES


def validate(a: Attributes) -> None:
    """A claim grows if it is bound and its class allows it.  Raises ApiError 403."""
    if a.row.resource != PERSISTENT_VOLUME_CLAIMS or _storage(a.obj) <= _storage(a.old):
        return
    if (a.old.get("status") or {}).get("phase") != "Bound":
        raise a.forbidden("Only bound persistent volume claims can be expanded")
    name = a.obj["spec"].get("storageClassName", "")
    found = a.state.of(STORAGE_CLASSES).items.get(name)
    if found is None or not found.obj.get("allowVolumeExpansion"):
        raise a.forbidden(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions "
            "the pvc must support resize"
        )


def _storage(claim: Mapping) -> Fraction:
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    return parse_quantity(requests.get("storage", 0))
