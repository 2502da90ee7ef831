"""The course in two languages: a translation differs in its prose and outputs alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebooks import course

ORIGINALS = {chapter.path.name: chapter for chapter in course.chapters()}
TRANSLATIONS = course.chapters("zh")
TERMS = course.glossary()
SAME_EVERYWHERE = ("cell_type", "id", "metadata")
OPENS_WITH = ["你将", "你会学到", "你需要", "用时："]
CLOSES_WITH = ["要点", "在实践中", "延伸阅读"]


def differences(original: course.Chapter, translation: course.Chapter) -> list[str]:
    """What a translation may not change, and does."""
    if len(original.cells) != len(translation.cells):
        return [f"{len(translation.cells)} cells and not {len(original.cells)}"]
    return [
        f"cell {ours.index}: {what}"
        for ours, theirs in zip(original.cells, translation.cells, strict=True)
        for what in _between(ours, theirs, original.path.name)
    ]


def _between(ours: course.Cell, theirs: course.Cell, name: str) -> Iterator[str]:
    yield from (key for key in SAME_EVERYWHERE if ours.raw.get(key) != theirs.raw.get(key))
    if ours.kind == "code":
        if ours.source != theirs.source:
            yield "code"
        return
    if _levels(ours) != _levels(theirs):
        yield "headings"
    if _links_to_have(ours, name) != _links(theirs, name):
        yield "links"
    bold = " ".join(course.bold(theirs.source)).casefold()
    yield from (f"mark {term} in bold" for term in _terms(ours) if term.casefold() not in bold)


def _levels(cell: course.Cell) -> list[int]:
    return [level for level, _ in course.headings(cell.source)]


def _links_to_have(ours: course.Cell, name: str) -> list[str]:
    """The links of a cell, one folder further down; chapters lead to chapters of their language."""
    links = [link for link in course.links(ours.source) if link != f"zh/{name}"]
    return sorted(f"../{link}" if link.startswith("../") else link for link in links)


def _links(theirs: course.Cell, name: str) -> list[str]:
    """The links of a translated cell, Kubernetes' Chinese pages for the English ones."""
    links = [link for link in course.links(theirs.source) if link != f"../{name}"]
    return sorted(link.replace("kubernetes.io/zh-cn/", "kubernetes.io/") for link in links)


def _terms(ours: course.Cell) -> set[str]:
    """The Chinese words of the terms that a cell marks."""
    marked = {
        course.look_up(bold, TERMS) for bold in filter(course.is_term, course.bold(ours.source))
    }
    return {term.chinese for term in marked if term}


def test_every_chapter_has_its_translation_and_each_leads_to_the_other():
    assert [chapter.path.name for chapter in TRANSLATIONS] == list(ORIGINALS)
    for translation in TRANSLATIONS:
        name = translation.path.name
        assert f"zh/{name}" in course.links(ORIGINALS[name].cells[0].source), name
        assert f"../{name}" in course.links(translation.cells[0].source), name


@pytest.mark.parametrize("translation", TRANSLATIONS, ids=str)
def test_a_translation_has_its_chapters_code_headings_links_and_terms(translation):
    assert differences(ORIGINALS[translation.path.name], translation) == []


@pytest.mark.parametrize("translation", TRANSLATIONS, ids=str)
def test_a_translation_opens_and_closes_as_all_do(translation):
    first, last = translation.cells[0].source, translation.cells[-1].source
    assert course.headings(first)[0][1].startswith(f"{translation.number} · ")
    assert [label for label in course.bold(first) if label in OPENS_WITH] == OPENS_WITH
    assert [title for _, title in course.headings(last)][:3] == CLOSES_WITH


@pytest.mark.parametrize("translation", TRANSLATIONS, ids=str)
def test_no_mark_of_emphasis_is_left_over(translation):
    """`**预测：**我们` is no bold text: after punctuation a closing mark needs a space."""
    left = [cell.index for cell in translation.prose if "*" in course.words(cell.source)]
    assert left == []


def test_a_change_of_one_character_of_code_is_found(tmp_path: Path):
    translation = TRANSLATIONS[0]
    changed = copy.deepcopy(translation.notebook)
    code, prose = translation.code[1].index, _first(translation, [2])
    changed["cells"][code]["source"][-1] += " "
    changed["cells"][prose]["source"] = ["### 一秒钟启动集群"]
    changed["cells"][0]["source"] = [translation.cells[0].source.replace("../../docs", "../docs")]
    file = tmp_path / translation.path.name
    file.write_text(json.dumps(changed))
    found = differences(ORIGINALS[file.name], course.Chapter(file))
    expected = {0: "links", prose: "headings", code: "code"}
    assert found == [f"cell {index}: {what}" for index, what in sorted(expected.items())]


def _first(chapter: course.Chapter, levels: list[int]) -> int:
    """The first cell of prose with just these headings, and no link."""
    cells = (cell for cell in chapter.prose if not course.links(cell.source))
    return next(cell.index for cell in cells if _levels(cell) == levels)
