"""`make lab` as a learner meets it: JupyterLab in a browser, "Run All Cells", to the end.

Screenshots are kept in the directory `$LABKIT_SCREENSHOTS`, where that is set.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing, take_down, tool

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """`make lab` on a copy of the notebooks: the server's URL with its token, and the copy."""
    copy = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(ROOT / "notebooks", copy)
    home, log = copy.parent / "home", copy.parent / "jupyter.log"
    home.mkdir()
    flags = "--no-browser --ServerApp.port=0 --ServerApp.ip=127.0.0.1"
    environment = {
        **os.environ,
        "LABKIT_HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter"),  # a newcomer's: no settings, no open tabs
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            ["make", "lab", f"NOTEBOOK={copy / NOTEBOOKS[0]}", f"LAB_FLAGS={flags}"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield _url(log, process), copy
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
        take_down(home)


def _url(log: Path, process: subprocess.Popen) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/lab\S*token=(\w+)", log.read_text()):
            return f"http://127.0.0.1:{found[1]}/lab/workspaces/{{}}/tree/{{}}?token={found[2]}"
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        missing("chromium", "there is no Chromium on PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        browser.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_run_all_reaches_the_end(lab: tuple[str, Path], browser, notebook: str):
    tool("kubectl")
    url, folder = lab
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    try:
        page.goto(url.format(f"test{NOTEBOOKS.index(notebook)}", notebook))
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
        # The status bar: before it says so there is no kernel, and Run All would ask for one.
        page.wait_for_selector("text=/ipykernel.*Idle/", timeout=60_000)
        _menu(page, "Edit", "Clear Outputs of All Cells")
        _menu(page, "Run", "Run All Cells")
        cells = _wait_for_the_end(page, folder / notebook)
    finally:
        _keep(page, notebook)
        page.close()
    failed = [cell["source"] for cell in cells if _errors(cell)]
    assert not failed, "".join(failed[0])


def _menu(page, menu: str, item: str) -> None:
    page.click(f".lm-MenuBar-itemLabel:text-is('{menu}')")
    page.click(f".lm-Menu-itemLabel:text-is('{item}')")


def _wait_for_the_end(page, file: Path) -> list[dict]:
    """The notebook's code cells once the last one has run or one has failed."""
    deadline = time.monotonic() + 240
    while True:
        page.wait_for_timeout(2000)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        cells = [c for c in json.loads(file.read_text())["cells"] if c["cell_type"] == "code"]
        # Run All stops at an error, so a failed cell is the end too.
        if (cells[-1]["execution_count"] and cells[-1]["outputs"]) or any(map(_errors, cells)):
            return cells
        assert time.monotonic() < deadline, "Run All did not reach the end"


def _errors(cell: dict) -> list[dict]:
    return [output for output in cell["outputs"] if output["output_type"] == "error"]


def _keep(page, notebook: str) -> None:
    if folder := os.environ.get("LABKIT_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{Path(notebook).stem}.png"))
