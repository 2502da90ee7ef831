import dataclasses

import pytest

from labkit.errors import UsageError
from labkit.simulate import Scenario
from labkit.simulate.cli import LESSON
from labkit.widgets import knobs
from labkit.widgets.panel import slider

SCENARIO = Scenario.read(LESSON)
AS_IT_IS = knobs.knobs(SCENARIO)


def test_the_sliders_start_where_the_scenario_is():
    assert dataclasses.astuple(AS_IT_IS) == (30.0, 1.0, 3.0, 15.0, 300.0, 12.0, 20.0, 2.5)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(knobs.Knobs)])
def test_each_slider_changes_what_it_says_and_nothing_else(field):
    wanted = dataclasses.replace(AS_IT_IS, **{field: getattr(AS_IT_IS, field) + 2})
    assert knobs.knobs(knobs.turned(SCENARIO, wanted)) == wanted
    assert knobs.knobs(SCENARIO) == AS_IT_IS, "the scenario itself stays"


def test_a_maximum_below_the_minimum_becomes_the_minimum():
    wanted = dataclasses.replace(AS_IT_IS, minimum=4.0, maximum=2.0)
    assert knobs.knobs(knobs.turned(SCENARIO, wanted)).maximum == 4.0


def test_the_load_keeps_its_shape():
    scaled = knobs.scaled(SCENARIO.load, 24)
    assert scaled.duration == SCENARIO.load.duration
    assert [scaled.rate(t) for t in (0, 500, 2000)] == [2.0, 24.0, 2.0]


def test_every_value_is_a_step_of_its_slider():
    for control in knobs.controls(AS_IT_IS):
        value = getattr(AS_IT_IS, control["name"])
        steps = (value - control["min"]) / control["step"]
        assert control["min"] <= value <= control["max"]
        assert steps == pytest.approx(round(steps)), control["label"]


@pytest.mark.parametrize(
    ("value", "step"), [(100, 50), (130, 10), (131, 1), (0.25, 0.01), (2.5, 0.5)]
)
def test_a_step_is_as_large_as_the_value_allows(value, step):
    assert slider("x", "x", value, 0, 1000, 50)["step"] == step


def test_without_an_autoscaler_there_is_nothing_to_turn():
    without = dataclasses.replace(SCENARIO, manifests=SCENARIO.manifests[:1])
    with pytest.raises(UsageError, match="0 HorizontalPodAutoscalers"):
        knobs.knobs(without)
