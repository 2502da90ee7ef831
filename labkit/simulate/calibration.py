"""Fits the simulation's models to a recording of a live cluster.

    fitted = fit(recorder.frame(), settings)
    print(fitted)                                   what was found, and how well it is known
    found = Simulation(fitted.scenario(manifests)).run()
    print(agreement(recorder.frame(), found.frame, fitted))

What decides the replicas, and where it is read from (`estimates`):

    what a request costs       CPU of all Pods over each metrics window against what was completed
    the load                   each second as it was sent
    when metrics are taken     the moments at which they change (`rhythm`)
    when the autoscaler looks  the moments at which its status changes; a period is a little longer
                               than it was set to, for the next look is counted from the end of one
    how long a Pod takes       from the look that asked for it to the change of `replicas_ready`

The two clocks matter as much as the cost: what a look sees just after the load has changed is a
window that lies partly before.  They are facts of one run and not of the application, so a forecast
of another run takes the application and the delays from here, and another load.

A recording cannot show how long Pods take to end (a Pod that ends gets no requests and is not
counted), their memory, and the nodes: there the scenario's defaults stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from labkit.clusters.settings import number
from labkit.controllers.manager import ControllerManagerSettings
from labkit.errors import UsageError
from labkit.load.profile import Profile
from labkit.simulate import estimates
from labkit.simulate.application import Application
from labkit.simulate.estimates import Parameter
from labkit.simulate.nodes import Delay
from labkit.simulate.rhythm import Rhythm, rhythm
from labkit.simulate.scenario import Phase, Scenario

#: A live run as recorded: a staircase of load (`python -m benchmarks.calibration staircase`).
STAIRCASE = Path(__file__).with_name("staircase.csv")

_RESOLUTION = 15.0  # seconds: metrics-server's own default
_PERIOD = ControllerManagerSettings().horizontal_pod_autoscaler_sync_period
_SLOW = 0.03  # a look may take this share of a period
_STATUS = ["cpu_utilization", "replicas_desired", "hpa_current", "replicas_spec"]
_AFTER = 0.75  # of a period: what a look has written is seen by then


@dataclass(frozen=True)
class Fit:
    """A recording as a model.  `origin` is the recording's `t` at which the simulation begins."""

    application: Application
    start: Delay
    load: Profile
    replicas: int  # at the beginning
    looks: Rhythm
    measurements: Rhythm
    settings: Mapping[str, float]
    parameters: tuple[Parameter, ...]

    @property
    def origin(self) -> float:
        """Such that metrics are taken when a second of the simulation is over."""
        return origin(self.measurements)

    @property
    def phase(self) -> Phase:
        """When the first measurement and the first look are, in the simulation's seconds."""
        first = self.measurements.after(0.0) - self.origin
        return Phase(first, self.looks.after(self.origin) - self.origin)

    def scenario(self, manifests: str | Sequence[Mapping], **others: object) -> Scenario:
        """The recorded run as a scenario; `others` are a Scenario's fields.

        The manifests are YAML text, or objects, which may come from the cluster as they are:
        `fitted.scenario([lab.get("deployment/myapp"), lab.get("hpa/myapp")])`.
        """
        if isinstance(manifests, str):
            manifests = [one for one in yaml.safe_load_all(manifests) if one]
        sync = {"horizontal_pod_autoscaler_sync_period": self.looks.period}
        given = {
            "manifests": [self._begun(manifest) for manifest in manifests],
            "load": self.load,
            "seconds": self.load.duration,
            "application": self.application,
            "start": self.start,
            "settings": {**self.settings, **sync},
            "phase": self.phase,
        }
        return Scenario(**given | others)

    def _begun(self, manifest: Mapping) -> Mapping:
        """As one would apply it, but a Deployment begins with as many Pods as the recording."""
        own = {name: part for name, part in manifest.items() if name != "status"}
        meta, kept = manifest["metadata"], ("name", "namespace", "labels", "annotations")
        own["metadata"] = {name: meta[name] for name in kept if name in meta}
        if manifest["kind"] == "Deployment":
            own["spec"] = {**manifest["spec"], "replicas": self.replicas}
        return own

    def aligned(self, simulated: pd.DataFrame) -> pd.DataFrame:
        """A simulation's frame with the recording's `t`."""
        return simulated.assign(t=simulated.t + self.origin)

    def __str__(self) -> str:
        return "\n".join(map(str, self.parameters))


def origin(measurements: Rhythm) -> float:
    """The moment, less than a second before 0, from which the first measurement is whole seconds
    away.
    """
    first = measurements.after(0.0)
    return first - math.ceil(first)


def fit(frame: pd.DataFrame, settings: Mapping[str, str | float] | None = None) -> Fit:
    """Fit the models to `Recorder.frame()` of a run under load.

    `settings` are those that the cluster was brought up with, by the names that `Lab` takes
    (`metric_resolution="2s"`); what is not among them has Kubernetes' default.  Raises UsageError
    for a recording without load, metrics or autoscaler.
    """
    _check(frame)
    chosen = _simulated(settings or {})
    times, resolution = frame.t.to_numpy(), chosen.get("metric_resolution", _RESOLUTION)
    period = chosen.get("horizontal_pod_autoscaler_sync_period", _PERIOD)
    measurements = rhythm(times, frame[["cpu_milli_total"]].to_numpy(), resolution)
    looks = rhythm(times, frame[_STATUS].to_numpy(), period, _SLOW)
    load = estimates.load(frame)
    cost, idle = estimates.cost(frame, load, measurements)
    other, cores = estimates.other(frame, cost.value), estimates.cores(frame)
    median, spread = estimates.start(frame, looks)
    begin = origin(measurements)
    return Fit(
        Application(
            cpu_ms=cost.value, other_ms=other.value, cores=cores.value, idle_milli=idle.value
        ),
        Delay(median.value, spread.value),
        load.profile(begin, math.floor(times[-1] - begin)),
        int(frame.replicas_spec.iloc[0]),
        looks,
        measurements,
        chosen,
        (cost, idle, other, cores, median, spread, *_clocks(looks, measurements)),
    )


def _simulated(settings: Mapping[str, str | float]) -> dict[str, float]:
    """Those settings that a simulation takes, as numbers.  Raises UsageError."""
    taken = {"metric_resolution", *(one.name for one in fields(ControllerManagerSettings))}
    read = {
        name: number(name.replace("_", "-"), value) if isinstance(value, str) else value
        for name, value in settings.items()
    }
    return {name: value for name, value in read.items() if name in taken}


def _check(frame: pd.DataFrame) -> None:
    needed = {
        "offered": "load: pass on_second=recorder.load_second to it",
        "cpu_milli_total": "metrics: kubectl top pods",
        "replicas_desired": "autoscaler: kubectl get hpa",
    }
    for column, words in needed.items():
        if not (frame[column] > 0).any():
            raise UsageError(
                f"The recording knows of no {words.partition(':')[0]}.",
                "A model is fitted to a run under load, with metrics and an autoscaler.",
                f"Look at its{words.partition(':')[2]}",
            )


def _clocks(looks: Rhythm, measurements: Rhythm) -> tuple[Parameter, ...]:
    seen = "from when the autoscaler's status changed"
    return (
        Parameter("autoscaler looks every", looks.period, 0.0005 * looks.period, "s", seen),
        Parameter("first look at", looks.after(0.0), looks.spread, "s", seen),
        Parameter(
            "first measurement at",
            measurements.after(0.0),
            measurements.spread,
            "s",
            f"and every {measurements.period:g} s, from when the metrics changed",
        ),
    )


@dataclass(frozen=True)
class Agreement:
    """A simulation against the recording: replicas after each look of the autoscaler, and peaks."""

    looks: int
    equal: int
    peak: int
    simulated_peak: int

    @property
    def share(self) -> float:
        """Of the looks, after how many the replicas are equal (0 to 1)."""
        return self.equal / self.looks

    def __str__(self) -> str:
        return (
            f"replicas equal after {self.equal} of {self.looks} looks ({self.share:.1%}), "
            f"peak {self.peak} measured, {self.simulated_peak} simulated"
        )


def agreement(measured: pd.DataFrame, simulated: pd.DataFrame, fitted: Fit) -> Agreement:
    """Compare `replicas_spec` of a recording with that of its simulation, look by look."""
    aligned = fitted.aligned(simulated)
    end = min(measured.t.max(), aligned.t.max())
    # A look and all that it writes take a moment; samples come when they come.
    moments = fitted.looks.until(end, aligned.t.min()) + _AFTER * fitted.looks.period
    moments = moments[moments <= end]
    ours, theirs = (_at(frame, moments) for frame in (measured, aligned))
    equal = int((ours == theirs).sum())
    peaks = (int(frame.replicas_spec.max()) for frame in (measured, aligned))
    return Agreement(len(moments), equal, *peaks)


def _at(frame: pd.DataFrame, moments: np.ndarray) -> np.ndarray:
    index = np.searchsorted(frame.t.to_numpy(), moments, side="right") - 1
    return frame.replicas_spec.to_numpy()[index]
