"""ServiceAccount: every Pod runs as one that exists, and has its token (`token_volume`).

Source: k8s.io/kubernetes plugin/pkg/admission/serviceaccount.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.admission import token_volume
from labkit.apiserver.admission.attributes import Attributes
from labkit.clock import Clock
from labkit.kube.resources import NAMESPACES, SERVICE_ACCOUNTS

_DEFAULT = "default"
_LOOKS, _PAUSE = 30, 0.05  # seconds; upstream looks ten times, some 150 ms apart


async def wait(a: Attributes, clock: Clock) -> None:
    """Give the default ServiceAccount of a new namespace a moment to be there.

    A controller makes it; a manifest with a namespace and Pods in it would lose the race.
    """
    spec = a.pod_spec
    if spec is None or _named(spec) != _DEFAULT:
        return
    for _ in range(_LOOKS):
        if _find(a, _DEFAULT) or a.namespace not in a.state.of(NAMESPACES).items:
            return
        await clock.sleep(_PAUSE)


def admit(a: Attributes) -> None:
    """Name the namespace's default ServiceAccount where the Pod names none.  Raises ApiError 403.

    Without secrets for images of its own, the Pod gets those of its ServiceAccount.
    """
    spec = a.pod_spec
    if spec is None:
        return
    name = spec["serviceAccountName"] = spec["serviceAccount"] = _named(spec)
    account = _find(a, name)
    if account is None:
        raise a.forbidden(
            f"error looking up service account {a.namespace}/{name}: "
            f'serviceaccount "{name}" not found'
        )
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(one) for one in account["imagePullSecrets"]]
    token_volume.add(spec, account)


def _named(spec: Mapping) -> str:
    return spec.get("serviceAccountName") or spec.get("serviceAccount") or _DEFAULT


def _find(a: Attributes, name: str) -> Mapping | None:
    item = a.state.of(SERVICE_ACCOUNTS).items.get(f"{a.namespace}/{name}")
    return item and item.obj
