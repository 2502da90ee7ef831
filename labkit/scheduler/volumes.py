"""VolumeBinding: a Pod goes where its volumes are, or can be.

A claim that is bound allows the nodes that its volume allows.  A claim that is not bound, of a
StorageClass with WaitForFirstConsumer, is bound once its first Pod has a node: to a volume that is
there already and allows the node, or to a new one, for which the scheduler writes the node's name
on the claim (`volume.kubernetes.io/selected-node`) and a provisioner does the rest.  Any other
claim has to be bound before the Pod is scheduled.

`Volumes` is all of that about one Pod, read from the API's objects and compared by value, so that
Pods alike share a table.  Source: kube-scheduler's VolumeBinding plugin; documentation "Volume
Binding Mode".  Left out: free storage of CSI drivers, limits on attached volumes, and the zone
labels of volumes from before node affinity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import orjson

from labkit.kube import nodeselectors, objects, selectors
from labkit.kube.storage import (
    BIND_COMPLETED,
    NO_PROVISIONER,
    SELECTED_NODE,
    WAIT_FOR_FIRST_CONSUMER,
    annotation,
    capacity,
    claimant,
    mismatch,
    size,
)
from labkit.scheduler.filters import Refusal
from labkit.scheduler.nodeinfo import NodeInfo

_NAME = "VolumeBinding"
_ELSEWHERE = "node(s) didn't match PersistentVolume's node affinity"
_NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
_GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
_UNBOUND = Refusal(_NAME, ("pod has unbound immediate PersistentVolumeClaims",))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claim that waits for its first consumer.

    `offers` are volumes that it could have, smallest first: (name, NodeSelector as JSON).
    """

    claim: str
    selected: str  # the node already written on it
    offers: tuple[tuple[str, bytes], ...]
    provisioned: bool  # whether its class makes volumes
    topologies: bytes  # `allowedTopologies` of its class, as JSON


@dataclass(frozen=True, slots=True)
class Volumes:
    """What the volumes of a Pod ask of its node; `blocked` is why no node can have it yet."""

    blocked: Refusal | None = None
    bound: tuple[bytes, ...] = ()  # a NodeSelector as JSON for each volume that restricts nodes
    lost: bool = False  # a claim is bound to a volume that does not exist
    waiting: tuple[Waiting, ...] = ()

    def refusal(self, node: NodeInfo) -> Refusal | None:
        """Why a node cannot have the Pod's volumes."""
        reasons = []
        if not all(_allows(selector, node) for selector in self.bound):
            reasons.append(_ELSEWHERE)
        if self.waiting and self.choose(node) is None:
            reasons.append(_NO_VOLUME)
        if self.lost:
            reasons.append(_GONE)
        return Refusal(_NAME, tuple(reasons)) if reasons else None

    def choose(self, node: NodeInfo) -> dict[str, str] | None:
        """{claim: volume} for a node, no volume where one is to be made; None if that fails."""
        chosen: dict[str, str] = {}
        for each in self.waiting:
            if each.selected:
                volume = "" if each.selected == node.name else None
            else:
                volume = _fitting(each, node, chosen.values())
            if volume is None or (not volume and not _can_be_made(each, node)):
                return None
            chosen[each.claim] = volume
        return chosen


NO_VOLUMES = Volumes()


def _fitting(waiting: Waiting, node: NodeInfo, taken: Iterable[str]) -> str:
    taken = set(taken)
    return next(
        (
            name
            for name, selector in waiting.offers
            if name not in taken and (not selector or _allows(selector, node))
        ),
        "",
    )


def _can_be_made(waiting: Waiting, node: NodeInfo) -> bool:
    terms = _parsed(waiting.topologies)
    return waiting.provisioned and (
        not terms
        or any(
            all(
                node.labels.get(each["key"]) in each["values"]
                for each in term.get("matchLabelExpressions") or ()
            )
            for term in terms
        )
    )


def _allows(selector: bytes, node: NodeInfo) -> bool:
    return nodeselectors.matches(_parsed(selector), node.labels, node.name)


@lru_cache(maxsize=1024)
def _parsed(text: bytes):
    return orjson.loads(text)


# Reading the API's objects.


@dataclass(frozen=True, slots=True)
class Storage:
    """The claims, volumes and classes of a cluster, by key; volumes in `taken` are promised."""

    claims: Mapping[str, Mapping]
    volumes: Mapping[str, Mapping]
    classes: Mapping[str, Mapping]
    taken: Mapping[str, str]  # volume → key of the claim


def claim_names(pod: Mapping) -> Iterable[tuple[str, bool]]:
    """The names of the claims that a Pod uses, and whether the Pod brings them with it."""
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            yield claim["claimName"], False
        elif volume.get("ephemeral"):
            yield f"{pod['metadata']['name']}-{volume['name']}", True


def volumes_of(pod: Mapping, storage: Storage) -> Volumes:
    """What the volumes of a Pod ask for."""
    names = list(claim_names(pod))
    if not names:
        return NO_VOLUMES
    claims = []
    for name, own in names:
        claim = storage.claims.get(f"{pod['metadata'].get('namespace') or 'default'}/{name}")
        if why := _unusable(claim, name, own):
            return Volumes(blocked=Refusal(_NAME, (why,)))
        claims.append(claim)
    bound = [claim for claim in claims if is_bound(claim)]
    open_ = [claim for claim in claims if not is_bound(claim)]
    if not all(_waits(claim, storage) for claim in open_):
        return Volumes(blocked=_UNBOUND)
    found = [storage.volumes.get(claim["spec"]["volumeName"]) for claim in bound]
    selectors = [_selector(volume) for volume in found if volume]
    return Volumes(
        bound=tuple(selector for selector in selectors if selector),
        lost=None in found,
        waiting=tuple(_waiting(claim, storage) for claim in sorted(open_, key=size)),
    )


def _unusable(claim: Mapping | None, name: str, own: bool) -> str:
    if claim is None and own:
        return (
            f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        )
    if claim is None:
        return f'persistentvolumeclaim "{name}" not found'
    if (claim.get("status") or {}).get("phase") == "Lost":
        volume = claim["spec"].get("volumeName") or ""
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
    if objects.is_deleting(claim):
        return f'persistentvolumeclaim "{name}" is being deleted'
    return ""


def is_bound(claim: Mapping) -> bool:
    """Whether a claim and its volume have found each other."""
    return bool(claim["spec"].get("volumeName")) and (
        bool(annotation(claim, BIND_COMPLETED))
        or (claim.get("status") or {}).get("phase") == "Bound"
    )


def selected_node(claim: Mapping) -> str:
    """The node that the claim's volume is to be made for."""
    return annotation(claim, SELECTED_NODE)


def _waits(claim: Mapping, storage: Storage) -> bool:
    kind = storage.classes.get(claim["spec"].get("storageClassName") or "") or {}
    waits = kind.get("volumeBindingMode") == WAIT_FOR_FIRST_CONSUMER
    return waits and not claim["spec"].get("volumeName")


def _waiting(claim: Mapping, storage: Storage) -> Waiting:
    kind = storage.classes[claim["spec"]["storageClassName"]]
    offers = [each for each in storage.volumes.values() if _suits(each, claim, storage.taken)]
    return Waiting(
        claim=claim["metadata"]["name"],
        selected=selected_node(claim),
        offers=tuple((each["metadata"]["name"], _selector(each)) for each in sorted(
            offers, key=lambda volume: (capacity(volume), volume["metadata"]["name"])
        )),
        provisioned=kind.get("provisioner") not in ("", NO_PROVISIONER, None),
        topologies=orjson.dumps(kind.get("allowedTopologies") or []),
    )  # fmt: skip


def _suits(volume: Mapping, claim: Mapping, taken: Mapping[str, str]) -> bool:
    owner = claimant(volume) or taken.get(volume["metadata"]["name"])
    wanted = selectors.from_label_selector(claim["spec"].get("selector") or {})
    return (
        owner in (None, objects.key(claim))
        and (owner is not None or selectors.matches(wanted, objects.labels(volume)))
        and not objects.is_deleting(volume)
        and not mismatch(volume, claim)
    )


def _selector(volume: Mapping) -> bytes:
    """The NodeSelector of a volume as JSON; empty where it allows all nodes."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return orjson.dumps(required, option=orjson.OPT_SORT_KEYS) if required else b""
