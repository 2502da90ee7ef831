"""Why the autoscaler did what it did, look by look."""

import dataclasses

import pytest

from labkit.errors import UsageError
from labkit.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from labkit.simulate import Scenario, Simulation
from labkit.simulate.cli import LESSON
from labkit.simulate.decisions import Look, telling


@pytest.fixture(scope="module")
def lesson():
    return Scenario.read(LESSON)


@pytest.fixture(scope="module")
def decisions(lesson):
    with Simulation(lesson) as simulation:
        simulation.advance(1800)
        return simulation.recording().decisions


def test_there_is_a_row_for_every_look(decisions):
    assert list(decisions.columns) == list(Look._fields)
    assert set(decisions.t.diff().dropna()) == {15.0}
    assert set(decisions.hpa) == {"myapp"}


def test_the_look_that_sees_the_load_tells_how_it_comes_to_its_number(decisions):
    (out, back) = decisions[decisions.rescale].itertuples()
    assert (out.current, out.desired) == (1, 3)
    assert out.because == "4 replicas = ceil(1 × 106 % / 30 %); limited to maxReplicas 3"
    assert (back.current, back.desired) == (3, 1)
    assert back.because == "1 replica = ceil(3 × 4 % / 30 %)"


def test_a_look_that_waits_tells_for_what(decisions):
    low = decisions[(decisions.t > 1400) & ~decisions.rescale].iloc[0]
    assert low.because.startswith("1 replica = ceil(3 × 4 % / 30 %); stabilized at ")
    assert "the most recommended in the last 300 s" in low.because


def test_of_looks_alike_the_first_is_told(decisions):
    told = list(telling(map(Look._make, decisions.itertuples(index=False))))
    assert [one.t for one in told] == sorted(one.t for one in told)
    assert len(told) < 10 < len(decisions)
    assert sum(one.rescale for one in told) == 2
    assert str(told[1]).startswith("0:02:13  myapp  1 → 3  4 replicas = ceil(1 × 106 % / 30 %);")


def test_a_simulation_can_be_played_from_look_to_look(lesson, decisions):
    with Simulation(lesson) as simulation:
        found = [simulation.step() for _ in range(3)]
        assert found == list(map(Look._make, decisions.head(3).itertuples(index=False)))
        assert simulation.seconds == found[-1].t
        simulation.advance(100)
        # What was played over is past: the next step leads to a look that comes after it.
        assert simulation.step().t > 100 + found[-1].t


def test_the_last_decision_stands_in_the_api(lesson):
    with Simulation(lesson) as simulation:
        look = simulation.step()
        client = simulation._cluster.client
        hpa = simulation._loop.run(client.get(HORIZONTAL_POD_AUTOSCALERS, "myapp", "default"))
    assert hpa["metadata"]["annotations"]["autoscaling.labkit/decision"] == look.because


def test_without_an_autoscaler_there_is_no_next_look(lesson):
    alone = dataclasses.replace(lesson, manifests=lesson.manifests[:1])
    with Simulation(alone) as simulation, pytest.raises(UsageError):
        simulation.step()
