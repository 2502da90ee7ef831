"""A scheduling explanation as a table to walk through: nodes are columns, plugins are rows.  Pure.

Only filters that refuse a node have rows of their own, and the one that the requests decide; what
was compared stands in a refusing cell, and is told of every other cell that is pointed at.
"""

from __future__ import annotations

import html

from labkit.scheduler import scores
from labkit.scheduler.explain import NodeVerdict
from labkit.scheduler.explanation import Explanation
from labkit.scheduler.reasons import FILTER_WORDS

COLUMNS = 6
_REQUESTS = "NodeResourcesFit"


def table(found: Explanation) -> str:
    """The table of the best nodes, the best one first."""
    shown, best = found.nodes[:COLUMNS], set(found.best)
    head = "".join(_head(each, each.node in best) for each in shown)
    rows = [_filter_row(plugin, shown, best) for plugin in telling(found)]
    others = len(FILTER_WORDS) - len(rows)
    rows.append(_row(f"{others} other filters", [_cell("✓", "", each, best) for each in shown]))
    if best:
        rows += [_score_row(plugin, shown, best) for plugin in scores.WEIGHTS]
    rows.append(_row("total", [_total(each, best) for each in shown], "total"))
    return (
        f'<table class="lk-table"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def telling(found: Explanation) -> list[str]:
    """The filters that have rows of their own."""
    return [
        plugin
        for plugin in FILTER_WORDS
        if plugin == _REQUESTS or any(each.filters[plugin] for each in found.nodes[:COLUMNS])
    ]


def _head(each: NodeVerdict, best: bool) -> str:
    kind = "best" if best else "refused" if not each.possible else ""
    mark = "★ " if best else ""
    return f'<th scope="col" class="{kind}">{mark}{html.escape(each.node)}</th>'


def _filter_row(plugin: str, shown: list[NodeVerdict], best: set[str]) -> str:
    cells = []
    for each in shown:
        reasons, why = each.filters[plugin], each.why["filter", plugin]
        told = "; ".join([*reasons, why])
        label = f"{plugin} {'refuses' if reasons else 'passes'} {each.node}: {told}"
        small = told if reasons or plugin == _REQUESTS else ""
        cells.append(_cell("✗" if reasons else "✓", small, each, best, plugin, label))
    return _row(f"filter {plugin}", cells)


def _score_row(plugin: str, shown: list[NodeVerdict], best: set[str]) -> str:
    cells = []
    for each in shown:
        points = str(each.scores[plugin]) if each.possible else ""
        label = f"{plugin} gives {each.node} {points or 'no'} points: {each.why['score', plugin]}"
        cells.append(_cell(points, "", each, best, plugin, label))
    return _row(f"score {plugin} ×{scores.WEIGHTS[plugin]}", cells)


def _total(each: NodeVerdict, best: set[str]) -> str:
    return _cell(str(each.total) if each.possible else "refused", "", each, best)


def _cell(
    text: str, small: str, each: NodeVerdict, best: set[str], plugin: str = "", label: str = ""
) -> str:
    kind = "best" if each.node in best else "refused" if text in ("✗", "refused") else ""
    key = f' data-key="{html.escape(f"{plugin}/{each.node}")}"' if label else ""
    named = f' aria-label="{html.escape(label, quote=True)}"' if label else ""
    more = f"<small>{html.escape(small)}</small>" if small else ""
    return f'<td class="{kind}"{key}{named}>{html.escape(text)}{more}</td>'


def _row(head: str, cells: list[str], kind: str = "") -> str:
    return f'<tr class="{kind}"><th scope="row">{html.escape(head)}</th>{"".join(cells)}</tr>'
