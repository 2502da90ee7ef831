"""`%kubectl`, `%%kubectl` and `%%manifest`: cells that are not Python.

    %kubectl get pods -o wide          one command; {name} and $name stand for Python's variables,
                                       where there is one of that name

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

import re
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import UsageError

if TYPE_CHECKING:
    from labkit.lab.lab import Lab

_current: weakref.ref[Lab] | None = None
#: `{name}`, `{name.part}` and `$name`; not `{.items}` and `{{.x}}`, which are kubectl's own.
_VARIABLE = re.compile(r"\{([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)\}|\$([A-Za-z_]\w*)")


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
    from IPython.core.magic import no_var_expand

    # IPython's own way with variables gives up at the first brace that is none of Python's.
    shell.register_magic_function(no_var_expand(_kubectl), "line_cell", "kubectl")
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
    from IPython import get_ipython

    lab, names = _lab(), get_ipython().user_ns
    if cell is None or line.strip():
        lab.kubectl(expand(line, names), input=cell)
        return
    for command in commands(cell):
        lab.kubectl(expand(command, names))


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


def expand(line: str, names: Mapping[str, Any]) -> str:
    """`line` with the values of Python's variables; what is no variable is left as it is."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if name not in names:
            return found[0]
        thing = names[name]
        for part in (found[2] or "").split(".")[1:]:
            thing = getattr(thing, part)
        return str(thing)

    return _VARIABLE.sub(value, line)
