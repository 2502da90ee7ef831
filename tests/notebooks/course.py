"""The course as its tests read it: chapters, their cells, what their prose marks, the glossary.

A chapter is a notebook whose name begins with its number.  Its Markdown is parsed, not searched, so
that what stands in code is no link, no heading and no bold text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mistune

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
GLOSSARY = ROOT / "docs" / "glossary.md"
LABELS = {"you will", "you will learn", "you need"}
STATEMENT = 5  # this many words in bold are no term

_parse = mistune.create_markdown(renderer="ast", plugins=["table", "math", "strikethrough"])


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook; `index` counts all cells from 0."""

    index: int
    raw: Mapping

    @property
    def kind(self) -> str:
        return self.raw["cell_type"]

    @property
    def source(self) -> str:
        return "".join(self.raw["source"])

    @property
    def tags(self) -> list[str]:
        return self.raw["metadata"].get("tags", [])

    @property
    def is_blank(self) -> bool:
        """Code that only has comments: the place for a learner's own."""
        lines = self.source.splitlines()
        return self.kind == "code" and all(not x.strip() or x.startswith("#") for x in lines)


@dataclass(frozen=True)
class Chapter:
    """A notebook of the course."""

    path: Path

    @property
    def number(self) -> str:
        return self.path.name[:2]

    @cached_property
    def notebook(self) -> dict:
        return json.loads(self.path.read_text())

    @cached_property
    def cells(self) -> list[Cell]:
        return [Cell(index, raw) for index, raw in enumerate(self.notebook["cells"])]

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "code"]

    @property
    def prose(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "markdown"]

    def __str__(self) -> str:
        return str(self.path.relative_to(NOTEBOOKS))


def chapters(language: str = "en") -> list[Chapter]:
    """The chapters in order: of the course, or of its translation (`zh`)."""
    folder = NOTEBOOKS if language == "en" else NOTEBOOKS / language
    return [Chapter(path) for path in sorted(folder.glob("[0-9][0-9]-*.ipynb"))]


# -- Markdown -----------------------------------------------------------------------------------


def headings(markdown: str) -> list[tuple[int, str]]:
    """(level, text) of each heading."""
    found = [node for node in _nodes(markdown) if node["type"] == "heading"]
    return [(node["attrs"]["level"], plain(node, code=True)) for node in found]


def links(markdown: str) -> list[str]:
    """The targets of links and images."""
    return [node["attrs"]["url"] for node in _nodes(markdown) if node["type"] in ("link", "image")]


def bold(markdown: str) -> list[str]:
    """The texts in bold, without those that hold code."""
    found = [node for node in _nodes(markdown) if node["type"] == "strong"]
    return [plain(node) for node in found if not _holds(node, "codespan")]


def words(markdown: str) -> str:
    """The text of paragraphs, lists and tables: no headings, code, formulas or addresses."""
    kept = ("heading", "block_code", "block_math")
    return " ".join(plain(node) for node in _parse(markdown) if node["type"] not in kept)


def plain(node: Mapping, *, code: bool = False) -> str:
    """The text of a part of Markdown, without its formulas, and without its code unless asked."""
    if node["type"] in ("inline_math", "inline_html") or (node["type"] == "codespan" and not code):
        return ""
    if node["type"] in ("softbreak", "linebreak"):
        return " "
    inner = "".join(plain(child, code=code) for child in node.get("children", ()))
    gap = "\n" if node["type"] in ("paragraph", "block_text", "table_cell") else ""
    return node.get("raw", "") + inner + gap


def slug(heading: str) -> str:
    """The anchor that GitHub and the site give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _nodes(markdown: str) -> Iterator[Mapping]:
    waiting = list(_parse(markdown))
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting[:0] = node.get("children", ())


def _holds(node: Mapping, kind: str) -> bool:
    return any(child["type"] == kind or _holds(child, kind) for child in node.get("children", ()))


# -- the glossary -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """An entry of the glossary: `chapter` introduces it, in a translation as `chinese`."""

    name: str
    chapter: str
    text: str
    pages: tuple[str, ...]
    chinese: str


def glossary() -> dict[str, Term]:
    """The entries by their names in lower case; an abbreviation in brackets is a name too."""
    found: dict[str, Term] = {}
    for part in re.split(r"^## ", GLOSSARY.read_text(), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        text, _, last = body.strip().rpartition("\n\n")
        chapter = re.match(r"Chapter (\d\d)(?: · ([^\[]+))? · \[", last)
        name, _, short = head.strip().rstrip(")").partition(" (")
        chinese = (chapter and chapter[2]) or name  # kinds keep their names
        term = Term(name, chapter[1] if chapter else "", text, tuple(links(last)), chinese)
        found |= {key.lower(): term for key in (name, short) if key}
    return found


def is_term(bold: str) -> bool:
    """Whether some words in bold mark a term; other bold text is a label or a whole statement."""
    return not (
        bold.rstrip().endswith((":", ".", "?", "!", ","))
        or bold.lower().strip() in LABELS
        or len(bold.split()) >= STATEMENT
        or not re.search("[A-Za-z]", bold)
    )


def look_up(text: str, terms: Mapping[str, Term]) -> Term | None:
    """The glossary's entry for some words: one, or more than one of it."""
    key = text.lower().strip()
    singulars = (key, key.removesuffix("s"), key.removesuffix("es"), re.sub("ies$", "y", key))
    return next((terms[key] for key in singulars if key in terms), None)
