"""From the replica count that metrics ask for to the one that the HPA's behaviour allows.

Two things slow a change down.  *Stabilization* looks back over a window and takes the least of the
changes that were recommended in it; *policies* limit how many Pods may come or go within a period.
minReplicas and maxReplicas limit the result.  Without `spec.behavior` an older and simpler path is
taken: scaling down is stabilized, scaling up at most doubles (or reaches 4).

What happened before is passed in and comes back as a new value (`History`); nothing is stored here.
Windows and periods are open at their old end: what is exactly as old as the window is outside.  The
window of the older path alone is closed, as in Kubernetes.

Source: pkg/controller/podautoscaler/horizontal.go; defaults: pkg/apis/autoscaling/v2/defaults.go.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from labkit.controllers.podautoscaler.words import stabilized

_Entry = TypeVar("_Entry")

# Without spec.behavior a target at most doubles at once, but may always reach four: a single sample
# that is wrong must not multiply a workload, and a small one must be able to start.
SCALE_UP_LIMIT_FACTOR = 2.0
SCALE_UP_LIMIT_MINIMUM = 4.0

DEFAULT_SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
DEFAULT_SCALE_DOWN = {
    "stabilizationWindowSeconds": None,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}

WITHIN_RANGE = ("DesiredWithinRange", "the desired count is within the acceptable range")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
SCALE_UP_LIMIT = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
)
SCALE_DOWN_LIMIT = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)
SCALE_UP_STABILIZED = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
SCALE_DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, "
    "applying the highest recent recommendation",
)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the metrics asked for at `timestamp` (Unix seconds), before any limit."""

    replicas: int
    timestamp: float


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    """A change by `change` replicas (positive either way) that was made at `timestamp`."""

    change: int
    timestamp: float
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """What the controller remembers of one HPA; `recommendations` is None before the first look."""

    recommendations: tuple[Recommendation, ...] | None = None
    scale_up_events: tuple[ScaleEvent, ...] = ()
    scale_down_events: tuple[ScaleEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Limited:
    """An allowed count, the condition reason and message for it, and what limited it, in words."""

    replicas: int
    reason: str
    message: str
    words: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Rules:
    """`spec.behavior` with every default in place."""

    scale_up: Mapping
    scale_down: Mapping


def rules(behavior: Mapping, downscale_stabilization: float) -> Rules:
    """`spec.behavior` completed; `downscale_stabilization` is the controller's flag, in seconds."""
    down = DEFAULT_SCALE_DOWN | {"stabilizationWindowSeconds": int(downscale_stabilization)}
    return Rules(
        DEFAULT_SCALE_UP | _given(behavior.get("scaleUp")),
        down | _given(behavior.get("scaleDown")),
    )


def _given(scaling_rules: Mapping | None) -> dict:
    return {name: value for name, value in (scaling_rules or {}).items() if value is not None}


def stabilize_recommendation(
    recommendations: tuple[Recommendation, ...], desired: int, window: float, now: float
) -> tuple[int, tuple[Recommendation, ...]]:
    """Without behaviour: the highest of `desired` and the last `window` seconds; the new log."""
    cutoff = now - window
    recent = [entry.replicas for entry in recommendations if not entry.timestamp < cutoff]
    old = [n for n, entry in enumerate(recommendations) if entry.timestamp < cutoff]
    return max([desired, *recent]), _logged(recommendations, Recommendation(desired, now), old)


def stabilize_recommendation_with_behaviors(
    recommendations: tuple[Recommendation, ...],
    current: int,
    desired: int,
    behavior: Rules,
    now: float,
) -> tuple[Limited, tuple[Recommendation, ...]]:
    """The change nearest to none that was recommended within the window of its direction."""
    up_cutoff = now - behavior.scale_up["stabilizationWindowSeconds"]
    down_cutoff = now - behavior.scale_down["stabilizationWindowSeconds"]
    lowest = min([desired, *(r.replicas for r in recommendations if r.timestamp > up_cutoff)])
    highest = max([desired, *(r.replicas for r in recommendations if r.timestamp > down_cutoff)])
    stable = min(max(current, lowest), highest)
    old = [
        n
        for n, entry in enumerate(recommendations)
        if entry.timestamp < up_cutoff and entry.timestamp < down_cutoff
    ]
    up = desired >= current
    reason, message = SCALE_UP_STABILIZED if up else SCALE_DOWN_STABILIZED
    log = _logged(recommendations, Recommendation(desired, now), old)
    rules = behavior.scale_up if up else behavior.scale_down
    window = rules["stabilizationWindowSeconds"]
    words = stabilized(stable, desired, lowest if up else highest, window)
    return Limited(stable, reason, message, words), log


def _logged(log: tuple[_Entry, ...], entry: _Entry, old: list[int]) -> tuple[_Entry, ...]:
    """`log` with `entry` in the place of the last old one, so that the log does not grow."""
    if not old:
        return (*log, entry)
    return (*log[: old[-1]], entry, *log[old[-1] + 1 :])


def convert_desired_replicas_with_rules(
    current: int, desired: int, min_replicas: int, max_replicas: int
) -> Limited:
    """Without behaviour: `desired` within the bounds and within the scale-up limit."""
    limit = calculate_scale_up_limit(current)
    if desired < min_replicas:
        return Limited(min_replicas, *TOO_FEW, f"raised to minReplicas {min_replicas}")
    if max_replicas > limit and desired > limit:
        return Limited(
            limit,
            *SCALE_UP_LIMIT,
            f"limited to {limit} = max(2 × {current}, 4), the most in one step",
        )
    if desired > max_replicas:
        return Limited(max_replicas, *TOO_MANY, f"limited to maxReplicas {max_replicas}")
    return Limited(desired, *WITHIN_RANGE)


def calculate_scale_up_limit(current: int) -> int:
    """The most replicas that one step may lead to without behaviour."""
    return int(max(SCALE_UP_LIMIT_FACTOR * current, SCALE_UP_LIMIT_MINIMUM))


def convert_desired_replicas_with_behavior_rate(
    history: History,
    current: int,
    desired: int,
    bounds: tuple[int, int],
    behavior: Rules,
    now: float,
) -> Limited:
    """`desired` within `bounds` (minReplicas, maxReplicas) and within the rate of the policies."""
    if desired > current:
        return _limit_scale_up(history, current, desired, bounds[1], behavior.scale_up, now)
    if desired < current:
        return _limit_scale_down(history, current, desired, bounds[0], behavior.scale_down, now)
    return Limited(desired, *WITHIN_RANGE)


def _limit_scale_up(
    history: History, current: int, desired: int, max_replicas: int, scale_up: Mapping, now: float
) -> Limited:
    limit, policy = calculate_scale_up_limit_with_scaling_rules(history, current, scale_up, now)
    limit = max(limit, current)
    if max_replicas > limit and desired > limit:
        return Limited(limit, *SCALE_UP_LIMIT, f"limited to {limit} by {policy}")
    if desired > max_replicas:
        return Limited(max_replicas, *TOO_MANY, f"limited to maxReplicas {max_replicas}")
    return Limited(desired, *WITHIN_RANGE)


def _limit_scale_down(
    history: History, current: int, desired: int, min_replicas: int, scale_down: Mapping, now: float
) -> Limited:
    limit, policy = calculate_scale_down_limit_with_behaviors(history, current, scale_down, now)
    limit = min(limit, current)
    if min_replicas < limit and desired < limit:
        return Limited(limit, *SCALE_DOWN_LIMIT, f"limited to {limit} by {policy}")
    if desired < min_replicas:
        return Limited(min_replicas, *TOO_FEW, f"raised to minReplicas {min_replicas}")
    return Limited(desired, *WITHIN_RANGE)


def calculate_scale_up_limit_with_scaling_rules(
    history: History, current: int, scale_up: Mapping, now: float
) -> tuple[int, str]:
    """The most replicas that the policies allow now, and the policy that says so, in words."""
    if scale_up["selectPolicy"] == "Disabled":
        return current, "selectPolicy Disabled"
    proposals = []
    for policy in scale_up["policies"]:
        start = _period_start_replicas(history, current, policy["periodSeconds"], now)
        if policy["type"] == "Pods":
            proposed = start + policy["value"]
        else:
            # Rounded up: 10 % of one Pod must still be able to add one.
            proposed = math.ceil(start * (1 + policy["value"] / 100))
        proposals.append((proposed, _policy_words(policy, start, current)))
    choose = min if scale_up["selectPolicy"] == "Min" else max
    return choose(proposals, key=lambda proposal: proposal[0])


def calculate_scale_down_limit_with_behaviors(
    history: History, current: int, scale_down: Mapping, now: float
) -> tuple[int, str]:
    """The fewest replicas that the policies allow now, and the policy that says so, in words."""
    if scale_down["selectPolicy"] == "Disabled":
        return current, "selectPolicy Disabled"
    proposals = []
    for policy in scale_down["policies"]:
        start = _period_start_replicas(history, current, policy["periodSeconds"], now)
        if policy["type"] == "Pods":
            proposed = start - policy["value"]
        else:
            proposed = int(start * (1 - policy["value"] / 100))
        proposals.append((proposed, _policy_words(policy, start, current)))
    # The smallest change keeps the most replicas.
    choose = max if scale_down["selectPolicy"] == "Min" else min
    return choose(proposals, key=lambda proposal: proposal[0])


def _policy_words(policy: Mapping, start: int, current: int) -> str:
    percent = " %" if policy["type"] == "Percent" else ""
    words = f"policy {policy['type']} {policy['value']}{percent}/{policy['periodSeconds']} s"
    return words if start == current else f"{words}, counted from {start}"


def _period_start_replicas(history: History, current: int, period: float, now: float) -> int:
    """How many replicas there were when the period began, but for other people's changes."""
    added = get_replicas_change_per_period(history.scale_up_events, period, now)
    deleted = get_replicas_change_per_period(history.scale_down_events, period, now)
    return current - added + deleted


def get_replicas_change_per_period(
    events: tuple[ScaleEvent, ...], period: float, now: float
) -> int:
    """The sum of the changes that were made in the last `period` seconds."""
    return sum(event.change for event in events if event.timestamp > now - period)


def store_scale_event(
    history: History, behavior: Rules | None, before: int, after: int, now: float
) -> History:
    """`history` with the change from `before` to `after` replicas; only policies ever read it."""
    if behavior is None:
        return history
    if after > before:
        events = _stored(history.scale_up_events, behavior.scale_up, after - before, now)
        return replace(history, scale_up_events=events)
    events = _stored(history.scale_down_events, behavior.scale_down, before - after, now)
    return replace(history, scale_down_events=events)


def _stored(
    events: tuple[ScaleEvent, ...], scaling_rules: Mapping, change: int, now: float
) -> tuple[ScaleEvent, ...]:
    longest = max((policy["periodSeconds"] for policy in scaling_rules["policies"]), default=0)
    marked = tuple(
        replace(event, outdated=True) if event.timestamp < now - longest else event
        for event in events
    )
    old = [n for n, event in enumerate(marked) if event.outdated]
    return _logged(marked, ScaleEvent(change, now), old)
