"""Every chapter alone, in any order, and twice in a row.

`make test` runs the English chapters in their order, on one cluster.  What is here takes longer.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from labkit import lessons
from tests.conftest import tool
from tests.notebooks import course, runs

CHAPTERS = course.chapters()

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _needs_kubectl():
    tool("kubectl")


@pytest.mark.timeout(runs.CHAPTER_SECONDS)
@pytest.mark.parametrize("chapter", CHAPTERS, ids=str)
def test_a_chapter_passes_alone_and_solves_its_exercises(
    labkit_home: Path, chapter: course.Chapter
):
    runs.run([chapter])
    if any("lab.check(" in cell.source for cell in chapter.code):
        rows = [row for row in lessons.progress().all if row.chapter == chapter.path.stem]
        assert [row.exercise for row in rows if not row.entry.solved] == []


@pytest.mark.timeout(2 * runs.CHAPTER_SECONDS * len(CHAPTERS))
def test_chapters_pass_in_any_order_and_twice_in_a_row(labkit_home: Path, capsys):
    seed = int(os.environ.get("LABKIT_TEST_SEED") or random.randrange(10_000))
    order = random.Random(seed).sample(CHAPTERS, len(CHAPTERS))
    with capsys.disabled():
        print(f"\nLABKIT_TEST_SEED={seed}: {' '.join(chapter.number for chapter in order)}")
    for chapter in order:
        for _ in range(2):
            runs.run([chapter])
