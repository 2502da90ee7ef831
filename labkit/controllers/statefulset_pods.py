"""A StatefulSet's Pods and claims: their names, what makes a Pod the one of its ordinal.

A Pod is `<set>-<ordinal>`, has that as its host name, the set's Service as its subdomain, and
claims `<template>-<set>-<ordinal>` that outlive it.  Who owns a claim, and so takes it along, is
decided by `spec.persistentVolumeClaimRetentionPolicy`.

Source: stateful_set_utils.go of kube-controller-manager; documentation "StatefulSets", sections
"Pod Identity" and "PersistentVolumeClaim retention".
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping

from labkit.controllers.history import POD_HASH, template_of
from labkit.controllers.replicaset import pod_from_template
from labkit.kube import objects
from labkit.kube.resources import PERSISTENT_VOLUME_CLAIMS, PODS

POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)", re.DOTALL)


def parent_and_ordinal(pod: Mapping) -> tuple[str, int]:
    """(name of the set, ordinal) as a Pod's name tells; ("", -1) where it does not."""
    found = _NAME.fullmatch(pod["metadata"]["name"])
    return (found[1], int(found[2])) if found else ("", -1)


def ordinal(pod: Mapping) -> int:
    """The Pod's number, -1 where its name has none."""
    return parent_and_ordinal(pod)[1]


def is_member(stateful_set: Mapping, pod: Mapping) -> bool:
    """Whether a Pod is called as one of the set."""
    return parent_and_ordinal(pod)[0] == stateful_set["metadata"]["name"]


def first_ordinal(spec: Mapping) -> int:
    """`spec.ordinals.start`, by default 0."""
    return (spec.get("ordinals") or {}).get("start") or 0


def in_range(spec: Mapping, number: int) -> bool:
    """Whether the set shall have a Pod of this ordinal."""
    start = first_ordinal(spec)
    return start <= number < start + spec.get("replicas", 1)


def new_pod(stateful_set: Mapping, revision: Mapping, number: int) -> dict:
    """The Pod of an ordinal, of the template that a revision remembers."""
    remembered = {
        **stateful_set,
        "spec": {**stateful_set["spec"], "template": template_of(revision)},
    }
    pod = copy.deepcopy(pod_from_template(remembered))
    name = f"{stateful_set['metadata']['name']}-{number}"
    pod["metadata"]["name"] = name
    pod["spec"]["hostname"] = name
    if service := stateful_set["spec"].get("serviceName"):
        pod["spec"]["subdomain"] = service
    pod = with_identity(stateful_set, pod)
    pod["metadata"]["labels"][POD_HASH] = revision["metadata"]["name"]
    return with_storage(stateful_set, pod)


def _identity(pod: Mapping) -> dict[str, str]:
    return {POD_NAME: pod["metadata"]["name"], POD_INDEX: str(ordinal(pod))}


def has_identity(pod: Mapping) -> bool:
    """Whether the labels that tell who a Pod is are there."""
    return _identity(pod).items() <= objects.labels(pod).items()


def with_identity(stateful_set: Mapping, pod: Mapping) -> dict:
    """The Pod with the labels that tell who it is."""
    labels = {**objects.labels(pod), **_identity(pod)}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}}


def revision_of(pod: Mapping) -> str:
    """The name of the revision that a Pod was made from."""
    return objects.labels(pod).get(POD_HASH) or ""


# Storage.


def _templates(stateful_set: Mapping) -> Iterable[Mapping]:
    return stateful_set["spec"].get("volumeClaimTemplates") or ()


def claim_name(stateful_set: Mapping, template: Mapping, number: int) -> str:
    """The name of an ordinal's claim."""
    return f"{template['metadata']['name']}-{stateful_set['metadata']['name']}-{number}"


def claims_for(stateful_set: Mapping, number: int) -> list[dict]:
    """The claims of an ordinal, as they are created."""
    meta = stateful_set["metadata"]
    selected = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    return [
        {
            "apiVersion": PERSISTENT_VOLUME_CLAIMS.api_version,
            "kind": PERSISTENT_VOLUME_CLAIMS.kind,
            "metadata": {
                **template["metadata"],
                "name": claim_name(stateful_set, template, number),
                "namespace": meta["namespace"],
                "labels": {**objects.labels(template), **selected},
            },
            "spec": template["spec"],
        }
        for template in _templates(stateful_set)
    ]


def _volumes(stateful_set: Mapping, number: int) -> dict[str, dict]:
    return {
        template["metadata"]["name"]: {
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(stateful_set, template, number)},
        }
        for template in _templates(stateful_set)
    }


def has_storage(stateful_set: Mapping, pod: Mapping) -> bool:
    """Whether a Pod's volumes are its claims."""
    claimed = {
        volume["name"]: (volume.get("persistentVolumeClaim") or {}).get("claimName")
        for volume in pod["spec"].get("volumes") or ()
    }
    wanted = _volumes(stateful_set, ordinal(pod))
    return all(
        claimed.get(name) == volume["persistentVolumeClaim"]["claimName"]
        for name, volume in wanted.items()
    )


def with_storage(stateful_set: Mapping, pod: Mapping) -> dict:
    """The Pod with its claims as volumes, in place of volumes of the same name."""
    wanted = _volumes(stateful_set, ordinal(pod))
    if not wanted:
        return {**pod}
    others = [each for each in pod["spec"].get("volumes") or () if each["name"] not in wanted]
    return {**pod, "spec": {**pod["spec"], "volumes": [*wanted.values(), *others]}}


# Who takes a claim along.


def retention(spec: Mapping) -> tuple[str, str]:
    """(whenScaled, whenDeleted): Retain or Delete."""
    policy = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenScaled") or "Retain", policy.get("whenDeleted") or "Retain"


def claim_owners(stateful_set: Mapping, pod: Mapping, claim: Mapping) -> list[Mapping]:
    """The owners that a claim should have.  One that another controller keeps is left alone."""
    present = claim["metadata"].get("ownerReferences") or []
    own = {(obj["kind"], obj["metadata"]["name"]) for obj in (stateful_set, pod)}
    others = [each for each in present if (each["kind"], each["name"]) not in own]
    if any(each.get("controller") for each in others):
        return present
    scaled, deleted = retention(stateful_set["spec"])
    if scaled == "Delete" and not in_range(stateful_set["spec"], ordinal(pod)):
        return [*others, objects.controller_reference(pod)]
    if deleted == "Delete":
        return [*others, objects.controller_reference(stateful_set)]
    return others


def is_stale(stateful_set: Mapping, claim: Mapping, number: int) -> bool:
    """Whether a claim still belongs to an earlier Pod of this ordinal, and will go with it."""
    name = f"{stateful_set['metadata']['name']}-{number}"
    return any(
        owner["kind"] == PODS.kind and owner["name"] == name
        for owner in claim["metadata"].get("ownerReferences") or ()
    )
