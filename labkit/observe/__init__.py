"""Watching a Deployment scale: a recorder, and the figure that every chapter shows.

    sample.py     the API's answers → one row; pure
    source.py     asking the API server, with the official `kubernetes` client
    recorder.py   `Recorder`: a row each second, in a thread
    finding.py    a recording → one sentence with its numbers; pure
    events.py     which events a figure has room for; pure
    figure.py     `hpa_timeline`: the house figure
    panels.py     its four panels
    labels.py     text that never collides
    score.py      a recording → one row of scores; pure
    overlay.py    `compare`: several recordings in one figure; its panels and its `comparison`
    frontier.py   `trade_off`: a sweep or recordings as points, cost against latency
    notebook.py   one display of a Jupyter cell, and `LiveFigure`

Everything shown here could have been asked for with kubectl, except the load, which only the
sender knows.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.observe.figure import hpa_timeline
    from labkit.observe.frontier import trade_off
    from labkit.observe.notebook import LiveFigure
    from labkit.observe.overlay import compare
    from labkit.observe.recorder import Recorder
    from labkit.observe.score import Prices, scores

__all__ = [
    "LiveFigure",
    "Prices",
    "Recorder",
    "compare",
    "hpa_timeline",
    "scores",
    "trade_off",
]

_PLACES = {
    "LiveFigure": "notebook",
    "Prices": "score",
    "Recorder": "recorder",
    "compare": "overlay",
    "hpa_timeline": "figure",
    "scores": "score",
    "trade_off": "frontier",
}


def __getattr__(name: str) -> object:
    """The names above, when they are asked for: a simulation needs no picture of what it plays."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"labkit.observe.{_PLACES[name]}"), name)
