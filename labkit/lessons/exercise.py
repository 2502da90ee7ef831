"""An exercise as a value.  Pure.

An author declares what the learner is to bring about by its opposite: the ways in which a cluster
can fail to be so, in the order in which one would look for them.  Each is a `Wrong`: how to see
it, what was expected, a hint, and a command that shows it.  A cluster in which none of them is
found is right.  So every wrong answer has its own hint by construction, and a table of worlds tests
them all.

    Exercise(
        "replicas",
        "Three Pods of myapp are ready",
        wrong=(
            Wrong(
                "no-deployment",
                lambda world: None if world.get("deployment/myapp") else world.names("deployments"),
                expected="a Deployment named myapp",
                hint="Apply the manifest of this chapter first, and mind the name.",
                look="kubectl get deployments",
            ),
            ...
        ),
        right="Three Pods serve, and one of them may fail.",
    )
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labkit.lessons.world import World


@dataclass(frozen=True)
class Wrong:
    """One way to be wrong.

    name      short and unique in its exercise: `no-deployment`
    got       what is there instead of what was expected, as text, if the world is wrong in this
              way; None if it is not.  It may rely on all `Wrong`s before it not being so.
    expected  what should be there
    hint      the thought that leads on, not the solution
    look      the command that shows it
    settles   whether it may come right by itself in a moment: a check waits for it
    """

    name: str
    got: Callable[[World], str | None]
    expected: str
    hint: str
    look: str
    settles: bool = False


@dataclass(frozen=True)
class Exercise:
    """What is to be brought about: `title` says it in a sentence, `right` what it means then."""

    name: str
    title: str
    wrong: tuple[Wrong, ...]
    right: str

    def judge(self, world: World) -> tuple[Wrong, str] | None:
        """The first way in which `world` is wrong, and what is there instead; None if right."""
        for wrong in self.wrong:
            if (got := wrong.got(world)) is not None:
                return wrong, got
        return None


@dataclass(frozen=True)
class Chapter:
    """The exercises of a notebook: `name` is its file's, `title` its heading's."""

    name: str
    title: str
    exercises: tuple[Exercise, ...]
