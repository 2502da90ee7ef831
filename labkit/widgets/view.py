"""`View`: an object with three faces, that ends in a static frame.

The text has the facts, the HTML a picture that stays, the widget the same alive (dask.distributed's
`Cluster` is the model).  A view that is shown where somebody can use it opens its widget; when it
ends, the widget in the output gives way to the two static faces, so that no widget state is ever
saved and the saved notebook shows the last state.
"""

from __future__ import annotations

import html
import threading
from typing import Any

from labkit.widgets.panel import WIDGET, Panel
from labkit.widgets.stage import STAGE, somebody_is_there


class View:
    """Base of all views.  Override `text`, `html`, `make_panel`, and `begin` and `finish`."""

    kind = "view"

    def __init__(self) -> None:
        self.panel: Panel | None = None
        self._handle: Any = None
        self._ended = ""  # why, if it has
        self._lock = threading.Lock()

    # -- what a view is ---------------------------------------------------------------------------

    def text(self) -> str:
        """The facts."""
        raise NotImplementedError

    def html(self) -> str:
        """The static picture, with the facts as its alternative text."""
        raise NotImplementedError

    def make_panel(self) -> Panel:
        """The widget."""
        raise NotImplementedError

    def begin(self) -> None:
        """The widget is shown: start what keeps it alive."""

    def finish(self) -> None:
        """Stop what `begin` started.  Called once for each `begin`, from whatever thread."""

    # -- faces ------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return self._static() | (self.open() if somebody_is_there() else {})

    def _ipython_display_(self) -> None:
        from IPython.display import display

        # A view that is shown a second time moves there.
        self.end("shown again below")
        self._ended = ""
        bundle = self._repr_mimebundle_()
        handle = display(bundle, raw=True, display_id=True)
        with self._lock:
            self._handle = None if self._ended else handle
        if self._ended:  # while it was being shown
            handle.update(self._last(self._ended), raw=True)

    def _static(self) -> dict[str, Any]:
        return {"text/plain": self.text(), "text/html": self.html()}

    # -- life -------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the widget is there."""
        return self.panel is not None

    def open(self) -> dict[str, Any]:
        """Make the widget and bring it to life; its part of the MIME bundle."""
        panel = self.panel
        if panel is None:
            panel = self.panel = self.make_panel()
            STAGE.enter(self)
            self.begin()
        return panel.bundle()  # also of a view that has failed by now

    def end(self, why: str = "stopped") -> None:
        """Leave a static frame in place of the widget.  Safe to repeat."""
        with self._lock:
            panel, self.panel = self.panel, None
            if panel is None:
                return
            self._ended = why
            handle, self._handle = self._handle, None
        STAGE.leave(self)
        self.finish()
        if handle is not None:
            handle.update(self._last(why), raw=True)
        panel.close()

    def _last(self, why: str) -> dict[str, Any]:
        bundle = self._static()
        note = f"{why[0].upper()}{why[1:]}: run the cell again to go on."
        bundle["text/html"] += f"<p><small>{html.escape(note)}</small></p>"
        return bundle


def picture(data: str, facts: str, width: int) -> str:
    """An image that shows itself everywhere: `data` is its URL, `facts` what it says."""
    # The output of a notebook that is not trusted yet loses <svg> and <style>, but not <img>.  An
    # SVG in an <img> is light or dark as the page says with `color-scheme`, which JupyterLab's
    # dark theme does not say itself.
    style = "<style>[data-jp-theme-light=false] .labkit-frame{color-scheme:dark}</style>"
    alt = html.escape(facts, quote=True).replace("\n", "&#10;")
    return (
        f'{style}<img class="labkit-frame" src="{data}" alt="{alt}" '
        f'style="width:100%;max-width:{width}px">'
    )


__all__ = ["WIDGET", "View", "picture"]
