"""Notebooks that are executed with nobody before them: static faces, and no widget state."""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

PLAY = """
from dataclasses import replace
import labkit
from labkit.simulate import Scenario
from labkit.simulate.cli import LESSON
labkit.what_if(replace(Scenario.read(LESSON), seconds=300))
"""
THREADS = "import threading; [t.name for t in threading.enumerate() if t.name[:6] == 'labkit']"


def test_an_executed_notebook_has_the_static_faces_and_no_widget(tmp_path):
    notebook = new_notebook(cells=[new_code_cell(PLAY), new_code_cell(THREADS)])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    nbformat.validate(notebook)
    (shown,) = notebook.cells[0].outputs
    assert set(shown.data) == {"text/html", "text/plain"}
    assert "Pod-minutes" in shown.data["text/plain"]
    assert "<img" in shown.data["text/html"]
    assert "widgets" not in notebook.metadata
    assert notebook.cells[1].outputs[0].data["text/plain"] == "[]"
