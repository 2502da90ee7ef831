"""Exercises: what a learner is asked to bring about, and how the cluster shows that it is so.

Reading order:

- `exercise`: an exercise as a value: a title, and the wrong answers that its author thought of,
  each with its own hint.  Pure.
- `world`: what a check may look at: objects of the API, and an answer that was given to it.
- `outcome`: what a check says, as text and as HTML.
- `chapters`: the exercises of each chapter, one module for each.
- `course`: finds them.
- `record`, `table`: what was solved, kept across notebooks, and the table of it.
- `checking`: one check, from the question to the record.

A check reads the cluster through the API alone, so it works with any cluster, and whatever way the
learner took there: kubectl, Python or a file.
"""

from labkit.lessons.checking import check, progress
from labkit.lessons.course import chapters, find
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.outcome import Outcome
from labkit.lessons.table import Progress
from labkit.lessons.world import World

__all__ = [
    "Chapter",
    "Exercise",
    "Outcome",
    "Progress",
    "World",
    "Wrong",
    "chapters",
    "check",
    "find",
    "progress",
]
