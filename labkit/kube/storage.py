"""What the parts of the control plane agree on about claims and volumes.

Source: documentation "Persistent Volumes"; k8s.io/component-helpers storage/volume and
pkg/controller/volume/persistentvolume (checkVolumeSatisfyClaim).
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.kube import quantity

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


def annotation(obj: Mapping, name: str) -> str:
    """An annotation, empty where it is missing."""
    return (obj["metadata"].get("annotations") or {}).get(name) or ""


def size(claim: Mapping) -> int:
    """The bytes that a claim asks for."""
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    return quantity.value(requests.get("storage", 0))


def capacity(volume: Mapping) -> int:
    """The bytes that a volume has."""
    return quantity.value((volume["spec"].get("capacity") or {}).get("storage", 0))


def claimant(volume: Mapping) -> str:
    """The key of the claim that a volume is promised to, empty where it is free."""
    reference = volume["spec"].get("claimRef")
    return f"{reference.get('namespace')}/{reference.get('name')}" if reference else ""


def mismatch(volume: Mapping, claim: Mapping) -> str:
    """Why a volume cannot be the claim's, as upstream says it; empty if it can."""
    spec, wanted = volume["spec"], claim["spec"]
    if capacity(volume) < size(claim):
        return "requested PV is too small"
    if (spec.get("storageClassName") or "") != (wanted.get("storageClassName") or ""):
        return "storageClassName does not match"
    if (spec.get("volumeMode") or "Filesystem") != (wanted.get("volumeMode") or "Filesystem"):
        return "incompatible volumeMode"
    if not set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return "incompatible accessMode"
    return ""
