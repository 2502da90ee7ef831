"""Every public name of the lab has a heading in docs/lab.md, and every heading a name."""

from __future__ import annotations

import re
from pathlib import Path

import labkit
from labkit.lab import magics

PAGE = (Path(__file__).parents[2] / "docs" / "lab.md").read_text()
HEADINGS = set(re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^#+ .*", PAGE, re.MULTILINE))))
SET_BY_INIT = {"chapter", "cluster", "namespace"}


def test_every_public_name_of_a_lab_has_a_heading():
    public = {name for name in dir(labkit.Lab) if not name.startswith("_")} | SET_BY_INIT
    assert {f"lab.{name}" for name in public} == {h for h in HEADINGS if h.startswith("lab.")}


def test_every_magic_has_a_heading():
    registered: set[str] = set()

    class Shell:
        def register_magic_function(self, function: object, kind: str, name: str) -> None:
            signs = {"line_cell": ("%", "%%"), "cell": ("%%",)}[kind]
            registered.update(f"{sign}{name}" for sign in signs)

    magics.load_ipython_extension(Shell())
    assert registered == {heading for heading in HEADINGS if heading.startswith("%")}
