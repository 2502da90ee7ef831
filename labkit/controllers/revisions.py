"""A Deployment's revisions: its ReplicaSets, their names, their annotations, their order.

Every change of the Pod template makes a revision, kept as a ReplicaSet (at 0 replicas once it is
old), so that `kubectl rollout history` and `undo` have something to show and to go back to.  Going
back to an old template takes the old ReplicaSet and gives it the newest number.

Source: deployment_util.go of kube-controller-manager; documentation "Deployments", sections
"Pod-template-hash label" and "Checking Rollout History of a Deployment".
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

from labkit.controllers.rollout import Plan, Size, replicas_of
from labkit.kube import names, objects

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
# A ReplicaSet inherits the Deployment's annotations but for those that speak of one of the two.
_NOT_INHERITED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED,
        MOST,
    }
)
_HISTORY_LENGTH = 2000  # characters of the revision history (maxRevHistoryLengthInChars)


def annotations(obj: Mapping) -> Mapping[str, str]:
    """The object's annotations, never None."""
    return obj["metadata"].get("annotations") or {}


def number(obj: Mapping, annotation: str) -> int:
    """The annotation as a number; 0 where it is missing or none."""
    try:
        return int(annotations(obj).get(annotation, "0"))
    except ValueError:
        return 0


def revision(obj: Mapping) -> int:
    """The revision of a Deployment or ReplicaSet, 0 where it has none yet."""
    return number(obj, REVISION)


def same_template(one: Mapping, other: Mapping) -> bool:
    """Whether two Pod templates are equal but for the hash label (EqualIgnoreHash)."""
    return _comparable(one) == _comparable(other)


def _comparable(template: Mapping) -> object:
    labels = dict((template.get("metadata") or {}).get("labels") or {})
    labels.pop(HASH_LABEL, None)
    meta = {**(template.get("metadata") or {}), "labels": labels}
    return _without_empty({**template, "metadata": meta})


def _without_empty(value: object) -> object:
    """Nothing, an empty list and an empty object are the same in the API."""
    if isinstance(value, Mapping):
        full = {key: _without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in full.items() if inner not in (None, [], {})}
    if isinstance(value, list):
        return [_without_empty(inner) for inner in value]
    return value


def oldest_first(replica_sets: Iterable[Mapping]) -> list[Mapping]:
    """By creation time, then by name."""
    return sorted(replica_sets, key=_age)


def _age(obj: Mapping) -> tuple[str, str]:
    return obj["metadata"].get("creationTimestamp") or "", obj["metadata"]["name"]


def split(
    deployment: Mapping, replica_sets: Iterable[Mapping]
) -> tuple[Mapping | None, list[Mapping]]:
    """(the ReplicaSet of the Deployment's present template or None, all others)."""
    template = deployment["spec"]["template"]
    ordered = oldest_first(replica_sets)
    for each in ordered:
        if same_template(each["spec"]["template"], template):
            return each, [other for other in ordered if other is not each]
    return None, ordered


def new_replica_set(deployment: Mapping, replicas: int, goal: Plan, number: int) -> dict:
    """The ReplicaSet of the Deployment's present template, as revision `number`."""
    spec, meta = deployment["spec"], deployment["metadata"]
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    digest = names.pod_template_hash(spec["template"], collisions)
    template = copy.deepcopy(dict(spec["template"]))
    template_meta = template.setdefault("metadata", {})
    template_meta["labels"] = {**(template_meta.get("labels") or {}), HASH_LABEL: digest}
    selector = copy.deepcopy(dict(spec["selector"]))
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": dict(template_meta["labels"]),
            "annotations": {
                **inherited(deployment),
                **sizes(goal),
                REVISION: str(number),
            },
            "ownerReferences": [objects.controller_reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec.get("minReadySeconds") or 0,
            "selector": selector,
            "template": template,
        },
    }


def inherited(deployment: Mapping) -> dict[str, str]:
    """The annotations that a Deployment hands on to its ReplicaSets."""
    return {k: v for k, v in annotations(deployment).items() if k not in _NOT_INHERITED}


def sizes(goal: Plan) -> dict[str, str]:
    """The annotations that remember for which size of the Deployment a ReplicaSet was scaled."""
    return {DESIRED: str(goal.replicas), MOST: str(goal.most)}


def next_revision(replica_sets: Iterable[Mapping]) -> int:
    """One more than the highest revision of the old ReplicaSets."""
    return 1 + max(map(revision, replica_sets), default=0)


def as_revision(deployment: Mapping, replica_set: Mapping, number: int) -> dict[str, str]:
    """The annotations of an existing ReplicaSet once it is revision `number` (or keeps its own)."""
    result = {**annotations(replica_set), **inherited(deployment)}
    present = revision(replica_set)
    if present >= number:
        return result
    result[REVISION] = str(number)
    if present:
        history = [*filter(None, result.get(REVISION_HISTORY, "").split(",")), str(present)]
        while len(",".join(history)) > _HISTORY_LENGTH:
            del history[0]
        result[REVISION_HISTORY] = ",".join(history)
    return result


def size(replica_set: Mapping) -> Size:
    """A ReplicaSet as the rollout's arithmetic sees it."""
    meta = replica_set["metadata"]
    return Size(
        name=meta["name"],
        replicas=replicas_of(replica_set["spec"]),
        available=(replica_set.get("status") or {}).get("availableReplicas") or 0,
        created=meta.get("creationTimestamp") or "",
        max_replicas=number(replica_set, MOST),
    )


def obsolete(deployment: Mapping, old: Sequence[Mapping]) -> list[Mapping]:
    """The old ReplicaSets beyond `spec.revisionHistoryLimit`, lowest revision first.

    One that still has Pods, or whose controller has not caught up, stays.
    """
    limit = deployment["spec"].get("revisionHistoryLimit")
    limit = 10 if limit is None else limit
    alive = sorted((each for each in old if not objects.is_deleting(each)), key=revision)
    return [each for each in alive[: max(0, len(alive) - limit)] if _is_empty(each)]


def _is_empty(replica_set: Mapping) -> bool:
    status, meta = replica_set.get("status") or {}, replica_set["metadata"]
    caught_up = (meta.get("generation") or 0) <= (status.get("observedGeneration") or 0)
    return not status.get("replicas") and replicas_of(replica_set["spec"]) == 0 and caught_up
