"""ServiceAccount: every Pod runs as one that exists.

Source: k8s.io/kubernetes plugin/pkg/admission/serviceaccount.  Left out: the projected token
volume, for nodes here mount no volumes.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.admission.attributes import Attributes
from labkit.kube.resources import SERVICE_ACCOUNTS


def admit(a: Attributes) -> None:
    """Name the namespace's default ServiceAccount where the Pod names none.  Raises ApiError 403.

    Without secrets for images of its own, the Pod gets those of its ServiceAccount.
    """
    spec = a.pod_spec
    if spec is None:
        return
    name = spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
    spec["serviceAccount"] = name
    account = _find(a, name)
    if account is None:
        raise a.forbidden(
            f"error looking up service account {a.namespace}/{name}: "
            f'serviceaccount "{name}" not found'
        )
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(one) for one in account["imagePullSecrets"]]


def _find(a: Attributes, name: str) -> Mapping | None:
    item = a.state.of(SERVICE_ACCOUNTS).items.get(f"{a.namespace}/{name}")
    return item and item.obj
