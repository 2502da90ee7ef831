"""What the file of a chapter keeps, in either language: one run's outputs, no machine's data."""

from __future__ import annotations

import pytest

from tests.notebooks import course

pytestmark = pytest.mark.parametrize("chapter", course.chapters() + course.chapters("zh"), ids=str)


def test_the_file_holds_the_outputs_of_one_run_from_top_to_bottom(chapter):
    counts = [cell.raw["execution_count"] for cell in chapter.code]
    assert counts == list(range(1, len(counts) + 1)), "restart the kernel and run all cells"
    for cell in chapter.code:
        for output in cell.raw["outputs"]:
            assert output["output_type"] != "error", f"cell {cell.index}"
            assert output.get("execution_count", counts) in (counts, cell.raw["execution_count"])


def test_everything_shown_has_a_face_for_a_page_without_a_kernel(chapter):
    for cell in chapter.code:
        for output in cell.raw["outputs"]:
            faces = output.get("data", {"text/plain": ""})
            assert "text/plain" in faces, f"cell {cell.index}"
            if "application/vnd.jupyter.widget-view+json" in faces:
                assert "text/html" in faces, f"cell {cell.index}: a widget without an HTML face"


def test_the_file_keeps_nothing_of_the_machine_that_ran_it(chapter):
    about = chapter.notebook["metadata"]
    assert set(about) == {"kernelspec", "language_info"}
    assert about["kernelspec"]["name"] == "python3"
    assert about["language_info"]["pygments_lexer"] == "ipython3", "it knows `%` and `!`"
    for cell in chapter.cells:
        assert set(cell.raw["metadata"]) <= {"jupyter", "tags"}, f"cell {cell.index}"
    ids = [cell.raw["id"] for cell in chapter.cells]
    assert len(set(ids)) == len(ids)
