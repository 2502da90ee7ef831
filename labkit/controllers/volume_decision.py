"""Which volume a claim gets, and what the two of them say of each other.

Source: pkg/controller/volume/persistentvolume of kube-controller-manager (index.go,
pv_controller.go) and pkg/volume/util; documentation "Persistent Volumes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.kube import objects, quantity, selectors

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
PROVISIONER_BETA = "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"


def annotation(obj: Mapping, name: str) -> str:
    """An annotation, empty where it is missing."""
    return (obj["metadata"].get("annotations") or {}).get(name) or ""


def is_bound(claim: Mapping) -> bool:
    """Whether a claim has been bound, be its volume still there or not."""
    return bool(annotation(claim, BIND_COMPLETED))


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


def belongs_to(volume: Mapping, claim: Mapping) -> bool:
    """Whether a volume is this claim's, or kept for a claim of its name."""
    if claimant(volume) != objects.key(claim):
        return False
    return volume["spec"]["claimRef"].get("uid") in (None, "", claim["metadata"]["uid"])


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


def best_match(
    claim: Mapping, volumes: Iterable[Mapping], only_promised: bool = False
) -> Mapping | None:
    """The volume for a claim: one that is promised to it, or else the smallest that will do.

    `only_promised` leaves free ones to the scheduler, which knows the node.
    """
    wanted = claim["spec"].get("selector")
    selector = selectors.from_label_selector(wanted or {})
    fitting = []
    for volume in volumes:
        if objects.is_deleting(volume) or mismatch(volume, claim):
            continue
        if belongs_to(volume, claim):
            return volume
        is_free = not claimant(volume) and (volume.get("status") or {}).get("phase") == "Available"
        if is_free and selectors.matches(selector, objects.labels(volume)):
            fitting.append(volume)
    if only_promised:
        return None
    return min(fitting, key=lambda each: (capacity(each), each["metadata"]["name"]), default=None)


def claimed_volume(volume: Mapping, claim: Mapping) -> dict:
    """The volume that is the claim's."""
    spec, meta = volume["spec"], volume["metadata"]
    if (spec.get("claimRef") or {}).get("uid") == claim["metadata"]["uid"]:
        return dict(volume)
    annotations = dict(meta.get("annotations") or {})
    if not spec.get("claimRef"):
        annotations[BOUND_BY_CONTROLLER] = "yes"
    return {
        **volume,
        "metadata": {**meta, "annotations": annotations},
        "spec": {**spec, "claimRef": objects.object_reference(claim)},
    }


def bound_claim(claim: Mapping, volume: Mapping) -> dict:
    """The claim that has the volume."""
    spec, meta = claim["spec"], claim["metadata"]
    name, annotations = volume["metadata"]["name"], dict(meta.get("annotations") or {})
    if spec.get("volumeName") != name:
        annotations[BOUND_BY_CONTROLLER] = "yes"
    annotations[BIND_COMPLETED] = "yes"
    return {
        **claim,
        "metadata": {**meta, "annotations": annotations},
        "spec": {**spec, "volumeName": name},
    }


def claim_status(claim: Mapping, volume: Mapping) -> dict:
    """The status of a claim that has a volume."""
    spec, status = volume["spec"], claim.get("status") or {}
    told = {"phase": "Bound", "accessModes": spec.get("accessModes") or []}
    if status.get("phase") != "Bound":
        told["capacity"] = spec.get("capacity") or {}
    return {**status, **told}
