"""DefaultPreemption: whose place a more important Pod may take.

For each node that refused the Pod for a reason that other Pods' leaving could end, all Pods of
lower priority are taken away in thought; if the Pod fits then, they are let back one by one, the
most important first and those first whose PodDisruptionBudget would be violated, as long as it
still fits.  Who is left over are the node's victims.  The node where that hurts least is chosen:
fewest violated budgets, lowest highest priority, lowest sum of priorities, fewest victims, and
victims that have run for the shortest time.

Nothing is done here: the outcome says whom to evict, or why nobody is.  A budget is a wish here:
if there is no other way it is violated.

Source: kube-scheduler's DefaultPreemption plugin and framework/preemption; documentation "Pod
Priority and Preemption".
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labkit.kube import selectors
from labkit.scheduler.cache import Cache
from labkit.scheduler.messages import histogram
from labkit.scheduler.nodeinfo import NodeInfo
from labkit.scheduler.placement import Decision, PodClass
from labkit.scheduler.podview import PodView

_UNHELPFUL = "Preemption is not helpful for scheduling"
_NO_VICTIMS = "No preemption victims found for incoming pod"
_NEVER = "not eligible due to preemptionPolicy=Never."
_ALREADY = "not eligible due to a terminating pod on the nominated node."
_CANDIDATES, _CANDIDATES_PERCENT = 100, 10  # minCandidateNodesAbsolute, ...Percentage
_LEAST_PRIORITY = -(2**31)


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget, as far as it counts here."""

    namespace: str
    selector: selectors.Selector
    allowed: int
    disrupted: frozenset[str]  # Pods whose eviction the API server has counted already

    def covers(self, pod: PodView) -> bool:
        """Whether the Pod's eviction would take one of the allowed disruptions."""
        return (
            bool(pod.labels and self.selector)
            and pod.namespace == self.namespace
            and pod.key.rpartition("/")[2] not in self.disrupted
            and selectors.matches(self.selector, pod.labels)
        )


def budget(obj: Mapping) -> Budget:
    """Read a PodDisruptionBudget."""
    status = obj.get("status") or {}
    return Budget(
        obj["metadata"]["namespace"],
        selectors.from_label_selector(obj["spec"].get("selector")) or (),
        status.get("disruptionsAllowed") or 0,
        frozenset(status.get("disruptedPods") or ()),
    )


class Victims(NamedTuple):
    """Who would have to leave a node, most important first, and how many budgets that violates."""

    node: str
    pods: tuple[PodView, ...]
    violations: int


class Outcome(NamedTuple):
    """`victims` to evict, or a `message` why there are none.

    `hopeless` tells that no node could be freed: a nomination from before is void.
    """

    victims: Victims | None = None
    message: str = ""
    hopeless: bool = False


def preempt(
    pod: PodView,
    decision: Decision,
    alike: PodClass,
    cache: Cache,
    budgets: Sequence[Budget],
    source: random.Random,
) -> Outcome:
    """What preemption can do for a Pod that `decision` has found no node for."""
    if why := _not_eligible(pod, decision, cache):
        return Outcome(message=why)
    if known := alike.known.get(("preemption", pod.priority)):
        return known
    nodes = [name for name in alike.names if _could_help(decision, name)]
    reasons: list[str] = []
    found: list[Victims] = []
    enough = max(len(nodes) * _CANDIDATES_PERCENT // 100, _CANDIDATES)
    start = source.randrange(len(nodes)) if nodes else 0
    trial = _Trial(pod, alike, cache, budgets)
    for name in (*nodes[start:], *nodes[:start]):
        tried = trial.victims(name)
        if isinstance(tried, Victims):
            found.append(tried)
        else:
            reasons += tried
        if len(found) >= enough and any(not each.violations for each in found):
            break
    if found:
        return Outcome(_gentlest(found))
    reasons += [_UNHELPFUL] * (decision.total - len(nodes))
    message = f"0/{decision.total} nodes are available: {histogram(reasons)}."
    outcome = alike.known["preemption", pod.priority] = Outcome(message=message, hopeless=True)
    return outcome


def _not_eligible(pod: PodView, decision: Decision, cache: Cache) -> str:
    if pod.never_preempts:
        return _NEVER
    info = cache.infos.get(pod.nominated)
    if info is None:
        return ""
    refusal = decision.refusals.get(pod.nominated)
    if refusal and not refusal.resolvable:
        return ""  # the nominated node is of no use any more: look for another
    leaving = any(each.preempted and each.priority < pod.priority for each in info.pods.values())
    return _ALREADY if leaving else ""


def _could_help(decision: Decision, name: str) -> bool:
    refusal = decision.refusals.get(name)
    return refusal is not None and refusal.resolvable


class _Trial:
    """Tries out, node by node, who would have to leave."""

    def __init__(
        self, pod: PodView, alike: PodClass, cache: Cache, budgets: Sequence[Budget]
    ) -> None:
        self._pod, self._alike, self._cache, self._budgets = pod, alike, cache, budgets
        self._guests = cache.guests(pod)
        self._pointless = min(cache.priorities, default=pod.priority) >= pod.priority
        self._places = {name: place for place, name in enumerate(alike.names)}

    def victims(self, name: str) -> Victims | Sequence[str]:
        """The victims on a node, or the reasons why there are none."""
        if self._pointless:
            return (_NO_VICTIMS,)
        info = self._cache.infos[name].copy()
        lower = [each for each in info.pods.values() if each.priority < self._pod.priority]
        if not lower:
            return (_NO_VICTIMS,)
        for each in lower:
            info.remove(each.uid)
        if reasons := self._refusal(name, info):
            return reasons
        violating, others = _by_budgets(sorted(lower, key=_importance), self._budgets)
        against = self._not_reprieved(name, info, violating)
        victims = against + self._not_reprieved(name, info, others)
        return Victims(name, tuple(sorted(victims, key=_importance)), len(against))

    def _not_reprieved(self, name: str, info: NodeInfo, pods: Iterable[PodView]) -> list[PodView]:
        """Those of `pods` that cannot come back to the node; the others have."""
        victims = []
        for each in pods:
            info.add(each)
            if self._refusal(name, info):
                info.remove(each.uid)
                victims.append(each)
        return victims

    def _refusal(self, name: str, info: NodeInfo) -> Sequence[str]:
        place, guests = self._places[name], self._guests.get(name)
        if guests:
            crowded = info.copy()
            for guest in guests:
                crowded.add(guest)
            if refusal := self._alike.refusal_if(place, crowded):
                return refusal.reasons
        refusal = self._alike.refusal_if(place, info)
        return refusal.reasons if refusal else ()


def _importance(pod: PodView) -> tuple:
    """Sorts the most important first: by priority, then who has run longest."""
    return -pod.priority, _age(pod)


def _age(pod: PodView) -> tuple[bool, str]:
    """Sorts the oldest first; one that has not begun is the youngest."""
    return not pod.started, pod.started


def _by_budgets(
    pods: Iterable[PodView], budgets: Sequence[Budget]
) -> tuple[list[PodView], list[PodView]]:
    """Those whose eviction would violate a budget, and the others, in the same order."""
    taken: Counter[int] = Counter()
    violating, others = [], []
    for pod in pods:
        covering = [index for index, each in enumerate(budgets) if each.covers(pod)]
        taken.update(covering)
        violates = any(taken[index] > budgets[index].allowed for index in covering)
        (violating if violates else others).append(pod)
    return violating, others


def _gentlest(found: Sequence[Victims]) -> Victims:
    """Where evicting hurts least (pickOneNodeForPreemption); the first of equals."""
    least = min(map(_harm, found))
    return max(
        (each for each in found if _harm(each) == least), key=lambda each: _earliest(each.pods)
    )


def _harm(victims: Victims) -> tuple[int, int, int, int]:
    priorities = [pod.priority for pod in victims.pods]
    # So that none is negative, and more victims are never less harm.
    total = sum(priority - _LEAST_PRIORITY for priority in priorities)
    return victims.violations, priorities[0], total, len(priorities)


def _earliest(pods: Sequence[PodView]) -> tuple[bool, str]:
    highest = pods[0].priority
    return min(_age(pod) for pod in pods if pod.priority == highest)
