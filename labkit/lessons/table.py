"""The table of chapters and exercises: what is solved, and what comes next."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.lessons.exercise import Chapter
from labkit.lessons.record import Entry

_SOLVED, _TRIED, _OPEN = "✓", "✗", "○"
_COLOURS = {_SOLVED: "#0072B2", _TRIED: "#D55E00", _OPEN: "inherit"}
_WORDS = {_SOLVED: "solved", _TRIED: "tried", _OPEN: "open"}


@dataclass(frozen=True)
class Row:
    """One exercise: its chapter's name, its own, its title, and what the record says."""

    chapter: str
    exercise: str
    title: str
    entry: Entry

    @property
    def sign(self) -> str:
        """✓ solved, ✗ tried, ○ open."""
        return _SOLVED if self.entry.solved else _TRIED if self.entry.tries else _OPEN


@dataclass(frozen=True)
class Progress:
    """All exercises of `chapters` with what the record says of them.  It shows itself."""

    chapters: Sequence[Chapter]
    record: Mapping[str, Entry]
    note: str = ""

    def rows(self, chapter: Chapter) -> list[Row]:
        """The exercises of one chapter."""
        return [
            Row(
                chapter.name,
                one.name,
                one.title,
                self.record.get(f"{chapter.name}/{one.name}", Entry()),
            )
            for one in chapter.exercises
        ]

    @property
    def all(self) -> list[Row]:
        """The exercises of all chapters, in the order of the course."""
        return [row for chapter in self.chapters for row in self.rows(chapter)]

    @property
    def title(self) -> str:
        """How many are solved, and the first that is not."""
        rows = self.all
        solved = sum(row.sign == _SOLVED for row in rows)
        left = next((row for row in rows if row.sign != _SOLVED), None)
        coming = f"; next: {left.chapter}, {left.title}" if left else ": all of them"
        return f"{solved} of {len(rows)} exercises solved{coming}"

    def __repr__(self) -> str:
        lines = [self.title]
        for chapter in self.chapters:
            rows = self.rows(chapter)
            solved = sum(row.sign == _SOLVED for row in rows)
            lines += ["", f"{chapter.name}  {chapter.title}  ({solved} of {len(rows)})"]
            lines += [f"  {row.sign} {row.exercise:<16} {row.title}" for row in rows]
        return "\n".join(lines + (["", self.note] if self.note else []))

    def _repr_mimebundle_(self, **options: object) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _html(self) -> str:
        body = "".join(self._chapter(chapter) for chapter in self.chapters)
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return (
            f"<p style='font-weight:600;margin:.3em 0'>{html.escape(self.title)}</p>"
            f"<table style='text-align:left'><tbody>{body}</tbody></table>{note}"
        )

    def _chapter(self, chapter: Chapter) -> str:
        rows = self.rows(chapter)
        solved = sum(row.sign == _SOLVED for row in rows)
        head = _cells(f"<b>{html.escape(chapter.name)}</b>", f"<b>{html.escape(chapter.title)}</b>",
                      f"{solved} of {len(rows)}")  # fmt: skip
        return head + "".join(
            _cells(
                f"<code>{html.escape(row.exercise)}</code>",
                html.escape(row.title),
                f"<span style='color:{_COLOURS[row.sign]}'>{row.sign}</span> {_WORDS[row.sign]}",
            )
            for row in rows
        )


def _cells(*cells: str) -> str:
    # Jupyter aligns cells to the right, where no style says otherwise.
    inner = "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells)
    return f"<tr>{inner}</tr>"
