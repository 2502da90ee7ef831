"""`%kubectl`, `%%kubectl` and `%%manifest`: cells that are not Python.

    %kubectl get pods -o wide          one command; {name} and $name stand for Python's variables

    %%kubectl                          one command in each line
    get deployments
    get pods

    %%kubectl apply -f -               a command, and its standard input
    ...

    %%manifest                         applies the cell; `%%manifest myapp.yaml` keeps a copy, too
    apiVersion: v1
    ...

They belong to the Lab that was made last.  Making a Lab registers them; `%load_ext labkit` does so
before there is one.
"""

from __future__ import annotations

import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import UsageError

if TYPE_CHECKING:
    from labkit.lab.lab import Lab

_current: weakref.ref[Lab] | None = None


def register(lab: Lab) -> None:
    """Make `lab` the one that magics work with, and register them where IPython runs."""
    global _current
    _current = weakref.ref(lab)
    if "IPython" in sys.modules:
        from IPython import get_ipython

        if shell := get_ipython():
            load_ipython_extension(shell)


def load_ipython_extension(shell: Any) -> None:
    """Register the magics: what `%load_ext labkit` calls."""
    shell.register_magic_function(_kubectl, "line_cell", "kubectl")
    shell.register_magic_function(_manifest, "cell", "manifest")


def _lab() -> Lab:
    lab = _current and _current()
    if lab is None:
        raise UsageError(
            "There is no lab in this notebook yet.",
            "Its first cell makes one.",
            "Run: import labkit; lab = labkit.Lab()",
        )
    return lab


def _kubectl(line: str, cell: str | None = None) -> None:
    """Run kubectl: one command, one in each line of the cell, or one with the cell as its input."""
    lab = _lab()
    if cell is None or line.strip():
        lab.kubectl(line, input=cell)
        return
    for command in commands(cell):
        lab.kubectl(command)


def _manifest(line: str, cell: str) -> None:
    """Apply the YAML in the cell; with a file's name, write it there first."""
    lab = _lab()
    if name := line.strip():
        _save(name, cell)
    lab.apply(cell if cell.endswith("\n") else cell + "\n")


def _save(name: str, text: str) -> None:
    try:
        Path(name).expanduser().write_text(text)
    except OSError as error:
        raise UsageError(
            f"The manifest cannot be written to {name}: {error.strerror}.",
            "Its directory is missing or not yours to write to.",
            "Try: %%manifest myapp.yaml",
        ) from None


def commands(cell: str) -> list[str]:
    """The commands in a cell: a line each, unless it ends in a backslash; no comments."""
    lines = cell.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
