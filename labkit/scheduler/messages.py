"""What people read in Events and conditions, in kube-scheduler's words.

Source: FitError.Error of kube-scheduler; the messages of its DefaultPreemption plugin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from labkit.scheduler.placement import Decision

NO_NODES = "no nodes available to schedule pods"
_NOTE_LIMIT = 1024  # characters in an Event


def failed_scheduling(decision: Decision, preemption: str = "") -> str:
    """`0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: ...`

    `preemption` is why preemption does not help; empty where it does.
    """
    if decision.total == 0:
        return NO_NODES
    if decision.blocked:
        why = ", ".join(decision.blocked.reasons)
    else:
        refusals = decision.refusals.values()
        why = histogram(reason for each in refusals for reason in each.reasons)
    message = f"0/{decision.total} nodes are available: {why}."
    return f"{message} preemption: {preemption}" if preemption else message


def scheduled(key: str, node: str) -> str:
    """The Event Scheduled."""
    return f"Successfully assigned {key} to {node}"


def preempted(uid: str, node: str) -> str:
    """The Event Preempted of a victim; `uid` is that of the Pod that takes its place."""
    return f"Preempted by pod {uid} on node {node}"


def preempting(scheduler: str) -> str:
    """The message of a victim's condition DisruptionTarget."""
    return f"{scheduler}: preempting to accommodate a higher priority pod"


def note(message: str) -> str:
    """A message cut to the length that an Event may have."""
    return message if len(message) <= _NOTE_LIMIT else message[: _NOTE_LIMIT - 4] + " ..."


def histogram(reasons: Iterable[str]) -> str:
    """`1 Insufficient cpu, 2 node(s) were unschedulable`, in the order of these texts."""
    counts = Counter(reasons)
    return ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
