"""`Panel`: form controls and a picture in the notebook, told in five traits.

It is an anywidget, not a box of ipywidgets: the sliders of ipywidgets have no name that a screen
reader could say, and its `HTML` throws the focus away with each new picture.  Here both are the
browser's own (`panel.js`, `panel.css`), and a redraw is one message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_HERE = Path(__file__).parent
#: The MIME type of a widget in an output.
WIDGET = "application/vnd.jupyter.widget-view+json"

Control = Mapping[str, Any]


class Panel(anywidget.AnyWidget):
    """What the notebook shows.

    title      what it is, for screen readers
    controls   of `slider`, `choice`, `toggle` and `button`
    values     the value of each control, by name; whoever sets it, the other side learns of it
    words      HTML above the picture, read out when it changes
    picture    HTML, where elements with `data-key` and `aria-label` can be walked with arrow keys
    overlay    HTML in the same place above it, for what changes often; not for screen readers
    note       text below it
    """

    _esm = (_HERE / "panel.js").read_text()
    _css = (_HERE / "panel.css").read_text() + (_HERE / "map.css").read_text()

    title = traitlets.Unicode().tag(sync=True)
    controls = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    words = traitlets.Unicode().tag(sync=True)
    picture = traitlets.Unicode().tag(sync=True)
    overlay = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)

    def on_values(self, call: Callable[[dict[str, Any]], None]) -> None:
        """Call `call(values)` when a control has changed."""
        self.observe(lambda change: call(change["new"]), "values")

    def on_press(self, call: Callable[[str], None]) -> None:
        """Call `call(name)` when a button is pressed."""
        self.on_msg(lambda _, content, __: call(content["press"]))

    def bundle(self) -> dict[str, Any]:
        """The widget's part of a MIME bundle."""
        return {WIDGET: {"version_major": 2, "version_minor": 0, "model_id": self.model_id}}


def slider(
    name: str,
    label: str,
    value: float,
    low: float,
    high: float,
    step: float = 1,
    unit: str = "",
) -> Control:
    """A number from `low` to `high`, which make room for `value`; so does the step."""
    return {
        "kind": "slider",
        "name": name,
        "label": label,
        "min": min(low, value),
        "max": max(high, value),
        "step": _step(value - low, step),
        "unit": unit,
    }


def _step(distance: float, usual: float) -> float:
    """The largest step that leads to a value at this distance, for a browser rounds to steps."""
    steps = [usual, *(step for step in (10.0, 1.0, 0.5, 0.1, 0.01) if step < usual)]
    return next((s for s in steps if abs(distance / s - round(distance / s)) < 1e-6), steps[-1])


def choice(name: str, label: str, options: Sequence[str]) -> Control:
    """One of some texts."""
    return {"kind": "choice", "name": name, "label": label, "options": list(options)}


def toggle(name: str, on: str, off: str) -> Control:
    """Yes or no; the button says `off` while it is off, which is what pressing it will begin."""
    return {"kind": "toggle", "name": name, "on": on, "off": off}


def button(name: str, label: str) -> Control:
    """Something that can be done."""
    return {"kind": "button", "name": name, "label": label}
