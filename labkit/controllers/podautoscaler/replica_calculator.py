"""How many replicas would bring a metric to its target: one function for each kind of metric.

The rule is `desired = ceil(Pods × usage / target)`; nothing changes while usage / target is within
the tolerance.  Where Pods have no sample or are not ready, the rule is applied twice: first to what
is known, which gives the direction, then with the unknown Pods at a value that speaks against that
direction (idle when scaling up; at the target, or at all of their request, when scaling down).  If
that reverses the direction, nothing changes.

Every function is pure and gives, besides the number, the words that explain it.
Source: pkg/controller/podautoscaler/replica_calculator.go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from labkit.controllers.podautoscaler.metrics import (
    MetricError,
    PodMetricsInfo,
    get_metric_usage_ratio,
    get_resource_utilization_ratio,
)
from labkit.controllers.podautoscaler.pods import (
    PodGroups,
    calculate_requests,
    count_ready_pods,
    group_pods,
    require_pods,
)
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from labkit.controllers.podautoscaler.words import count, pods, stay
from labkit.kube.quantity import format_quantity

MAX_INT32, MAX_INT64 = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far below and above 1 the ratio of usage to target may be without consequence."""

    scale_down: float
    scale_up: float

    def is_within(self, ratio: float) -> bool:
        """Whether `ratio` changes nothing."""
        return 1.0 - self.scale_down <= ratio <= 1.0 + self.scale_up

    def __str__(self) -> str:
        return f"{1 - self.scale_down:g} to {1 + self.scale_up:g}"


@dataclass(frozen=True, slots=True)
class Workload:
    """What the autoscaler sees of its target at `now` (Unix seconds).

    `spec_replicas` and `status_replicas` are those of the scale subresource: asked for and running.
    """

    spec_replicas: int
    status_replicas: int
    pods: Sequence[Mapping]
    tolerances: Tolerances
    settings: HPAControllerConfiguration
    now: float


@dataclass(frozen=True, slots=True)
class Replicas:
    """A replica count, the usage it answers (milli, and percent where known), its derivation."""

    replicas: int
    usage: int
    words: str = field(compare=False)
    utilization: int | None = None


@dataclass(frozen=True, slots=True)
class _Ratio:
    value: float
    usage: int
    words: str
    utilization: int | None = None


def get_resource_replicas(
    workload: Workload,
    metrics: PodMetricsInfo,
    resource: str,
    target_utilization: int,
    container: str = "",
) -> Replicas:
    """For a target in percent of the requests.  Raises MetricError."""
    require_pods(workload.pods)
    groups, values = _group(workload, metrics, resource)
    pod_level = "PodLevelResources" in workload.settings.feature_gates
    requests = calculate_requests(workload.pods, container, resource, pod_level)

    def measure(values: Mapping[str, int]) -> _Ratio:
        ratio, utilization, usage = get_resource_utilization_ratio(
            values, requests, target_utilization
        )
        words = f"{utilization} % / {target_utilization} %"
        return _Ratio(ratio, usage, words, utilization)

    fallback = max(100, target_utilization)
    pessimistic = {name: requests[name] * fallback // 100 for name in groups.missing}
    return _settle(workload, groups, values, measure, pessimistic)


def get_raw_resource_replicas(
    workload: Workload, metrics: PodMetricsInfo, resource: str, target_usage: int
) -> Replicas:
    """For a target in the resource's own unit (milli), averaged over Pods.  Raises MetricError."""
    return _plain_metric_replicas(workload, metrics, resource, target_usage)


def get_metric_replicas(workload: Workload, metrics: PodMetricsInfo, target_usage: int) -> Replicas:
    """For a custom metric of the Pods, averaged over them (milli).  Raises MetricError."""
    return _plain_metric_replicas(workload, metrics, "", target_usage)


def _plain_metric_replicas(
    workload: Workload, metrics: PodMetricsInfo, resource: str, target_usage: int
) -> Replicas:
    require_pods(workload.pods)
    groups, values = _group(workload, metrics, resource)

    def measure(values: Mapping[str, int]) -> _Ratio:
        ratio, usage = get_metric_usage_ratio(values, target_usage)
        return _Ratio(ratio, usage, f"{_text(usage)} / {_text(target_usage)}")

    pessimistic = dict.fromkeys(groups.missing, target_usage)
    return _settle(workload, groups, values, measure, pessimistic)


def get_object_metric_replicas(workload: Workload, usage: int, target_usage: int) -> Replicas:
    """For one value that describes an object, against a target (milli).  Raises MetricError."""
    return _usage_ratio_replicas(workload, usage, target_usage)


def get_object_per_pod_metric_replicas(
    workload: Workload, usage: int, target_average_usage: int
) -> Replicas:
    """For one value that describes an object, shared among the replicas (milli)."""
    return _per_pod_replicas(workload, usage, target_average_usage)


def get_external_metric_replicas(
    workload: Workload, values: Iterable[int], target_usage: int
) -> Replicas:
    """For the sum of an external metric's series, against a target (milli).  Raises MetricError."""
    return _usage_ratio_replicas(workload, _total(values), target_usage)


def get_external_per_pod_metric_replicas(
    workload: Workload, values: Iterable[int], target_usage_per_pod: int
) -> Replicas:
    """For the sum of an external metric's series, shared among the replicas (milli)."""
    return _per_pod_replicas(workload, _total(values), target_usage_per_pod)


def _group(
    workload: Workload, metrics: PodMetricsInfo, resource: str
) -> tuple[PodGroups, dict[str, int]]:
    """The groups of Pods, and the samples that count."""
    groups = group_pods(workload.pods, metrics, resource, workload.settings, workload.now)
    skipped = groups.ignored | groups.unready
    values = {name: metric.value for name, metric in metrics.items() if name not in skipped}
    if not values:
        raise MetricError("did not receive metrics for targeted pods (pods might be unready)")
    return groups, values


def _settle(
    workload: Workload,
    groups: PodGroups,
    values: Mapping[str, int],
    measure: Callable[[Mapping[str, int]], _Ratio],
    pessimistic: Mapping[str, int],
) -> Replicas:
    """Apply the rule to what is known and then, where Pods are unknown, against the direction."""
    known = measure(values)
    scale_up_with_unready = bool(groups.unready) and known.value > 1.0
    if not scale_up_with_unready and not groups.missing:
        if workload.tolerances.is_within(known.value):
            return _stay(workload, known, _within(workload, known))
        replicas, words = _ceil(known.value * groups.ready), f"{groups.ready} × {known.words}"
        left = f", {pods(len(groups.unready))} not ready left out" if groups.unready else ""
        return _result(replicas, known, words, left)
    filled = dict(values)
    if known.value < 1.0:
        filled |= pessimistic
    elif known.value > 1.0:
        filled |= dict.fromkeys(groups.missing, 0)
    if scale_up_with_unready:
        filled |= dict.fromkeys(groups.unready, 0)
    return _settle_again(workload, known, measure(filled), len(filled), _unknown(groups, known))


def _settle_again(
    workload: Workload, known: _Ratio, cautious: _Ratio, number: int, unknown: str
) -> Replicas:
    if workload.tolerances.is_within(cautious.value):
        return _stay(workload, known, f"{_within(workload, cautious)}, {unknown}")
    replicas, current = _ceil(cautious.value * number), workload.spec_replicas
    turned = (known.value < 1.0 < cautious.value) or (cautious.value < 1.0 < known.value)
    against = (cautious.value < 1.0 and replicas > current) or (
        cautious.value > 1.0 and replicas < current
    )
    if turned or against:
        wish = "more" if known.value > 1.0 else "fewer"
        cautiously = f"ceil({number} × {cautious.words}) = {replicas}, {unknown}"
        return _stay(workload, known, f"{known.words} asks for {wish}, but {cautiously}")
    # The usage that is reported is what was measured, not what was assumed.
    return _result(replicas, known, f"{number} × {cautious.words}", f", {unknown}")


def _usage_ratio_replicas(workload: Workload, usage: int, target_usage: int) -> Replicas:
    ratio = _Ratio(usage / target_usage, usage, f"{_text(usage)} / {_text(target_usage)}")
    if workload.spec_replicas == 0:
        # There is no Pod to multiply by: the ratio itself is the number to start with.
        return _result(_ceil(ratio.value), ratio, ratio.words)
    if workload.tolerances.is_within(ratio.value):
        return _stay(workload, ratio, _within(workload, ratio))
    try:
        ready = count_ready_pods(workload.pods)
    except MetricError as error:
        raise MetricError(f"unable to calculate ready pods: {error}") from error
    return _result(_ceil(ratio.value * ready), ratio, f"{ready} × {ratio.words}")


def _per_pod_replicas(workload: Workload, usage: int, target_average: int) -> Replicas:
    running = workload.status_replicas
    # Kubernetes divides by zero here when nothing runs; the whole usage is then one Pod's share.
    share = usage if running == 0 or usage >= MAX_INT64 else math.ceil(usage / running)
    if running and workload.tolerances.is_within(usage / (target_average * running)):
        ratio = f"{_text(usage)} / ({running} × {_text(target_average)})"
        words = f"{stay(running)}: {ratio} is within {workload.tolerances}"
        return Replicas(running, share, words)
    replicas = _ceil(usage / target_average)
    words = f"{count(replicas)} = ceil({_text(usage)} / {_text(target_average)})"
    return Replicas(replicas, share, words)


def _total(values: Iterable[int]) -> int:
    return min(sum(values), MAX_INT64)


def _ceil(number: float) -> int:
    return min(math.ceil(number), MAX_INT32)


def _result(replicas: int, ratio: _Ratio, derivation: str, remark: str = "") -> Replicas:
    words = f"{count(replicas)} = ceil({derivation}){remark}"
    return Replicas(replicas, ratio.usage, words, ratio.utilization)


def _stay(workload: Workload, ratio: _Ratio, because: str) -> Replicas:
    words = f"{stay(workload.spec_replicas)}: {because}"
    return Replicas(workload.spec_replicas, ratio.usage, words, ratio.utilization)


def _within(workload: Workload, ratio: _Ratio) -> str:
    return f"{ratio.words} = {ratio.value:.3g} is within {workload.tolerances}"


def _unknown(groups: PodGroups, known: _Ratio) -> str:
    """Which Pods were counted at an assumed value, in words."""
    parts = []
    if groups.missing:
        assumed = "idle" if known.value > 1.0 else "busy"
        parts.append(f"{pods(len(groups.missing))} without a sample counted as {assumed}")
    if groups.unready and known.value > 1.0:
        parts.append(f"{pods(len(groups.unready))} not ready counted as idle")
    return " and ".join(parts)


def _text(milli: int) -> str:
    return format_quantity(Fraction(milli, 1000))
