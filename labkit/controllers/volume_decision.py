"""Which volume a claim gets, and what the two of them say of each other.

Source: pkg/controller/volume/persistentvolume of kube-controller-manager (index.go,
pv_controller.go) and pkg/volume/util; documentation "Persistent Volumes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.kube import objects, selectors
from labkit.kube.storage import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    annotation,
    capacity,
    claimant,
    mismatch,
)

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
PROVISIONER_BETA = "volume.beta.kubernetes.io/storage-provisioner"


def is_bound(claim: Mapping) -> bool:
    """Whether a claim has been bound, be its volume still there or not."""
    return bool(annotation(claim, BIND_COMPLETED))


def belongs_to(volume: Mapping, claim: Mapping) -> bool:
    """Whether a volume is this claim's, or kept for a claim of its name."""
    if claimant(volume) != objects.key(claim):
        return False
    return volume["spec"]["claimRef"].get("uid") in (None, "", claim["metadata"]["uid"])


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
