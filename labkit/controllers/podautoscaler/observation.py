"""What the autoscaler needs to see of a target before it can ask what the metrics say.

A selector that is missing, cannot be parsed or finds Pods of another HPA's target is a `Problem`;
its words are Kubernetes' own (validateAndParseSelector in pkg/controller/podautoscaler).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.controllers.podautoscaler.proposal import Sample


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the target's selector cannot be used: the event's and the condition's words."""

    event_reason: str
    message: str
    condition_reason: str
    condition_message: str


SELECTOR_REQUIRED = Problem(
    "SelectorRequired",
    "selector is required",
    "InvalidSelector",
    "the HPA target's scale is missing a selector",
)


def invalid_selector(cause: str) -> Problem:
    """The selector of the target's scale cannot be parsed."""
    message = f"couldn't convert selector into a corresponding internal selector object: {cause}"
    return Problem("InvalidSelector", message, "InvalidSelector", message)


def ambiguous_selector(selector: str, rivals: Sequence[str]) -> Problem:
    """Several HPAs, whose keys are `rivals`, control Pods of this selector."""
    keys = " ".join(rivals)
    message = f"pods by selector {selector} are controlled by multiple HPAs: [{keys}]"
    return Problem("AmbiguousSelector", message, "AmbiguousSelector", message)


@dataclass(frozen=True, slots=True)
class Observation:
    """The target's Pods and one sample for each metric of the HPA, or why there are none."""

    pods: Sequence[Mapping] = ()
    samples: Sequence[Sample] = ()
    problem: Problem | None = None
