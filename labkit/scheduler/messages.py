"""What people read in the Event FailedScheduling, in kube-scheduler's words.

Source: FitError.Error of kube-scheduler and the message of its DefaultPreemption plugin.  labkit
never preempts: what preemption could not help anyway and where it found no victims is still said,
as a scheduler says that finds none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from labkit.scheduler.placement import Decision

NO_NODES = "no nodes available to schedule pods"
_UNHELPFUL = "Preemption is not helpful for scheduling"
_NO_VICTIMS = "No preemption victims found for incoming pod"


def failed_scheduling(decision: Decision) -> str:
    """`0/3 nodes are available: 2 Insufficient cpu. preemption: 0/3 nodes are available: ...`"""
    if decision.total == 0:
        return NO_NODES
    refusals = decision.refusals.values()
    reasons = _histogram(reason for refusal in refusals for reason in refusal.reasons)
    preemption = _histogram(_NO_VICTIMS if each.resolvable else _UNHELPFUL for each in refusals)
    none = f"0/{decision.total} nodes are available"
    return f"{none}: {reasons}. preemption: {none}: {preemption}."


def scheduled(key: str, node: str) -> str:
    """The Event Scheduled."""
    return f"Successfully assigned {key} to {node}"


def _histogram(reasons: Iterable[str]) -> str:
    counts = Counter(reasons)
    return ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
