"""Default roles and bindings after an upgrade or an accident: nothing that they need is missing.

Rules, subjects, labels and selectors that are missing come back when the server starts; what
somebody added stays.  An object whose annotation `rbac.authorization.kubernetes.io/autoupdate` is
"false" is left alone.

Source: k8s.io/kubernetes pkg/registry/rbac/reconciliation.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver import rbac
from labkit.apiserver.default_roles import AUTO_UPDATE


def reconciled(present: Mapping, wanted: Mapping) -> Mapping:
    """`present` with what it lacks of `wanted`; `present` itself where it lacks nothing."""
    metadata = dict(present["metadata"])
    if (metadata.get("annotations") or {}).get(AUTO_UPDATE) == "false":
        return present
    for field in ("labels", "annotations"):
        metadata[field] = {**wanted["metadata"][field], **(metadata.get(field) or {})}
    found = {**present, "metadata": metadata}
    if "aggregationRule" in wanted:
        found["aggregationRule"] = _with_selectors(present, wanted)
    elif lacking := rbac.missing(present.get("rules") or [], wanted.get("rules") or []):
        found["rules"] = [*(present.get("rules") or ()), *lacking]
    if absent := [s for s in wanted.get("subjects") or () if s not in _subjects(present)]:
        found["subjects"] = [*_subjects(present), *absent]
    return present if found == present else found


def _subjects(obj: Mapping) -> list:
    return obj.get("subjects") or []


def _with_selectors(present: Mapping, wanted: Mapping) -> dict:
    field = "clusterRoleSelectors"
    there = (present.get("aggregationRule") or {}).get(field) or []
    return {field: [*there, *(one for one in wanted["aggregationRule"][field] if one not in there)]}
