"""One check, from the question to the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from labkit.client import ApiError
from labkit.clock import Clock
from labkit.kube.resources import Resource
from labkit.lessons import course, record
from labkit.lessons.exercise import Exercise
from labkit.lessons.outcome import Outcome
from labkit.lessons.table import Progress
from labkit.lessons.world import Read, World

#: How long (s) a check waits for what may come right by itself, and from one look to the next.
PATIENCE, _PAUSE = 10.0, 0.5


def check(
    chapter: str | None,
    name: str,
    read: Read,
    namespace: str,
    clock: Clock | None = None,
    answer: Any = None,
) -> Outcome:
    """Judge an exercise in the cluster that `read` reads, or by `answer`; keep the outcome.

    Raises UsageError for an exercise that there is not, ApiError and OSError where the cluster
    gives no answer.
    """
    clock = clock or Clock()
    place, exercise = course.find(chapter, name)
    outcome = look(exercise, _tolerant(read), namespace, clock, answer=answer)
    try:
        record.add(f"{place.name}/{exercise.name}", outcome.ok, clock.now())
    except record.Unkept as error:
        return Outcome(exercise, outcome.wrong, outcome.got, str(error))
    return outcome


def look(
    exercise: Exercise,
    read: Read,
    namespace: str,
    clock: Clock,
    pause: Callable[[float], None] = time.sleep,
    answer: Any = None,
) -> Outcome:
    """The outcome now, or as soon as what may settle has settled."""
    deadline = clock.monotonic() + PATIENCE
    while True:
        found = exercise.judge(World(read, namespace, answer))
        if found is None:
            return Outcome(exercise)
        if not found[0].settles or clock.monotonic() >= deadline:
            return Outcome(exercise, *found)
        pause(_PAUSE)


def progress() -> Progress:
    """All exercises, and which of them are solved."""
    try:
        return Progress(course.chapters(), record.read())
    except record.Unkept as error:
        return Progress(course.chapters(), {}, str(error))


def _tolerant(read: Read) -> Read:
    """`read`, for which a resource that is not served (metrics, say) has no objects."""

    def reading(resource: Resource, namespace: str | None) -> list[dict]:
        try:
            return read(resource, namespace)
        except ApiError as error:
            if error.code in (404, 503):
                return []
            raise

    return reading
