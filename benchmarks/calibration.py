"""Does the simulation tell the truth?  Live runs of the lesson, the model fitted to each, compared.

    python -m benchmarks.calibration                       every run of `RUNS`, four minutes each
    python -m benchmarks.calibration staircase --save DIR  this one, and its recording as CSV
    python -m benchmarks.calibration --from DIR            recordings that were saved
    python -m benchmarks.calibration lesson --figure PNG   the last run, drawn over its simulation

The clusters are the lesson's: its manifest, its short periods, a load from outside.  For each run
the agreement of its own fit is printed, and that of a forecast with the application of the first
run, from the planned load alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml

from labkit import load
from labkit.load import Profile, ramp, step
from labkit.observe import compare
from labkit.simulate import Simulation
from labkit.simulate.calibration import Fit, agreement, fit
from labkit.simulate.scenario import Scenario

SETTINGS = {
    "horizontal_pod_autoscaler_sync_period": "2s",
    "horizontal_pod_autoscaler_downscale_stabilization": "15s",
    "metric_resolution": "2s",
}
_APP = Path(__file__).with_name("calibration.yaml")
_INTERVAL = 0.9  # seconds: no divisor of the periods, so that phases can be told (`rhythm`)
_SETTLED = 12.0  # seconds until the first metrics are those of a Pod that has started
_LEAD = 3.0  # seconds of recording before the load


class Run(NamedTuple):
    """A load, and how many Pods there may be; `seed` makes its requests come at random moments."""

    profile: Profile
    most: int
    seed: int | None = None


RUNS = {
    "lesson": Run(step(1, 20) + step(25, 60) + step(1, 40) + step(5, 60) + step(1, 40), 3),
    "staircase": Run(
        step(1, 20) + step(4, 40) + step(9.8, 40) + step(15.3, 40) + step(7, 40) + step(1, 40), 9
    ),
    "waves": Run(
        step(1, 20) + ramp(1, 16, 60) + step(16, 30) + ramp(16, 1, 60) + step(1, 30), 9, seed=3
    ),
}


def manifests(run: Run | int) -> list[dict]:
    """The lesson's objects, with this many Pods at most."""
    text = _APP.read_text().replace("MAX", str(run if isinstance(run, int) else run.most))
    return list(yaml.safe_load_all(text))


def record(run: Run) -> pd.DataFrame:
    """A live run in a cluster of its own."""
    import labkit

    with tempfile.TemporaryDirectory(prefix="labkit-") as home:
        os.environ["LABKIT_HOME"] = home
        lab = labkit.Lab(name="calibration", **SETTINGS)
        try:
            lab.apply(yaml.safe_dump_all(manifests(run)))
            lab.wait("deployment/myapp", "Available")
            lab.wait("hpa/myapp", "ScalingActive")
            time.sleep(_SETTLED)
            return _recorded(lab, run)
        finally:
            labkit.clusters.manage.down("calibration")


def _recorded(lab, run: Run) -> pd.DataFrame:
    from labkit import Recorder

    url = lab.url("myapp") + "api/rule"
    with Recorder(lab.api, "myapp", interval=_INTERVAL) as recorder:
        time.sleep(_LEAD)
        with load.start(url, run.profile, seed=run.seed, on_second=recorder.load_second) as sent:
            sent.result()
        time.sleep(_INTERVAL)
    return recorder.frame().round(3)


def replay(run: Run, fitted: Fit) -> pd.DataFrame:
    """The run again, in virtual time: its load as it was recorded, from where its clocks were."""
    return Simulation(fitted.scenario(manifests(run))).run().frame


def forecast(run: Run, known: Fit, fitted: Fit) -> pd.DataFrame:
    """The run from what is known before it: another run's application, and the planned load."""
    begins = next(second for second, piece in enumerate(fitted.load.pieces) if piece.start > 0)
    whole = step(0, begins) + run.profile if begins else run.profile
    scenario = Scenario(
        manifests(run),
        whole,
        fitted.load.duration,
        noisy=run.seed is not None,
        application=known.application,
        start=known.start,
        settings=known.settings,
    )
    return Simulation(scenario).run().frame


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    parser.add_argument("runs", nargs="*", default=list(RUNS), help=f"of {', '.join(RUNS)}")
    parser.add_argument("--save", type=Path, metavar="DIR", help="keep the recordings here")
    parser.add_argument("--from", type=Path, metavar="DIR", dest="kept", help="take them from here")
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw the last run")
    given = parser.parse_args()
    known = None
    for name in given.runs:
        run = RUNS[name]
        measured = pd.read_csv(given.kept / f"{name}.csv") if given.kept else record(run)
        if given.save:
            measured.to_csv(given.save / f"{name}.csv", index=False)
        fitted = fit(measured, SETTINGS)
        simulated = replay(run, fitted)
        print(f"\n{name}: {run.profile}\n{fitted}")
        found = agreement(measured, simulated, fitted)
        print(f"its own fit: {found}")
        if known:
            foretold = forecast(run, known, fitted)
            print(f"forecast:    {agreement(measured, foretold, fitted)}")
        known = known or fitted
        if given.figure and name == given.runs[-1]:
            both = {"live": measured, "simulated": fitted.aligned(simulated)}
            given.figure.write_bytes(compare(both, title=f"{name}: {found}").png(2))


if __name__ == "__main__":
    main()
