"""The course: every module of `chapters` that declares a `CHAPTER`, by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from labkit.errors import UsageError
from labkit.lessons import chapters as package
from labkit.lessons.exercise import Chapter, Exercise


@cache
def chapters() -> tuple[Chapter, ...]:
    """All chapters that have exercises, in the order of the course."""
    names = (f"{package.__name__}.{module.name}" for module in iter_modules(package.__path__))
    found = (getattr(import_module(name), "CHAPTER", None) for name in names)
    return tuple(sorted((one for one in found if one), key=lambda chapter: chapter.name))


def find(chapter: str | None, exercise: str) -> tuple[Chapter, Exercise]:
    """The exercise `replicas` of `chapter`, or `04-deploy/replicas`.  Raises UsageError."""
    before, slash, name = exercise.rpartition("/")
    chosen = before if slash else chapter
    if chosen is None:
        raise UsageError(
            f"Which chapter's exercise is {exercise!r}?",
            "This lab was made without a chapter.",
            f'Try: lab.check("{_first()}")',
        )
    for one in chapters():
        if one.name == chosen:
            return one, _exercise(one, name)
    raise UsageError(
        f"There is no chapter {chosen!r} with exercises.",
        f"There is {', '.join(one.name for one in chapters())}.",
        f'Try: lab.check("{_first()}")',
    )


def _exercise(chapter: Chapter, name: str) -> Exercise:
    for one in chapter.exercises:
        if one.name == name:
            return one
    raise UsageError(
        f"The chapter {chapter.name} has no exercise {name!r}.",
        f"It has {', '.join(one.name for one in chapter.exercises)}.",
        f'Try: lab.check("{chapter.exercises[0].name}")',
    )


def _first() -> str:
    return f"{chapters()[0].name}/{chapters()[0].exercises[0].name}"
