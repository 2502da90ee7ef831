"""Cells as a learner runs them, in a kernel."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = {
    "lab": "import labkit\nlab = labkit.Lab('04-deploy')",
    "manifest": (
        "%%manifest settings.yaml\napiVersion: v1\nkind: ConfigMap\n"
        "metadata: {name: settings}\ndata: {colour: blue}\n"
    ),
    "line": "name = 'settings'\n%kubectl get configmap {name} -o jsonpath='{.data.colour}'",
    "lines": "%%kubectl\n# two commands\nget configmap settings -o name\nget nodes -o name",
    "input": "%%kubectl apply -f -\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {}",
    "again": "lab.apply('settings.yaml')",
    "late": "a = 1\nlab.wait('pod/nobody', timeout=0.1)",
    "check": "lab.check('replicas')",
    "progress": "lab.progress()",
    "link": "%load_ext labkit\nlab.reset()",
}


@pytest.fixture(scope="module")
def cells(clusters, tmp_path_factory) -> dict[str, list]:
    """The outputs of the cells above, by name."""
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}
        },
    )
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(
        book, timeout=60, allow_errors=True, resources={"metadata": {"path": str(folder)}}
    ).execute(env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    assert (folder / "settings.yaml").read_text() == CELLS["manifest"].partition("\n")[2]
    return dict(zip(CELLS, (cell.outputs for cell in book.cells), strict=True))


def _text(outputs: list) -> str:
    return "".join(one.get("text", "") for one in outputs)


def test_a_manifest_is_applied_and_kept(cells):
    assert _text(cells["manifest"]) == "configmap/settings created\n"
    assert _text(cells["again"]) == "configmap/settings unchanged\n"


def test_one_command_or_one_in_each_line(cells):
    assert _text(cells["line"]) == "blue\n"
    assert _text(cells["lines"]) == "configmap/settings\nnode/lab-worker\n"


def test_an_error_shows_its_sentences_and_the_line_that_led_to_it(cells):
    error = cells["late"][-1]
    assert error.output_type == "error"
    assert error.ename == "WaitTimeout"
    first, *_, last = error.traceback
    assert first == "----> 2 lab.wait('pod/nobody', timeout=0.1)"
    assert last == "Look closer: !kubectl describe pod/nobody"
    assert len(error.traceback) == 4


def test_what_kubectl_refuses_is_an_error_with_its_words(cells):
    error = cells["input"][-1]
    assert error.ename == "UsageError"
    assert "spec.containers" in "".join(error.traceback)


def test_a_check_and_the_progress_show_themselves(cells):
    checked, progress = cells["check"][-1].data, cells["progress"][-1].data
    assert "kubectl get deployments" in checked["text/plain"]
    assert "border-left" in checked["text/html"]
    assert "✗ replicas" in progress["text/plain"]


def test_the_end_deletes_what_the_cells_made(cells):
    assert _text(cells["link"]) == "Deleted configmap/settings.\n"
