"""Watching a Deployment scale: a recorder, and the figure that every chapter shows.

    sample.py     the API's answers → one row; pure
    source.py     asking the API server, with the official `kubernetes` client
    recorder.py   `Recorder`: a row each second, in a thread
    finding.py    a recording → one sentence with its numbers; pure
    events.py     which events a figure has room for; pure
    figure.py     `hpa_timeline`: the house figure
    panels.py     its four panels
    labels.py     text that never collides
    notebook.py   one display of a Jupyter cell, and `LiveFigure`

Everything shown here could have been asked for with kubectl, except the load, which only the
sender knows.
"""

from labkit.observe.figure import hpa_timeline
from labkit.observe.finding import finding
from labkit.observe.notebook import LiveFigure
from labkit.observe.recorder import Recorder

__all__ = ["LiveFigure", "Recorder", "finding", "hpa_timeline"]
