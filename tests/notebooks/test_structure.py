"""How a chapter is built: what opens and closes it, short cells, exercises."""

from __future__ import annotations

import re
import statistics
from itertools import pairwise

import pytest

from tests.notebooks import course

CHAPTERS = course.chapters()
CLOSING = ["Key points", "In practice", "Further reading"]
GENERATED = "[bcdfghjklmnpqrstvwxz2456789]"  # Kubernetes' letters for names
NEVER = {
    r"\bsleep\(|^!sleep": "wait for a condition (lab.wait): a sleep is too short on one machine, "
    "too long on another",
    r";\s*$": "take off the `;`: JupyterLab hides the output for it, and nbval does not",
    rf"\w-(?=[a-z]*\d){GENERATED}{{5}}\b": "do not name a Pod whose name was generated: it has "
    "another one the next time",
}

pytestmark = pytest.mark.parametrize("chapter", CHAPTERS, ids=str)


def test_a_chapter_opens_with_what_one_does_learns_needs_and_how_long_it_takes(chapter):
    first = chapter.cells[0]
    assert first.kind == "markdown"
    level, title = course.headings(first.source)[0]
    assert level == 1
    assert title.startswith(f"{chapter.number} · ")
    said = course.bold(first.source)
    assert [label for label in said if label.startswith(("You", "Time"))] == [
        "You will", "You will learn", "You need", "Time:",
    ]  # fmt: skip
    assert re.search(r"\*\*Time:\*\* about \d+ minutes", first.source)


def test_a_chapter_closes_with_key_points_practice_and_further_reading(chapter):
    last = chapter.cells[-1]
    assert last.kind == "markdown"
    titles = [title for _, title in course.headings(last.source)]
    assert titles[: len(CLOSING)] == CLOSING
    others = [c.path.name for c in CHAPTERS if c.number > chapter.number]
    assert not others or others[0] in course.links(last.source), "say which chapter is next"


def test_a_chapter_has_one_title_and_skips_no_level_of_headings(chapter):
    found = [h for cell in chapter.prose for h in course.headings(cell.source)]
    levels = [level for level, _ in found]
    assert levels.count(1) == 1
    steps = [f"{b} after {a}" for a, b in pairwise(found) if b[0] > a[0] + 1]
    assert not steps


def test_a_chapter_fits_into_one_sitting(chapter):
    count = sum(len(course.words(cell.source).split()) for cell in chapter.prose)
    exercise = [
        c for c in chapter.code if c.is_blank or "solution" in c.tags or "lab.check(" in c.source
    ]
    assert len(chapter.cells) - len(exercise) <= 60
    assert 600 <= count <= 2200


def test_a_cell_is_one_idea(chapter):
    lengths = [_length(cell) for cell in chapter.code if not cell.is_blank]
    assert statistics.median(lengths) <= 5
    long = [cell.index for cell in chapter.code if _length(cell) >= 20]
    assert not long, "split these cells"
    assert sum(length < 10 for length in lengths) >= 0.9 * len(lengths)


def _length(cell: course.Cell) -> int:
    """Lines of code; those of a manifest are what the chapter is about."""
    if cell.source.startswith("%%"):
        return 1
    code = re.sub(r'"""\n.*?"""', '""', cell.source, flags=re.DOTALL)
    return sum(bool(line.strip()) for line in code.splitlines())


def test_the_first_code_cell_makes_the_lab_and_the_last_one_cleans_up(chapter):
    assert "labkit.Lab(" in chapter.code[0].source
    assert re.search(r"^lab\.reset\(", chapter.code[-1].source, re.MULTILINE)


def test_every_exercise_is_a_blank_cell_a_check_and_a_folded_solution(chapter):
    code = chapter.code
    solutions = [at for at, cell in enumerate(code) if "solution" in cell.tags]
    blanks = [at for at, cell in enumerate(code) if cell.is_blank]
    checked = any("lab.check(" in cell.source for cell in code)
    assert solutions, "a chapter without an exercise is a lecture"
    assert len(blanks) == len(solutions)
    for blank, solution in zip(blanks, solutions, strict=True):
        assert code[solution].raw["metadata"].get("jupyter") == {"source_hidden": True}
        between = [cell.source for cell in code[blank + 1 : solution + 1]]
        assert len(between) == (2 if checked else 1), f"cell {code[solution].index}"
        assert not checked or "lab.check(" in between[0]
    assert not checked or len(solutions) >= 4


@pytest.mark.parametrize("pattern", NEVER, ids=["sleep", "semicolon", "generated name"])
def test_no_code_cell_holds_what_goes_wrong_elsewhere(chapter, pattern: str):
    found = [
        f"cell {cell.index}: {match[0]}"
        for cell in chapter.code
        if (match := re.search(pattern, _code(cell), re.MULTILINE))
    ]
    assert not found, f"{found}: {NEVER[pattern]}"


def _code(cell: course.Cell) -> str:
    return "\n".join(line for line in cell.source.splitlines() if not line.startswith("%%"))
