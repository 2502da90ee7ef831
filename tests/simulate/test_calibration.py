"""Does the simulation tell the truth?  Live runs as recorded, the models fitted, and replayed.

The recordings, in `data` and `STAIRCASE`, are of `python -m benchmarks.calibration`; two are of the
same load.
"""

import dataclasses
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.calibration import RUNS, SETTINGS, manifests
from labkit.errors import UsageError
from labkit.load import step
from labkit.simulate import Scenario, Simulation
from labkit.simulate.application import Application
from labkit.simulate.calibration import STAIRCASE, agreement, fit
from labkit.simulate.nodes import Delay
from labkit.simulate.scenario import Phase

NAMES = ["lesson", "staircase", "staircase-again"]


def run_of(name):
    return RUNS[name.removesuffix("-again")]


@cache
def recording(name):
    kept = Path(__file__).parent / "data" / f"{name}.csv"
    return pd.read_csv(STAIRCASE if name == "staircase" else kept)


@cache
def fitted(name):
    return fit(recording(name), SETTINGS)


def replayed(name, model):
    return Simulation(model.scenario(manifests(run_of(name)))).run().frame


@pytest.mark.parametrize("name", NAMES)
def test_a_fitted_simulation_scales_as_the_live_cluster_did(name):
    found = agreement(recording(name), replayed(name, fitted(name)), fitted(name))
    assert found.share >= 0.9
    assert found.looks > 100
    assert found.peak == found.simulated_peak


def test_it_knows_why_the_same_load_led_to_5_pods_once_and_to_6_another_time():
    peaks = [int(recording(name).replicas_spec.max()) for name in NAMES[1:]]
    simulated = [int(replayed(name, fitted(name)).replicas_spec.max()) for name in NAMES[1:]]
    assert simulated == peaks == [5, 6]


@pytest.mark.parametrize(("known", "other"), [NAMES[:2], NAMES[1::-1]])
def test_what_was_fitted_to_one_run_foretells_another_with_another_load(known, other):
    model = dataclasses.replace(
        fitted(other), application=fitted(known).application, start=fitted(known).start
    )
    found = agreement(recording(other), replayed(other, model), model)
    assert found.share >= 0.9
    assert found.peak == found.simulated_peak


def test_the_same_application_is_found_under_two_loads():
    one, two = (fitted(name).application for name in NAMES[:2])
    assert one.cpu_ms == pytest.approx(two.cpu_ms, rel=0.03)
    assert one.cpu_ms == pytest.approx(20.5, abs=0.7)  # REQUEST_CPU_MS and the HTTP server's own
    assert one.other_ms == pytest.approx(two.other_ms, abs=2)


def test_a_simulation_can_be_replayed_from_its_own_recording():
    load = step(1, 20) + step(14, 60) + step(5, 60) + step(1, 30)
    scenario = Scenario(
        manifests(9),
        load,
        load.duration,
        application=Application(cpu_ms=17, other_ms=6, idle_milli=4),
        start=Delay(3.0),
        settings={name: float(value.removesuffix("s")) for name, value in SETTINGS.items()},
        phase=Phase(metrics=0.7, autoscaler=1.2),
    )
    measured = Simulation(scenario).run().frame
    model = fit(measured, SETTINGS)
    assert model.application.cpu_ms == pytest.approx(17, abs=0.3)
    assert model.application.idle_milli == pytest.approx(4, abs=2)
    assert model.application.other_ms == pytest.approx(6, abs=1)
    assert model.start.median == pytest.approx(3, abs=1)
    again = Simulation(model.scenario(manifests(9))).run().frame
    found = agreement(measured, again, model)
    assert found.share >= 0.9
    assert found.peak == found.simulated_peak


@pytest.mark.parametrize("resolution", [2.0, 2.5, 7.3])
@pytest.mark.parametrize("first", [1.0, 1.4])
def test_pods_are_measured_the_same_wherever_in_a_second_that_happens(resolution, first):
    load = step(8, 60)
    settings = {"metric_resolution": resolution}
    scenario = Scenario(
        manifests(1), load, 60, settings=settings, phase=Phase(metrics=first, autoscaler=15)
    )
    usage = Simulation(scenario).run().frame.set_index("t").cpu_milli_total[20:]
    assert usage.tolist() == pytest.approx([8 * 5.0 + 1.0] * len(usage), rel=1e-3)


def test_what_was_fitted_says_how_well_it_is_known():
    told = str(fitted("staircase"))
    assert "CPU of a request" in told
    assert "±" in told
    assert "not seen: no Pod used more than" in told


def test_a_recording_without_load_says_what_is_missing():
    quiet = recording("lesson").assign(offered=float("nan"))
    with pytest.raises(UsageError, match="The recording knows of no load"):
        fit(quiet)


def test_objects_can_be_given_as_they_are_in_the_cluster():
    theirs = {"uid": "1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}
    live = [
        {**one, "metadata": {**one["metadata"], **theirs}, "status": {"replicas": 6}}
        for one in manifests(RUNS["staircase"])
    ]
    scenario = fitted("staircase").scenario(live)
    assert scenario.manifests[0]["spec"]["replicas"] == 1
    assert [set(one["metadata"]) for one in scenario.manifests] == [{"name"}] * 3
    assert not any("status" in one for one in scenario.manifests)


def test_a_recording_that_is_too_short_is_refused():
    short = recording("lesson").query("t < 12")
    with pytest.raises(UsageError, match="windows of metrics"):
        fit(short, SETTINGS)


def test_what_a_pod_can_use_is_seen_when_it_has_more_to_do():
    load = step(1, 20) + step(40, 60) + step(1, 20)  # 17 ms each: more than half a core
    scenario = Scenario(
        manifests(1),
        load,
        load.duration,
        application=Application(cpu_ms=17),
        settings={"metric_resolution": 2.0},
        phase=Phase(metrics=0.7, autoscaler=1.2),
    )
    model = fit(Simulation(scenario).run().frame, SETTINGS)
    assert model.application.cores == pytest.approx(0.5, abs=0.01)  # the limit of the manifest
    assert model.application.cpu_ms == pytest.approx(17, abs=0.5)
