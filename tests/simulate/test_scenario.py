"""Scenarios as they are written, and what is said about slips in them."""

import dataclasses

import pytest
import yaml

from labkit.errors import UsageError
from labkit.load import sine, step, trace
from labkit.simulate import Scenario, Simulation
from labkit.simulate.cli import LESSON
from labkit.simulate.nodes import Delay
from labkit.simulate.scenario import Fault, Noise

GIVEN = yaml.safe_load(LESSON.read_text())


def read(**change):
    return Scenario.read(GIVEN | change)


def test_every_shape_of_load_can_be_written(tmp_path):
    (tmp_path / "day.csv").write_text("t,rate\n0,5\n60,50\n")
    (tmp_path / "scenario.yaml").write_text(
        yaml.safe_dump(
            GIVEN
            | {
                "load": [
                    {"rate": 5, "seconds": 10},
                    {"from": 5, "to": 10, "seconds": 10},
                    {"base": 5, "peak": 50, "at": 2, "width": 3, "seconds": 10},
                    {"low": 5, "high": 50, "period": 60, "seconds": 120},
                    {"trace": "day.csv"},
                ]
            }
        )
    )
    # A trace is looked for beside the scenario, not where one happens to be.
    load = Scenario.read(tmp_path / "scenario.yaml").load
    assert load.duration == 10 + 10 + 10 + 120 + 60
    assert load.rate(50 + 10) == sine(5, 50, 60, 120).rate(30)
    assert load.rate(150 + 30) == trace(tmp_path / "day.csv").rate(30)


def test_what_is_easy_to_write_is_understood():
    scenario = read(nodes={"cpu": 2}, start=3, noise=0.2)
    assert scenario.nodes.cpu == "2"
    assert scenario.start == Delay(3)
    assert scenario.noise == Noise(0.2)


def test_the_rows_offer_what_the_profile_says():
    scenario = read(load=[{"from": 0, "to": 20, "seconds": 40}, {"rate": 2.5, "seconds": 20}])
    with Simulation(scenario) as simulation:
        simulation.advance(70)
        offered = simulation.recording().frame.offered
    assert offered.sum() == 450
    assert offered[:40].sum() == 400
    assert offered[40:60].rolling(2).sum().dropna().eq(5).all()
    assert offered[60:].sum() == 0


def test_noise_comes_from_the_seed():
    def offered(scenario):
        with Simulation(scenario) as simulation:
            simulation.advance(60)
            return simulation.recording().frame.offered.tolist()

    noisy = dataclasses.replace(Scenario.read(GIVEN), load=step(100, 600), noise=Noise(0.3, 5))
    assert offered(noisy) == offered(noisy) != offered(noisy.with_seed(2))
    assert len(set(offered(noisy))) > 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lod": []}, "There is no 'lod' in scenario."),
        ({"nodes": {"cont": 3}}, "There is no 'cont' in nodes."),
        ({"nodes": [3]}, "The nodes is [3]."),
        ({"nodes": {"count": -1}}, "The count in nodes is -1."),
        ({"nodes": {"count": 2.5}}, "The count in nodes is 2.5. It must be a whole number."),
        ({"nodes": {"memory": "4 Gi"}}, "The amount in nodes is '4 Gi'."),
        ({"seed": "one"}, "The seed in scenario is 'one'."),
        ({"seed": True}, "The seed in scenario is True."),
        ({"minutes": "ten"}, "The minutes is 'ten'."),
        ({"minutes": 0}, "The minutes is 0."),
        ({"noisy": "yes please"}, "The noisy in scenario is 'yes please'."),
        ({"noise": "much"}, "A noise of 'much' cannot be made."),
        ({"application": {"cpu_ms": 0}}, "The cpu_ms in application is 0."),
        ({"application": {"queue": "long"}}, "The queue in application is 'long'."),
        ({"start": "soon"}, "The median in start is 'soon'."),
        ({"start": {"median": 2, "spread": 0.5}}, "The spread in start is 0.5."),
        ({"start": {"spread": 1.5}}, "There is no median in start."),
        ({"settings": {"sync": 3}}, "There is no 'sync' in settings."),
        (
            {"settings": {"horizontal_pod_autoscaler_sync_period": 0}},
            "The horizontal_pod_autoscaler_sync_period in settings is 0.",
        ),
        ({"load": []}, "The load is []. It needs a piece at least."),
        ({"load": {"rate": 3}}, "The load is {'rate': 3}. It must be a list."),
        ({"load": [{"rate": 3}]}, "A piece of load cannot have rate."),
        ({"load": [{"rate": "x", "seconds": 5}]}, "A rate of 'x' requests per second"),
        ({"load": [{"trace": "nowhere.csv"}]}, "The trace 'nowhere.csv' cannot be read"),
        ({"faults": {"at": 1}}, "The faults is {'at': 1}. It must be a list."),
        ({"faults": [{"at": 1, "kind": "earthquake"}]}, "There is no fault 'earthquake'."),
        ({"faults": [{"kind": "node-lost"}]}, "There is no at in a fault."),
        ({"faults": [{"at": -1, "kind": "node-lost"}]}, "The at in a fault is -1."),
        ({"faults": [{"at": 1, "kind": "metrics-missing"}]}, "metrics-missing needs seconds."),
        (
            {"faults": [{"at": 1, "kind": "image-pull-slow", "seconds": 9}]},
            "image-pull-slow needs factor.",
        ),
        (
            {"faults": [{"at": 1, "kind": "node-lost", "seconds": 9}]},
            "node-lost has no seconds.",
        ),
        (
            {"faults": [{"at": 3600, "kind": "node-lost"}]},
            "node-lost at 3600 s never happens. The scenario ends after 3600 s.",
        ),
        ({"manifests": 5}, "The manifests is 5. It must be a list."),
        ({"manifests": ["web"]}, "The manifest of the scenario is 'web'."),
        ({"manifests": "kind: [\n"}, "The manifests cannot be read at line 2."),
        (
            {"manifests": [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}}]},
            "The name of a manifest of the scenario is None.",
        ),
    ],
)
def test_a_slip_in_a_scenario_is_named(change, words):
    with pytest.raises(UsageError) as caught:
        read(**change)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seconds": -5}, "The seconds in scenario is -5."),
        ({"load": 50}, "The load is 50."),
        ({"faults": [Fault(at=9000, kind="node-lost")]}, "node-lost at 9000 s never happens."),
        ({"start": Delay(-1.0)}, "The median in start is -1.0."),
    ],
)
def test_a_scenario_made_in_python_is_looked_at_as_closely(change, words):
    with pytest.raises(UsageError) as caught:
        dataclasses.replace(Scenario.read(GIVEN), **change)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [("[1, 2", "The scenario cannot be read"), ("just words", "This is no scenario.")],
)
def test_what_is_no_scenario_is_refused(text, words):
    with pytest.raises(UsageError) as caught:
        Scenario.read(text)
    assert str(caught.value).startswith(words)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        Scenario.read(tmp_path / "scenario.yaml")
