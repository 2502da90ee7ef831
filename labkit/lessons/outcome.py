"""What a check says: solved, or what was expected, what is there, a hint, and where to look.

It shows itself at the end of a cell, and is true if the exercise is solved.
"""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass

from labkit.lessons.exercise import Exercise, Wrong

# Okabe and Ito's blue and vermilion: told apart by all, and never without their sign.
_SOLVED, _OPEN = "#0072B2", "#D55E00"
_WIDTH = 96


@dataclass(frozen=True)
class Outcome:
    """The answer to `lab.check`.  `wrong` is None where the exercise is solved.

    `got` is what is there instead of what was expected; `note` is about the record of progress.
    """

    exercise: Exercise
    wrong: Wrong | None = None
    got: str = ""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the exercise is solved."""
        return self.wrong is None

    def __bool__(self) -> bool:
        return self.ok

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is said below the title: a word and its text."""
        if self.wrong is None:
            said = [("", self.exercise.right)]
        else:
            said = [
                ("expected", self.wrong.expected),
                ("got", self.got),
                ("hint", self.wrong.hint),
                ("look", self.wrong.look),
            ]
        return said + ([("note", self.note)] if self.note else [])

    @property
    def title(self) -> str:
        """The sign and the exercise's title."""
        return f"{'✓' if self.ok else '✗'} {self.exercise.title}"

    def __repr__(self) -> str:
        lines = [self.title]
        for word, text in self.rows:
            lines += textwrap.wrap(
                text,
                _WIDTH,
                initial_indent=f"  {word:<9} " if word else "  ",
                subsequent_indent=" " * 12 if word else "  ",
                break_on_hyphens=False,
            )
        return "\n".join(lines)

    def _repr_mimebundle_(self, **options: object) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _html(self) -> str:
        colour = _SOLVED if self.ok else _OPEN
        rows = "".join(
            f"<div style='opacity:.75'>{word}</div><div>{_marked(word, text)}</div>"
            if word
            else f"<div style='grid-column:1/3'>{_marked(word, text)}</div>"
            for word, text in self.rows
        )
        return (
            f"<div style='border-left:4px solid {colour};padding:.2em 0 .2em .8em;margin:.3em 0;"
            f"max-width:52em;line-height:1.45'>"
            f"<div style='font-weight:600'><span style='color:{colour}'>{self.title[0]}</span> "
            f"{html.escape(self.exercise.title)}</div>"
            f"<div style='display:grid;grid-template-columns:max-content 1fr;column-gap:1em;"
            f"row-gap:.15em;margin-top:.2em'>{rows}</div></div>"
        )


def _marked(word: str, text: str) -> str:
    """The text as HTML; what stands between `backquotes`, and every command, as code."""
    if word == "look":
        return f"<code>{html.escape(text)}</code>"
    parts = html.escape(text).split("`")
    if len(parts) % 2 == 0:  # an odd number of backquotes marks nothing
        return html.escape(text)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
