"""The table of `labkit doctor`, as text and as HTML."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.clusters.doctor.findings import Row, State

# Okabe and Ito's, told apart by all, and never without their sign.
_COLOURS = {State.GOOD: "#0072B2", State.WARNING: "#E69F00", State.WRONG: "#D55E00"}
_WIDTH = 96


@dataclass(frozen=True)
class Report:
    """What was found, in the order of the rows."""

    rows: Sequence[Row]

    @property
    def ok(self) -> bool:
        """Whether nothing essential is wrong."""
        return not any(row.state is State.WRONG for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def title(self) -> str:
        """The finding in one sentence."""
        wrong = [row.what for row in self.rows if row.state is State.WRONG]
        warnings = [row.what for row in self.rows if row.state is State.WARNING]
        if wrong:
            return f"The lab cannot run here yet: {', '.join(wrong)}."
        if warnings:
            return f"The lab can run here; mind {', '.join(warnings)}."
        return "The lab can run here."

    def __repr__(self) -> str:
        lines = []
        for row in self.rows:
            lines += _wrapped(f"{row.state.value} {row.what:<10} ", row.found)
            if row.do:
                lines += _wrapped(" " * 13 + "→ ", row.do)
        return "\n".join([*lines, "", self.title])

    def _repr_mimebundle_(self, **options: object) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _html(self) -> str:
        rows = "".join(_cells("td", _sign(row), row.what, row.found, row.do) for row in self.rows)
        return (
            f"<p style='font-weight:600;margin:.3em 0'>{html.escape(self.title)}</p>"
            f"<table><thead>{_cells('th', '', 'what', 'found', 'what to do')}</thead>"
            f"<tbody>{rows}</tbody></table>"
        )


def _sign(row: Row) -> str:
    return f"<b style='color:{_COLOURS[row.state]}'>{row.state.value}</b>"


def _cells(tag: str, sign: str, *texts: str) -> str:
    style = "style='text-align:left;vertical-align:top;max-width:34em;white-space:normal'"
    cells = [sign, *map(html.escape, texts)]
    return f"<tr>{''.join(f'<{tag} {style}>{cell}</{tag}>' for cell in cells)}</tr>"


def _wrapped(first: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
