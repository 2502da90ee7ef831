"""From a question to its answer."""

from __future__ import annotations

import pytest

from labkit import lessons
from labkit.client.errors import status_error
from labkit.clock import Clock
from labkit.errors import UsageError
from labkit.lessons.checking import PATIENCE, look
from labkit.lessons.exercise import Exercise, Wrong
from tests.lessons.objects import pod

FIRST_POD = lessons.find("00-start-here", "first-pod")[1]


class Fast(Clock):
    """A clock that a pause moves on."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return self.passed

    def pause(self, seconds: float) -> None:
        self.passed += seconds


def test_what_may_come_right_by_itself_is_waited_for():
    clock = Fast()

    def read(resource, namespace):
        return [pod("mine", ready=clock.passed > 3)]

    assert look(FIRST_POD, read, "default", clock, clock.pause).ok
    assert 3 < clock.passed < 5


def test_waiting_has_an_end():
    clock = Fast()
    outcome = look(FIRST_POD, lambda *_: [pod("mine", ready=False)], "default", clock, clock.pause)
    assert outcome.wrong.name == "not-ready"
    assert clock.passed == pytest.approx(PATIENCE, abs=1)


def test_what_is_wrong_for_good_is_said_at_once():
    clock = Fast()
    assert not look(FIRST_POD, lambda *_: [], "default", clock, clock.pause)
    assert clock.passed == 0


def test_an_answer_that_is_given_is_judged_in_place_of_the_cluster():
    asked = Wrong("other", lambda world: None if world.answer == 6 else f"{world.answer}", *"abc")
    exercise = Exercise("sum", "Three and three", (asked,), right="Six.")
    clock = Fast()
    assert look(exercise, lambda *_: [], "default", clock, clock.pause, answer=6)
    assert look(exercise, lambda *_: [], "default", clock, clock.pause, answer=7).got == "7"
    assert not look(exercise, lambda *_: [], "default", clock, clock.pause)


def test_a_resource_that_is_not_served_has_no_objects(labkit_home):
    def read(resource, namespace):
        raise status_error(503, "ServiceUnavailable", "no metrics")

    assert lessons.check("00-start-here", "first-pod", read, "default").wrong.name == "no-pod"


@pytest.mark.parametrize(
    ("chapter", "name", "said"),
    [
        (None, "replicas", "made without a chapter"),
        ("04-deploy", "replica", "It has replicas, service, image"),
        ("4-deploy", "replicas", "There is 00-start-here, 01-fleet"),
        ("04-deploy", "4-deploy/replicas", "no chapter '4-deploy'"),
    ],
)
def test_an_exercise_that_there_is_not_is_refused(chapter, name, said):
    with pytest.raises(UsageError, match=said):
        lessons.find(chapter, name)


def test_an_exercise_of_another_chapter_is_named_with_it():
    assert lessons.find("00-start-here", "04-deploy/image")[0].name == "04-deploy"


def test_an_outcome_shows_the_same_as_text_and_as_html():
    wrong, got = FIRST_POD.judge(lessons.World.of([pod("<b>")]))
    bundle = lessons.Outcome(FIRST_POD, wrong, got)._repr_mimebundle_()
    text, markup = bundle["text/plain"], bundle["text/html"]
    assert text.startswith("✗ The Pod mine runs the to-do app\n  expected  a Pod named mine\n")
    assert "<b>" in text
    assert "&lt;b&gt;" in markup
    assert "<code>kubectl get pods</code>" in markup
    assert "<code>kubectl run NAME --image=IMAGE</code>" in markup
