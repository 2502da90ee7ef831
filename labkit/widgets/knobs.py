"""The sliders of `what_if`: what they say of a scenario, and the scenario with other settings.

Each slider is one field of the manifests, one flag of the controller manager, or one number of the
model; everything else of the scenario stays as it is.  Pure.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from labkit.errors import UsageError
from labkit.load.profile import MAX_RATE, Piece, Profile
from labkit.simulate import Scenario
from labkit.widgets.panel import Control, slider

_SYNC = "horizontal_pod_autoscaler_sync_period"
_WINDOW = "horizontal_pod_autoscaler_downscale_stabilization"


@dataclass(frozen=True, slots=True)
class Knobs:
    """What can be changed.  In the order of the sliders."""

    target: float  # % of the request
    minimum: float  # Pods
    maximum: float
    sync: float  # s
    window: float  # s
    peak: float  # requests per second
    cpu: float  # ms of CPU per request
    start: float  # s from being bound to Ready

    def words(self) -> str:
        """All of them, for the text face."""
        return (
            f"target {self.target:g} %, {self.minimum:g} to {self.maximum:g} Pods, "
            f"sync period {self.sync:g} s, stabilization window {self.window:g} s, "
            f"load up to {self.peak:g}/s, {self.cpu:g} ms of CPU per request, "
            f"Pods start in {self.start:g} s"
        )


def knobs(scenario: Scenario) -> Knobs:
    """The settings of a scenario.  Raises UsageError where it has no autoscaler for CPU."""
    spec = _autoscaler(scenario.manifests)["spec"]
    down = (spec.get("behavior") or {}).get("scaleDown") or {}
    window = down.get("stabilizationWindowSeconds")
    return Knobs(
        target=float(_cpu_target(spec)["averageUtilization"]),
        minimum=float(spec.get("minReplicas", 1)),
        maximum=float(spec["maxReplicas"]),
        sync=float(scenario.settings.get(_SYNC, 15.0)),
        window=float(scenario.settings.get(_WINDOW, 300.0) if window is None else window),
        peak=float(scenario.load.peak),
        cpu=float(scenario.application.cpu_ms),
        start=float(scenario.start.median),
    )


def turned(scenario: Scenario, wanted: Knobs) -> Scenario:
    """The scenario with these settings.

    The load keeps its shape.  A maximum below the minimum is the minimum, for the API server would
    refuse it.
    """
    manifests = [copy.deepcopy(dict(one)) for one in scenario.manifests]
    spec = _autoscaler(manifests)["spec"]
    _cpu_target(spec)["averageUtilization"] = round(wanted.target)
    spec["minReplicas"] = round(wanted.minimum)
    spec["maxReplicas"] = round(max(wanted.minimum, wanted.maximum))
    down = spec.setdefault("behavior", {}).setdefault("scaleDown", {})
    down["stabilizationWindowSeconds"] = round(wanted.window)
    return replace(
        scenario,
        manifests=manifests,
        load=scaled(scenario.load, wanted.peak),
        settings={**scenario.settings, _SYNC: wanted.sync},
        application=replace(scenario.application, cpu_ms=wanted.cpu),
        start=replace(scenario.start, median=wanted.start),
    )


def scaled(profile: Profile, peak: float) -> Profile:
    """The profile with another peak."""
    factor = min(peak, MAX_RATE) / profile.peak
    return Profile(
        tuple(Piece(one.start * factor, one.end * factor, one.seconds) for one in profile.pieces)
    )


def controls(now: Knobs) -> list[Control]:
    """The sliders, with room above and below what the scenario says."""
    return [
        slider("target", "Target CPU utilization", now.target, 10, 100, 5, "%"),
        slider("minimum", "minReplicas", now.minimum, 1, 10),
        slider("maximum", "maxReplicas", now.maximum, 1, max(20, 2 * now.maximum)),
        slider("sync", "HPA sync period", now.sync, 1, 60, 1, "s"),
        slider("window", "Stabilization window", now.window, 0, 600, 15, "s"),
        _around("peak", "Load at its peak", now.peak, "req/s"),
        _around("cpu", "CPU time per request", now.cpu, "ms"),
        slider("start", "Pods start in", now.start, 0, 60, 0.5, "s"),
    ]


def _around(name: str, label: str, value: float, unit: str) -> Control:
    """To four times a value, in steps of about a tenth of it: 1, 10, 100, ..."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1) if value < 10 else 1.0
    return slider(name, label, value, step, 4 * value, step, unit)


def values(now: Knobs) -> dict[str, float]:
    """As a panel has them."""
    return asdict(now)


def from_values(found: Mapping[str, float]) -> Knobs:
    """The reverse of `values`."""
    return Knobs(**{name: float(found[name]) for name in Knobs.__slots__})


def _autoscaler(manifests: list[dict] | tuple[Mapping, ...]) -> dict:
    found = [one for one in manifests if one.get("kind") == "HorizontalPodAutoscaler"]
    if len(found) != 1:
        raise UsageError(
            f"The scenario has {len(found)} HorizontalPodAutoscalers.",
            "The sliders change one.",
            "Leave exactly one among its manifests; an example: labkit simulate --example",
        )
    return found[0]


def _cpu_target(spec: Mapping) -> dict:
    for metric in spec.get("metrics") or ():
        resource = metric.get("resource") or {}
        target = resource.get("target") or {}
        if resource.get("name") == "cpu" and "averageUtilization" in target:
            return target
    raise UsageError(
        "The scenario's HorizontalPodAutoscaler has no target for CPU utilization.",
        "That is the first of the sliders.",
        "Give it one; an example: labkit simulate --example",
    )
