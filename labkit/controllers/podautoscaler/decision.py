"""One look of the autoscaler, as a value: from what it sees to what it wants and what it says.

`decide` is the whole controller without its I/O.  The shell reads HPA, scale, Pods and samples,
asks `decide`, writes the scale where the decision says so, tells the outcome (`rescaled` or
`rescale_failed`) and writes the status.  The same functions serve a simulator.

Conditions keep the order in which Kubernetes sets them: AbleToScale, ScalingActive, ScalingLimited,
and ScaledToZero where the feature gate HPAScaleToZero is on.

Source: reconcileAutoscaler in pkg/controller/podautoscaler/horizontal.go.  One addition: the status
names the generation it answers, which Kubernetes' controller leaves empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from labkit.client.events import NORMAL, WARNING
from labkit.controllers.podautoscaler import behavior as limits
from labkit.controllers.podautoscaler import spec
from labkit.controllers.podautoscaler.behavior import History, Limited, Recommendation
from labkit.controllers.podautoscaler.observation import Observation
from labkit.controllers.podautoscaler.proposal import Proposal, propose
from labkit.controllers.podautoscaler.replica_calculator import Workload
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from labkit.controllers.podautoscaler.words import (
    count,
    derivation,
    stabilized,
    stay,
    unable,
    unknown,
)
from labkit.kube import conditions, times

ABOVE_MAXIMUM = "Current number of replicas above Spec.MaxReplicas"
BELOW_MINIMUM = "Current number of replicas below Spec.MinReplicas"
BELOW_TARGET = "All metrics below target"


@dataclass(frozen=True, slots=True)
class Event:
    """An Event to record about the HPA; `kind` is Normal or Warning."""

    kind: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What one look led to.

    `rescale` says that the target is to get `desired` replicas, for `reason`.  `words` derive
    `desired` with their numbers; `error` is what went wrong, though scaling may go on in spite of
    it.  `status` is the HPA's new status, `history` what to remember for the next look.
    """

    current: int
    desired: int
    status: Mapping
    history: History
    words: str
    rescale: bool = False
    reason: str = ""
    error: str = ""
    proposals: tuple[Proposal, ...] = ()
    events: tuple[Event, ...] = ()


def needs_metrics(hpa: Mapping, scale: Mapping, settings: HPAControllerConfiguration) -> bool:
    """Whether `decide` will ask what the metrics say."""
    return _forced(hpa, scale, settings) is None


def decide(
    hpa: Mapping,
    scale: Mapping,
    observation: Observation,
    history: History,
    settings: HPAControllerConfiguration,
    now: float,
) -> Decision:
    """What to do with the target whose scale subresource is `scale`, at `now` (Unix seconds)."""
    draft = _Draft(hpa, scale, history, settings, now)
    draft.condition(
        "AbleToScale",
        "True",
        "SucceededGetScale",
        "the HPA controller was able to get the target's current scale",
    )
    forced = _forced(hpa, scale, settings)
    if forced is None:
        return draft.from_metrics(observation)
    if forced.reason == "":
        draft.condition(
            "ScalingActive",
            "False",
            "ScalingDisabled",
            "scaling is disabled since the replica count of the target is zero",
        )
        if spec.SCALE_TO_ZERO not in settings.feature_gates:
            draft.remove("ScaledToZero")
    return draft.decision(forced.desired, forced.words, reason=forced.reason)


def cannot_get_scale(hpa: Mapping, event: str, error: str, now: float) -> Decision:
    """The target, or its scale, cannot be read: say so and change nothing else.

    `event` is the cause, which the event and the condition tell; `error` is the whole of it.
    """
    message = f"the HPA controller was unable to get the target's current scale: {event}"
    status = dict(hpa.get("status") or {})
    status["conditions"] = conditions.updated(
        status.get("conditions"), "AbleToScale", "False", "FailedGetScale", message,
        times.rfc3339(now),
    )  # fmt: skip
    current = status.get("currentReplicas") or 0
    return Decision(
        current=current,
        desired=status.get("desiredReplicas") or 0,
        status=status,
        history=History(),
        words=f"nothing changes: {error}",
        error=error,
        events=(Event(WARNING, "FailedGetScale", event),),
    )


def rescaled(
    decision: Decision, hpa: Mapping, settings: HPAControllerConfiguration, now: float
) -> Decision:
    """The decision after the scale was written."""
    stamp, current, desired = times.rfc3339(now), decision.current, decision.desired
    status = dict(decision.status) | {"lastScaleTime": stamp, "desiredReplicas": desired}
    status["conditions"] = conditions.updated(
        status["conditions"],
        "AbleToScale",
        "True",
        "SucceededRescale",
        f"the HPA controller was able to update the target scale to {desired}",
        stamp,
    )
    status["conditions"] = _scaled_to_zero(decision, hpa, settings, status["conditions"], stamp)
    event = Event(NORMAL, "SuccessfulRescale", f"New size: {desired}; reason: {decision.reason}")
    rules = spec.rules(hpa, settings)
    history = limits.store_scale_event(decision.history, rules, current, desired, now)
    return replace(decision, status=status, history=history, events=(*decision.events, event))


def rescale_failed(
    decision: Decision, hpa: Mapping, target: str, error: str, now: float
) -> Decision:
    """The decision after the scale could not be written; `target` is Kind/namespace/name."""
    message = f"New size: {decision.desired}; reason: {decision.reason}; error: {error}"
    status = dict(decision.status)
    status["conditions"] = conditions.updated(
        status["conditions"],
        "AbleToScale",
        "False",
        "FailedUpdateScale",
        f"the HPA controller was unable to update the target scale: {error}",
        times.rfc3339(now),
    )
    return replace(
        decision,
        status=status | {"desiredReplicas": spec.reported_desired_replicas(hpa)},
        rescale=False,
        words=f"{decision.words}; but the target could not be updated: {error}",
        error=f"failed to rescale {target}: {error}",
        events=(*decision.events, Event(WARNING, "FailedRescale", message)),
    )


def _scaled_to_zero(
    decision: Decision,
    hpa: Mapping,
    settings: HPAControllerConfiguration,
    before: list[dict],
    stamp: str,
) -> list[dict]:
    if spec.SCALE_TO_ZERO not in settings.feature_gates:
        return [condition for condition in before if condition["type"] != "ScaledToZero"]
    to_zero = decision.current > 0 and decision.desired == 0
    if to_zero and spec.min_replicas(hpa) == 0 and spec.has_object_or_external_metrics(hpa):
        message = "the HPA controller scaled the workload to zero"
        return conditions.updated(before, "ScaledToZero", "True", "ScaledToZero", message, stamp)
    message = "the HPA controller did not scale the workload to zero"
    return conditions.updated(before, "ScaledToZero", "False", "NotScaledToZero", message, stamp)


@dataclass(frozen=True, slots=True)
class _Forced:
    """A count that no metric is asked about; without a reason, scaling is switched off."""

    desired: int
    reason: str
    words: str


def _forced(hpa: Mapping, scale: Mapping, settings: HPAControllerConfiguration) -> _Forced | None:
    current, minimum, maximum = (
        spec.replicas(scale),
        spec.min_replicas(hpa),
        hpa["spec"]["maxReplicas"],
    )
    if current == 0:
        if spec.was_scaled_to_zero(hpa, settings) and (
            minimum != 0 or spec.has_object_or_external_metrics(hpa)
        ):
            return None
        return _Forced(0, "", "0 replicas stay: the target is at zero, which switches scaling off")
    if current > maximum:
        words = f"{count(maximum)}: {current} are more than maxReplicas"
        return _Forced(maximum, ABOVE_MAXIMUM, words)
    if current < minimum:
        words = f"{count(minimum)}: {current} are fewer than minReplicas"
        return _Forced(minimum, BELOW_MINIMUM, words)
    return None


class _Draft:
    """A decision in the making: conditions, events and history as they are collected."""

    def __init__(
        self,
        hpa: Mapping,
        scale: Mapping,
        history: History,
        settings: HPAControllerConfiguration,
        now: float,
    ) -> None:
        self.hpa, self.scale, self.settings, self.now = hpa, scale, settings, now
        self.current = spec.replicas(scale)
        if history.recommendations is None:
            # A restarted controller must not scale down at once for want of a memory.
            first = (Recommendation(self.current, now),)
            history = replace(history, recommendations=first)
        self.history = history
        self.conditions = list((hpa.get("status") or {}).get("conditions") or ())
        self.events: list[Event] = []
        self.proposals: tuple[Proposal, ...] = ()

    def condition(self, kind: str, status: str, reason: str, message: str) -> None:
        stamp = times.rfc3339(self.now)
        self.conditions = conditions.updated(self.conditions, kind, status, reason, message, stamp)

    def remove(self, kind: str) -> None:
        self.conditions = [entry for entry in self.conditions if entry["type"] != kind]

    def from_metrics(self, observation: Observation) -> Decision:
        if problem := observation.problem:
            self.events.append(Event(WARNING, problem.event_reason, problem.message))
            self.condition(
                "ScalingActive", "False", problem.condition_reason, problem.condition_message
            )
            return self.failed(problem.message, problem.message)
        self.proposals = self._proposals(observation)
        best, error, blocked = self._choose()
        if best is None or blocked:
            return self.failed(error, unable(best, self.proposals))
        self.condition(
            "ScalingActive",
            "True",
            "ValidMetricFound",
            f"the HPA was able to successfully calculate a replica count from {best.metric}",
        )
        return self._normalized(best, error)

    def _proposals(self, observation: Observation) -> tuple[Proposal, ...]:
        workload = Workload(
            self.current,
            (self.scale.get("status") or {}).get("replicas") or 0,
            observation.pods,
            spec.tolerances(self.hpa, self.settings),
            self.settings,
            self.now,
        )
        namespace = self.hpa["metadata"]["namespace"]
        pairs = zip(spec.metrics(self.hpa), observation.samples, strict=True)
        return tuple(propose(metric, workload, sample, namespace) for metric, sample in pairs)

    def _choose(self) -> tuple[Proposal | None, str, bool]:
        """The metric that asks for most, what is wrong, and whether that forbids to go on."""
        failed = [proposal for proposal in self.proposals if proposal.error]
        valid = [proposal for proposal in self.proposals if not proposal.error]
        for proposal in failed:
            self.events.append(Event(WARNING, proposal.reason, proposal.cause))
        best = max(valid, key=lambda proposal: proposal.replicas, default=None)
        if not failed:
            return best, "", False
        error = (
            f"invalid metrics ({len(failed)} invalid out of {len(self.proposals)}), "
            f"first error is: {failed[0].error}"
        )
        # A metric that is not known might ask for more: never scale down in its absence.
        blocked = best is None or best.replicas < self.current
        if blocked:
            message = f"the HPA was unable to compute the replica count: {failed[0].cause}"
            self.condition("ScalingActive", "False", failed[0].reason, message)
        return best, error, blocked

    def _normalized(self, best: Proposal, error: str) -> Decision:
        reason = ""
        if best.replicas > self.current:
            reason = f"{best.metric} above target"
        elif best.replicas < self.current:
            reason = BELOW_TARGET
        words, limited = self._limited(best.replicas)
        desired, minimum = limited.replicas, spec.min_replicas(self.hpa)
        clauses = [derivation(best, len(self.proposals)), *words]
        if error:
            clauses.append(unknown(self.proposals))
        if self.current == 0 and desired < minimum:
            desired, reason = minimum, reason or BELOW_MINIMUM
            clauses.append(f"raised to minReplicas {minimum}")
        return self.decision(desired, "; ".join(clauses), reason=reason, error=error)

    def _limited(self, proposed: int) -> tuple[list[str], Limited]:
        """`proposed` stabilized and limited, with the conditions that say so, and in words."""
        rules = spec.rules(self.hpa, self.settings)
        stable = self._stabilized(proposed, rules)
        if stable.replicas != proposed:
            self.condition("AbleToScale", "True", stable.reason, stable.message)
        else:
            message = "recommended size matches current size"
            self.condition("AbleToScale", "True", "ReadyForNewScale", message)
        limited = self._within_limits(stable.replicas, rules)
        changed = "False" if limited.replicas == stable.replicas else "True"
        self.condition("ScalingLimited", changed, limited.reason, limited.message)
        return [words for words in (stable.words, limited.words) if words], limited

    def _stabilized(self, proposed: int, rules: limits.Rules | None) -> Limited:
        log = self.history.recommendations or ()
        if rules is None:
            window = self.settings.horizontal_pod_autoscaler_downscale_stabilization
            highest, log = limits.stabilize_recommendation(log, proposed, window, self.now)
            words = stabilized(highest, proposed, highest, window)
            stable = Limited(highest, *limits.SCALE_DOWN_STABILIZED, words)
        else:
            stable, log = limits.stabilize_recommendation_with_behaviors(
                log, self.current, proposed, rules, self.now
            )
        self.history = replace(self.history, recommendations=log)
        return stable

    def _within_limits(self, stable: int, rules: limits.Rules | None) -> Limited:
        bounds = spec.min_replicas(self.hpa), self.hpa["spec"]["maxReplicas"]
        if rules is None:
            return limits.convert_desired_replicas_with_rules(self.current, stable, *bounds)
        return limits.convert_desired_replicas_with_behavior_rate(
            self.history, self.current, stable, bounds, rules, self.now
        )

    def failed(self, error: str, because: str) -> Decision:
        """No count can be had: report what is known and change nothing.

        `because` is the same as `error` in fewer words.
        """
        self.events.append(Event(WARNING, "FailedComputeMetricsReplicas", error))
        target = spec.target_words(self.hpa)
        whole = (
            "failed to compute desired number of replicas based on listed metrics for "
            f"{target}: {error}"
        )
        words = f"{stay(self.current)}: {because}"
        decision = self.decision(self.current, words, error=whole)
        status = dict(decision.status)
        status["desiredReplicas"] = spec.reported_desired_replicas(self.hpa)
        return replace(decision, status=status)

    def decision(self, desired: int, words: str, *, reason: str = "", error: str = "") -> Decision:
        return Decision(
            current=self.current,
            desired=desired,
            status=self._status(desired),
            history=self.history,
            words=words,
            rescale=desired != self.current,
            reason=reason,
            error=error,
            proposals=self.proposals,
            events=tuple(self.events),
        )

    def _status(self, desired: int) -> dict:
        status: dict = {"currentReplicas": self.current, "desiredReplicas": desired}
        if generation := self.hpa["metadata"].get("generation"):
            status["observedGeneration"] = generation
        if last := (self.hpa.get("status") or {}).get("lastScaleTime"):
            status["lastScaleTime"] = last
        if self.proposals:
            status["currentMetrics"] = [proposal.status for proposal in self.proposals]
        return status | {"conditions": self.conditions}
