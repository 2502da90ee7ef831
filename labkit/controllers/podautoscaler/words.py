"""A decision of the autoscaler in words, with its numbers.

    4 replicas = ceil(2 × 171 % / 90 %); limited to 3 by policy Pods 1/15 s

First what the metrics ask for and how that is computed, then, in the order in which they acted,
what made something else of it: stabilization, policies, bounds, metrics that are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.controllers.podautoscaler.proposal import Proposal


def count(replicas: int) -> str:
    """So many replicas."""
    return f"{replicas} replica" if replicas == 1 else f"{replicas} replicas"


def stay(replicas: int) -> str:
    """That so many replicas are left as they are."""
    return f"{count(replicas)} stays" if replicas == 1 else f"{count(replicas)} stay"


def pods(number: int) -> str:
    """So many Pods."""
    return f"{number} Pod" if number == 1 else f"{number} Pods"


def derivation(best: Proposal, metrics: int) -> str:
    """How the count of the metric that asks for most comes about, among so many metrics."""
    if metrics == 1:
        return best.words
    return f"{best.words}, by {best.metric}, the most of {metrics} metrics"


def stabilized(stable: int, desired: int, extreme: int, window: float) -> str:
    """Why it is `stable` and not `desired`: the recommendation that counts is `extreme`."""
    if stable == desired:
        return ""
    less = stable < desired
    if stable == extreme:
        which = "fewest" if less else "most"
        return f"stabilized at {stable}, the {which} recommended in the last {window:g} s"
    which = "as few as" if less else "up to"
    return (
        f"stabilized at {stable}, for {which} {extreme} were recommended in the last {window:g} s"
    )


def unknown(proposals: Sequence[Proposal]) -> str:
    """How many metrics are not known, and why the first of them is not."""
    causes = [proposal.cause for proposal in proposals if proposal.error]
    if len(proposals) == 1:
        return causes[0]
    verb = "are" if len(causes) > 1 else "is"
    return f"{len(causes)} of {len(proposals)} metrics {verb} unknown: {causes[0]}"


def unable(best: Proposal | None, proposals: Sequence[Proposal]) -> str:
    """Why no count can be had, or not the one that the `best` known metric asks for."""
    if best is None:
        return unknown(proposals)
    return f"not {best.words}, for {unknown(proposals)}"
