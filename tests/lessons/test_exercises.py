"""Every wrong answer that an author thought of gives its own hint.

The cases of a chapter are a module in `cases`: for each exercise the objects of a cluster that is
right, and for each `Wrong` those of a cluster that is wrong in just this way; or a `World`, where
it is an answer that is judged.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from labkit import lessons
from tests.notebooks import course

MODULES = sorted(path.stem for path in (Path(__file__).parent / "cases").glob("[a-z]*.py"))
CASES = {
    (module.CHAPTER, exercise, answer): objects
    for module in (import_module(f"tests.lessons.cases.{name}") for name in MODULES)
    for exercise, answers in module.CASES.items()
    for answer, objects in answers.items()
}
EXERCISES = [(chapter, one) for chapter in lessons.chapters() for one in chapter.exercises]
each_exercise = pytest.mark.parametrize(
    ("chapter", "exercise"),
    EXERCISES,
    ids=[f"{chapter.name}/{one.name}" for chapter, one in EXERCISES],
)


@pytest.mark.parametrize("case", CASES, ids="/".join)
def test_each_answer_is_told_apart(case: tuple[str, str, str]):
    chapter, name, answer = case
    _, exercise = lessons.find(chapter, name)
    world = CASES[case]
    found = exercise.judge(world if isinstance(world, lessons.World) else lessons.World.of(world))
    assert (found[0].name if found else "right") == answer
    if found:
        wrong, got = found
        shown = repr(lessons.Outcome(exercise, wrong, got))
        for text in (wrong.expected, got, wrong.hint, wrong.look):
            assert text.split()[0] in shown


@each_exercise
def test_every_answer_has_a_case(chapter: lessons.Chapter, exercise: lessons.Exercise):
    answers = {
        answer for place, name, answer in CASES if (place, name) == (chapter.name, exercise.name)
    }
    assert answers == {"right", *(wrong.name for wrong in exercise.wrong)}


@each_exercise
def test_at_least_three_wrong_answers_have_hints_of_their_own(
    chapter: lessons.Chapter, exercise: lessons.Exercise
):
    hints = [wrong.hint for wrong in exercise.wrong]
    assert len(hints) >= 3
    assert len(set(hints)) == len(hints)
    assert len({wrong.name for wrong in exercise.wrong}) == len(hints)


@each_exercise
def test_names_can_be_typed_and_texts_are_sentences(
    chapter: lessons.Chapter, exercise: lessons.Exercise
):
    for name in (exercise.name, *(wrong.name for wrong in exercise.wrong)):
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert exercise.title[0].isupper()
    assert not exercise.title.endswith(".")
    for text in (exercise.right, *(wrong.hint for wrong in exercise.wrong)):
        assert text.rstrip("`")[-1] in ".?"
        assert text.count("`") % 2 == 0


@pytest.mark.parametrize("notebook", course.chapters(), ids=str)
def test_a_notebook_with_checks_asks_for_each_of_its_exercises(notebook: course.Chapter):
    asked = {
        name
        for cell in notebook.code
        for name in re.findall(r"""lab\.check\(["']([^"']+)["'][,)]""", cell.source)
    }
    known = {one.name for place, one in EXERCISES if place.name == notebook.path.stem}
    assert asked in (known, set())


def test_exercises_of_a_chapter_have_different_names():
    for chapter in lessons.chapters():
        names = [one.name for one in chapter.exercises]
        assert len(set(names)) == len(names)
