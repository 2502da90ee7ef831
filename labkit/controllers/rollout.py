"""The arithmetic of a Deployment's rollout: how many Pods each ReplicaSet shall have next.

Functions of numbers only.  One step never breaks either promise of a rolling update:

- at most `replicas + maxSurge` Pods exist (`new_size`),
- at least `replicas - maxUnavailable` Pods are available (`shrink_old`),

and repeated steps, each after the world has caught up with the last, end with all Pods new.

Source: kube-controller-manager's deployment controller (rolling.go, sync.go, deployment_util.go)
and the documentation "Deployments", sections "Rolling Update Deployment" and "Proportional
scaling".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """What the arithmetic knows of one ReplicaSet.

    `replicas` is spec.replicas, `available` is status.availableReplicas, `created` its
    creationTimestamp, `max_replicas` its annotation deployment.kubernetes.io/max-replicas: the
    most Pods that the Deployment allowed when it was scaled last (0 if unknown).
    """

    name: str
    replicas: int
    available: int = 0
    created: str = ""
    max_replicas: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A Deployment's wish: so many replicas, and the bounds on the way there, as numbers."""

    replicas: int
    max_surge: int = 0
    max_unavailable: int = 0

    @property
    def most(self) -> int:
        """The most Pods that may exist."""
        return self.replicas + self.max_surge

    @property
    def least_available(self) -> int:
        """The fewest Pods that must be available."""
        return self.replicas - self.max_unavailable


def plan(spec: Mapping) -> Plan:
    """The plan of a Deployment's spec, percentages resolved."""
    replicas = replicas_of(spec)
    strategy = spec.get("strategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return Plan(replicas)
    rolling = strategy.get("rollingUpdate") or {}
    surge, unavailable = bounds(
        rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"), replicas
    )
    return Plan(replicas, surge, min(unavailable, replicas))


def replicas_of(spec: Mapping) -> int:
    """`spec.replicas`, by default 1."""
    replicas = spec.get("replicas")
    return 1 if replicas is None else replicas


def bounds(max_surge: int | str, max_unavailable: int | str, replicas: int) -> tuple[int, int]:
    """(surge, unavailable) as numbers: percentages of `replicas`, rounded up and down.

    Where both come out as 0 nothing could ever move, so that one Pod may be unavailable.
    """
    surge = resolve(max_surge, replicas, math.ceil)
    unavailable = resolve(max_unavailable, replicas, math.floor)
    return surge, 1 if surge == 0 and unavailable == 0 else unavailable


def resolve(value: int | str, total: int, rounding) -> int:
    """An IntOrString as a number: `25%` of `total`, rounded by `rounding`, or itself."""
    if isinstance(value, str) and value.endswith("%"):
        return rounding(int(value[:-1]) * total / 100)
    return int(value)


def new_size(goal: Plan, new: Size, everything: Iterable[Size], recreate: bool = False) -> int:
    """The next size of the new ReplicaSet; `everything` are all ReplicaSets, the new one too."""
    if recreate or new.replicas >= goal.replicas:
        return goal.replicas
    room = goal.most - _total(everything)
    return new.replicas + max(0, min(room, goal.replicas - new.replicas))


def shrink_old(goal: Plan, new: Size | None, old: Sequence[Size]) -> dict[str, int]:
    """The next sizes of those old ReplicaSets that may shrink now, by name.

    First Pods that are not available anyway, oldest ReplicaSet first; then as many available ones
    as there are above the minimum.  A ReplicaSet that has just been scaled down still counts Pods
    that are on their way out: no more are available than it shall have.  (Upstream believes such a
    status, and can for a moment have fewer Pods than it promises.)
    """
    new_replicas, new_available = (new.replicas, new.available) if new else (0, 0)
    everything = _total(old) + new_replicas
    allowed = everything - goal.least_available - (new_replicas - new_available)
    if allowed <= 0:
        return {}
    oldest_first = sorted(old, key=lambda size: size.created)
    sizes = {size.name: size.replicas for size in oldest_first}
    _drop_unhealthy(sizes, oldest_first, allowed)
    available = sum(min(size.available, size.replicas) for size in old) + new_available
    _drop_available(sizes, available - goal.least_available)
    return {size.name: sizes[size.name] for size in old if sizes[size.name] != size.replicas}


def _drop_unhealthy(sizes: dict[str, int], old: Iterable[Size], allowed: int) -> None:
    for size in old:
        drop = max(0, min(allowed, size.replicas - size.available))
        sizes[size.name] -= drop
        allowed -= drop


def _drop_available(sizes: dict[str, int], surplus: int) -> None:
    for name in sizes:
        drop = max(0, min(sizes[name], surplus))
        sizes[name] -= drop
        surplus -= drop


def proportional(goal: Plan, active: Sequence[Size], status_replicas: int = 0) -> dict[str, int]:
    """Sizes of all `active` ReplicaSets when a Deployment is scaled in the middle of a rollout.

    Each gets its share of what is added or taken away, and the largest gets what rounding leaves.
    `status_replicas` stands in where a ReplicaSet does not know the former maximum.
    """
    allowed = goal.most if goal.replicas else 0
    change = allowed - _total(active)
    newest_first = change > 0
    ordered = sorted(active, key=lambda size: size.created, reverse=newest_first)
    ordered.sort(key=lambda size: size.replicas, reverse=True)
    sizes, changed = {}, 0
    for size in ordered:
        share = _share(goal, size, change, changed, status_replicas)
        sizes[size.name] = size.replicas + share
        changed += share
    if ordered and change:
        first = ordered[0].name
        sizes[first] = max(0, sizes[first] + change - changed)
    return sizes


def _share(goal: Plan, size: Size, change: int, changed: int, status_replicas: int) -> int:
    if size.replicas == 0 or change == changed:
        return 0
    share, rest = _fraction(goal, size, status_replicas), change - changed
    return min(share, rest) if change > 0 else max(share, rest)


def _fraction(goal: Plan, size: Size, status_replicas: int) -> int:
    if goal.replicas == 0:
        return -size.replicas
    before = size.max_replicas or status_replicas
    if not before:
        return 0
    # Half away from zero, as Go's math.Round; Python's round would go to the even neighbour.
    return math.floor(size.replicas * goal.most / before + 0.5) - size.replicas


def _total(sizes: Iterable[Size]) -> int:
    return sum(size.replicas for size in sizes)
