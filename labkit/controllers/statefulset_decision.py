"""What a StatefulSet needs next: functions of the set, its Pods and its revisions.

OrderedReady goes one Pod at a time: up in the order of ordinals, each after its predecessors are
available; down in reverse.  Parallel makes and deletes all at once.  An update deletes Pods from
the highest ordinal down to `partition`, never more than `maxUnavailable` at once; their successors
are of the newest revision.

Source: stateful_set_control.go of kube-controller-manager (updateStatefulSet, processReplica,
processCondemned, updateStatefulSetAfterInvariantEstablished, completeRollingUpdate).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from labkit.controllers import statefulset_pods as members
from labkit.controllers.replica_status import available_in
from labkit.controllers.rollout import resolve
from labkit.kube import objects, pods


@dataclass
class Step:
    """What to do now, in this order.

    `pending` and `settled` are replicas to look after: claims that are missing, and identity and
    claims that should be right; `condemned` are Pods beyond the range, whose claims must know.
    """

    create: list[Mapping] = field(default_factory=list)
    pending: list[Mapping] = field(default_factory=list)
    settled: list[Mapping] = field(default_factory=list)
    condemned: list[Mapping] = field(default_factory=list)
    delete: list[Mapping] = field(default_factory=list)
    updated: int = 0  # how many of `delete` go for the newest revision


class Members:
    """A set's Pods in their order, with drafts of those that are missing."""

    def __init__(
        self,
        stateful_set: Mapping,
        found: Iterable[Mapping],
        current: Mapping,
        update: Mapping,
        now: float,
    ) -> None:
        spec = stateful_set["spec"]
        self.set, self.spec, self.now = stateful_set, spec, now
        self.ordered = spec.get("podManagementPolicy") != "Parallel"
        self.update = update["metadata"]["name"]
        by_ordinal = {members.ordinal(pod): pod for pod in found}
        start = members.first_ordinal(spec)
        self.replicas = [
            by_ordinal.pop(number, None)
            or members.new_pod(stateful_set, _revision(spec, number, current, update), number)
            for number in range(start, start + spec.get("replicas", 1))
        ]
        self.condemned = [by_ordinal[number] for number in sorted(by_ordinal, reverse=True)]
        self.condemned = [pod for pod in self.condemned if members.ordinal(pod) >= 0]

    def is_available(self, pod: Mapping) -> bool:
        """Running, Ready, and long enough so."""
        wait = self.spec.get("minReadySeconds") or 0
        return pods.phase(pod) == "Running" and available_in(pod, wait, self.now) == 0

    def is_unavailable(self, pod: Mapping) -> bool:
        """What an update waits for: also a Pod that is terminating."""
        return not self.is_available(pod) or objects.is_deleting(pod)

    def is_old(self, pod: Mapping) -> bool:
        """Whether a Pod is there and of another revision than the newest."""
        return exists(pod) and members.revision_of(pod) != self.update


def exists(pod: Mapping) -> bool:
    """Whether a Pod is more than a draft."""
    return "uid" in pod["metadata"]


def _revision(spec: Mapping, number: int, current: Mapping, update: Mapping) -> Mapping:
    """The revision of a Pod that is missing: below the partition the one that was."""
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return update
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    return current if number < members.first_ordinal(spec) + partition else update


def next_step(group: Members) -> Step:
    """What to do now.  A set that is being deleted needs nothing."""
    step = Step()
    if objects.is_deleting(group.set) or _tend(group, step):
        return step
    step.condemned = list(group.condemned)
    if _condemn(group, step):
        return step
    strategy = (group.spec.get("updateStrategy") or {}).get("type", "RollingUpdate")
    if strategy == "RollingUpdate":
        old = _to_update(group)
        step.updated = len(old)
        step.delete.extend(old)
    return step


def _tend(group: Members, step: Step) -> bool:
    """Look after the replicas; whether one of them holds up all that comes after."""
    return any(_look_after(group, pod, step) and group.ordered for pod in group.replicas)


def _look_after(group: Members, pod: Mapping, step: Step) -> bool:
    """Whether the next replica has to wait for this one."""
    if not exists(pod):
        step.create.append(pod)
        return True
    if pods.is_terminal(pod):
        if not objects.is_deleting(pod):
            step.delete.append(pod)
        return True
    if pods.phase(pod) == "Pending":
        step.pending.append(pod)
    if group.ordered and group.is_unavailable(pod):
        return True
    step.settled.append(pod)
    return False


def _condemn(group: Members, step: Step) -> bool:
    """Delete what is beyond the range; whether an update has to wait for it."""
    if not group.ordered:
        step.delete.extend(pod for pod in group.condemned if not objects.is_deleting(pod))
        return False
    if not group.condemned:
        return False
    last = group.condemned[0]
    first_unavailable = next(filter(group.is_unavailable, reversed(group.condemned)), None)
    if not objects.is_deleting(last) and (group.is_available(last) or last is first_unavailable):
        step.delete.append(last)
    return True


def _to_update(group: Members) -> list[Mapping]:
    """The Pods that make room for the newest revision."""
    rolling = (group.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    # One below 1 would never move.
    most = max(1, resolve(rolling.get("maxUnavailable") or 1, len(group.replicas), math.floor))
    unavailable = sum(map(group.is_unavailable, group.replicas))
    highest_first = reversed(group.replicas[rolling.get("partition") or 0 :])
    old = [pod for pod in highest_first if group.is_old(pod) and not objects.is_deleting(pod)]
    room = max(0, most - unavailable)
    if group.ordered:
        return old[:room]
    # What does not work anyway costs nothing, and may never come to work in its old revision.
    broken = [pod for pod in old if not group.is_available(pod) and not pods.is_terminal(pod)]
    return broken + [pod for pod in old if group.is_available(pod)][:room]


# What is told.


def status(
    stateful_set: Mapping,
    found: Sequence[Mapping],
    revisions: tuple[str, str, int],
    now: float,
    updated: int = 0,
) -> dict:
    """The status at `now`, of the revisions (current, update, collisions).

    `updated` Pods of the current revision have just been deleted, and still are among `found`.
    """
    spec, wait = stateful_set["spec"], stateful_set["spec"].get("minReadySeconds") or 0
    current, update, collisions = revisions
    ready = [pod for pod in found if pods.phase(pod) == "Running" and pods.is_ready(pod)]
    alive = [members.revision_of(pod) for pod in found if not objects.is_deleting(pod)]
    counts = {
        "readyReplicas": len(ready),
        "currentReplicas": max(0, alive.count(current) - updated),
        "updatedReplicas": alive.count(update),
    }
    rolling = (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    reached = {len(found), counts["readyReplicas"], counts["updatedReplicas"]}
    if rolling and reached == {spec.get("replicas", 1)}:
        current, counts["currentReplicas"] = update, counts["updatedReplicas"]
    return {
        "observedGeneration": stateful_set["metadata"].get("generation", 0),
        "replicas": len(found),
        **{name: count for name, count in counts.items() if count},
        "availableReplicas": sum(available_in(pod, wait, now) == 0 for pod in ready),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
    }
