"""The course in two languages: a translation differs in its prose and outputs alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from tests.notebooks import course

ORIGINALS = {chapter.path.name: chapter for chapter in course.chapters()}
SAME_EVERYWHERE = ("cell_type", "id", "metadata")


def differences(original: course.Chapter, translation: course.Chapter) -> list[str]:
    """What a translation may not change, and does."""
    if len(original.cells) != len(translation.cells):
        return [f"{len(translation.cells)} cells and not {len(original.cells)}"]
    return [
        f"cell {ours.index}: {what}"
        for ours, theirs in zip(original.cells, translation.cells, strict=True)
        for what in _between(ours, theirs)
    ]


def _between(ours: course.Cell, theirs: course.Cell) -> list[str]:
    found = [key for key in SAME_EVERYWHERE if ours.raw.get(key) != theirs.raw.get(key)]
    if ours.kind == "code" and ours.source != theirs.source:
        found.append("code")
    if _levels(ours) != _levels(theirs):
        found.append("headings")
    if sorted(map(_target, course.links(ours.source))) != sorted(
        map(_target, course.links(theirs.source))
    ):
        found.append("links")
    return found


def _levels(cell: course.Cell) -> list[int]:
    return [level for level, _ in course.headings(cell.source)] if cell.kind == "markdown" else []


def _target(link: str) -> str:
    """A link as the English chapter has it: one folder less, and Kubernetes' English page."""
    return link.removeprefix("../").replace("kubernetes.io/zh-cn/docs/", "kubernetes.io/docs/")


def test_a_translation_has_its_chapters_code_headings_and_links():
    names = {chapter.path.name for chapter in course.chapters("zh")}
    assert names <= set(ORIGINALS), "a translation without its chapter"
    found = {
        str(translation): differences(ORIGINALS[translation.path.name], translation)
        for translation in course.chapters("zh")
    }
    assert not any(found.values()), found


def test_a_change_of_one_character_of_code_is_found(tmp_path: Path):
    original = next(iter(ORIGINALS.values()))
    changed = copy.deepcopy(original.notebook)
    code, prose = original.code[1].index, _first(original, [2])
    changed["cells"][code]["source"][-1] += " "
    changed["cells"][prose]["source"] = ["### 一秒钟启动集群"]
    changed["cells"][_first(original, [])]["source"] = ["没有标题"]
    file = tmp_path / original.path.name
    file.write_text(json.dumps(changed))
    found = differences(original, course.Chapter(file))
    expected = {prose: "headings", code: "code"}
    assert found == [f"cell {index}: {what}" for index, what in sorted(expected.items())]


def _first(chapter: course.Chapter, levels: list[int]) -> int:
    """The first cell of prose with just these headings, and no link."""
    cells = (cell for cell in chapter.prose if not course.links(cell.source))
    return next(cell.index for cell in cells if _levels(cell) == levels)
