"""A newcomer's read: words are explained where they first come up, and links lead somewhere.

Bold text in a chapter's running text marks a term of the glossary, at the place that explains it.
What is bold and no term is a label (`**Predict:**`, `**You will**`) or a whole statement; to stress
a word or two there are *italics*.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.notebooks import course

CHAPTERS = course.chapters()
TERMS = course.glossary()
# A page may be named before its chapter in what opens a chapter (what you will learn) and in what
# closes it (what comes next).
FIRST, LAST = 1, -1


def _marked(chapter: course.Chapter) -> list[tuple[int, str]]:
    """(cell, words) of what a chapter marks as terms."""
    found = [(cell.index, text) for cell in chapter.prose for text in course.bold(cell.source)]
    return [(index, text) for index, text in found if course.is_term(text)]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=str)
def test_every_term_that_a_chapter_marks_is_in_the_glossary(chapter: course.Chapter):
    unknown = [
        f"cell {index}: **{text}** is not in docs/glossary.md. Add it there; "
        "or stress the word with *italics*, as bold marks terms"
        for index, text in _marked(chapter)
        if course.look_up(text, TERMS) is None
    ]
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=str)
def test_no_chapter_marks_a_term_of_a_later_one(chapter: course.Chapter):
    later = [
        f"cell {index}: **{text}** is introduced by chapter {term.chapter}, says docs/glossary.md"
        for index, text in _marked(chapter)
        if (term := course.look_up(text, TERMS)) and term.chapter > chapter.number
    ]
    assert not later, "\n".join(later)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=str)
def test_no_chapter_uses_a_word_of_a_later_one(chapter: course.Chapter):
    prose = [cell for cell in chapter.prose[FIRST:LAST] if "## Clean up" not in cell.source]
    later = [term for term in set(TERMS.values()) if term.chapter > chapter.number]
    used = [
        f"cell {cell.index}: {term.name} is introduced by chapter {term.chapter}"
        for cell in prose
        for term in later
        if _uses(_unmistakable(term.name), cell)
    ]
    assert not used, "\n".join(used)


def _unmistakable(name: str) -> str | None:
    """A pattern for a name that is no everyday word: a kind (ReplicaSet), or several words."""
    if re.search(r"[a-z][A-Z]", name):
        return rf"\b{name}s?\b"
    return rf"(?i)\b{name}s?\b" if " " in name else None


@pytest.mark.parametrize("chapter", CHAPTERS, ids=str)
def test_a_chapter_marks_what_it_introduces_where_it_first_uses_it(chapter: course.Chapter):
    marks = {(index, course.look_up(text, TERMS)) for index, text in _marked(chapter)}
    own = [term for term in set(TERMS.values()) if term.chapter == chapter.number]
    unmarked = [
        f"cell {first}: explain {term.name} here and set it in **bold**, as docs/glossary.md says"
        for term in own
        if (first := _first_use(chapter, term)) is not None and (first, term) not in marks
    ]
    assert not unmarked, "\n".join(sorted(unmarked))


def _first_use(chapter: course.Chapter, term: course.Term) -> int | None:
    form = _unmistakable(term.name)
    uses = (c.index for c in chapter.prose[FIRST:LAST] if _uses(form, c))
    return next(uses, None)


def _uses(form: str | None, cell: course.Cell) -> bool:
    return form is not None and bool(re.search(form, course.words(cell.source)))


def test_the_glossary_is_in_alphabetical_order():
    names = [term.name for term in TERMS.values()]
    assert names == sorted(names, key=str.casefold)


@pytest.mark.parametrize("term", set(TERMS.values()), ids=lambda term: term.name)
def test_a_term_has_two_sentences_a_chapter_and_a_page(term: course.Term):
    assert term.chapter, f"say which chapter introduces {term.name}: `Chapter 04 · [page](url)`"
    assert term.pages, f"name a page that says more about {term.name}"
    sentences = re.findall(r"[.?!](?:\s|$)", term.text)
    assert 2 <= len(sentences) <= 3, term.text


# -- links --------------------------------------------------------------------------------------

PAGES = sorted(
    [course.ROOT / "README.md", *(course.ROOT / "docs").rglob("*.md")]
    + [chapter.path for language in ("en", "zh") for chapter in course.chapters(language)]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(course.ROOT)))
def test_no_link_to_a_file_of_the_project_is_dead(page: Path):
    dead = [link for link in course.links(_markdown(page)) if not _leads_somewhere(page, link)]
    assert not dead


def test_the_readme_leads_to_every_chapter():
    links = course.links(_markdown(course.ROOT / "README.md"))
    assert {f"notebooks/{chapter}" for chapter in CHAPTERS} <= set(links)


def _leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return False
    return not anchor or anchor in {course.slug(h) for _, h in course.headings(_markdown(target))}


def _markdown(page: Path) -> str:
    if page.suffix != ".ipynb":
        return page.read_text()
    return "\n\n".join(cell.source for cell in course.Chapter(page).prose)
