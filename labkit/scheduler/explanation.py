"""An explanation as people see it: text, HTML, and a DataFrame.

The table has the plugins as rows and the nodes as columns, best first, as many as fit; the frame
has all of them, one row for each node, step and plugin.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.scheduler import scores
from labkit.scheduler.explain import NodeVerdict
from labkit.scheduler.preemption import Victims
from labkit.scheduler.reasons import FILTER_WORDS

_COLUMNS = 6  # nodes in a table
_BLUE, _ORANGE = "#0072B2", "#D55E00"  # ready and desired in the house figure: never red and green


@dataclass(frozen=True)
class Explanation:
    """Why a Pod is where it is, or nowhere.

    `pod` and `state` make a sentence: "default/web is waiting"; `node` is where it is, empty for
    nowhere.  `nodes` are the verdicts, best first; `message` is what the scheduler would say where
    no node is possible, and `victims` are those that would have to leave for it.
    """

    pod: str
    state: str
    node: str
    nodes: Sequence[NodeVerdict]
    message: str = ""
    victims: Victims | None = None

    @property
    def best(self) -> list[str]:
        """The nodes of the highest score: the scheduler draws lots among them."""
        possible = [each for each in self.nodes if each.possible]
        return [each.node for each in possible if each.total == possible[0].total]

    @property
    def frame(self):
        """All of it as a pandas DataFrame: node, step, plugin, passes, points, reason."""
        import pandas as pd

        rows = [row for each in self.nodes for row in _rows(each)]
        columns = ["node", "step", "plugin", "passes", "points", "reason"]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.astype({"passes": "boolean", "points": "Int64"})

    def summary(self) -> list[str]:
        """The finding, in sentences."""
        lines = [f"{self.pod} {self.state}."]
        if self.node:
            lines[0] += " What follows is what the scheduler would say now if it did not run."
        possible = sum(each.possible for each in self.nodes)
        if possible:
            best = self.best
            lots = f", drawn among {len(best)} equals" if len(best) > 1 else ""
            lines.append(
                f"{possible} of {len(self.nodes)} nodes can take it; the best is {best[0]}"
                f" with {self.nodes[0].total} points{lots}."
            )
        else:
            lines.append(self.message)
        if self.victims:
            names = ", ".join(each.key for each in self.victims.pods)
            lines.append(f"For it {names} would have to leave {self.victims.node} (preemption).")
        return lines

    # -- faces --------------------------------------------------------------------------------

    def __repr__(self) -> str:
        shown, body = self.nodes[:_COLUMNS], self._table()
        names = [each.node for each in shown]
        columns = zip(*(cells for _, cells, _ in body), strict=True)
        widths = [max(map(len, (name, *cells))) for name, cells in zip(names, columns, strict=True)]
        first = max((len(row[0]) for row in body), default=0)
        lines = [*self.summary(), ""]
        for head, cells, _ in [("", names, ()), *body]:
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            lines.append(f"{head:<{first}}  {'  '.join(padded)}".rstrip())
        refused = [
            f"  {each.node}: {plugin}: {', '.join(reasons)} ({each.why['filter', plugin]})"
            for each in shown
            for plugin, reasons in each.filters.items()
            if reasons
        ]
        return "\n".join([*lines, *(["", "Refused:", *refused] if refused else []), *self._rest()])

    def _rest(self) -> list[str]:
        more = len(self.nodes) - _COLUMNS
        return [f"{more} more nodes are in .frame"] if more > 0 else []

    def _table(self) -> list[tuple[str, list[str], list[str]]]:
        """Rows: head, cells, and the reason for each cell."""
        shown, body = self.nodes[:_COLUMNS], []
        for plugin in FILTER_WORDS:
            cells = ["✗" if each.filters[plugin] else "✓" for each in shown]
            why = ["; ".join([*each.filters[plugin], each.why["filter", plugin]]) for each in shown]
            body.append((f"filter {plugin}", cells, why))
        for plugin, weight in scores.WEIGHTS.items() if self.best else ():
            points = [str(each.scores.get(plugin, "")) for each in shown]
            body.append(
                (f"score {plugin} ×{weight}", points, [each.why["score", plugin] for each in shown])
            )
        totals = [str(each.total) if each.possible else "refused" for each in shown]
        body.append(("total", totals, [""] * len(shown)))
        return body

    def _repr_html_(self) -> str:
        def cell(text: str, why: str) -> str:
            colour = {"✗": _ORANGE, "refused": _ORANGE, "✓": _BLUE}.get(text, "inherit")
            return (
                f"<td style='text-align:left;vertical-align:top'><b style='color:{colour}'>"
                f"{html.escape(text)}</b><br><small>{html.escape(why)}</small></td>"
            )

        head = "".join(
            f"<th style='text-align:left'>{html.escape(each.node)}</th>"
            for each in self.nodes[:_COLUMNS]
        )
        body = "".join(
            f"<tr><th style='text-align:left;vertical-align:top'>{html.escape(name)}</th>"
            + "".join(map(cell, cells, why))
            + "</tr>"
            for name, cells, why in self._table()
        )
        text = "".join(f"<p>{html.escape(line)}</p>" for line in [*self.summary(), *self._rest()])
        return f"{text}<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"


def _rows(each: NodeVerdict):
    for plugin, reasons in each.filters.items():
        why = "; ".join([*reasons, each.why["filter", plugin]])
        yield each.node, "filter", plugin, not reasons, None, why
    for plugin in scores.WEIGHTS if each.possible else ():
        why = each.why["score", plugin]
        yield each.node, "score", plugin, None, each.scores[plugin], why
    if each.possible:
        yield each.node, "total", "", None, each.total, ""
