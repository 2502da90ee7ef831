"""JupyterLab as a learner meets it: what is open, terminals, the app, and "Run All Cells"."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import websocket

from tests.conftest import tool
from tests.notebooks import course
from tests.notebooks.conftest import JupyterLab, keep

CHAPTERS = course.chapters()
APP = """
apiVersion: v1
kind: Pod
metadata: {name: app, labels: {app: app}}
spec: {containers: [{name: app, image: todolist}]}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {type: NodePort, selector: {app: app}, ports: [{port: 3001}]}
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_chapter_is_open_beside_a_view_of_its_cluster(lab: JupyterLab, browser, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.goto(lab.url("lab/workspaces/labkit"))
    page.wait_for_selector(".jp-NotebookPanel .jp-MarkdownOutput h1", timeout=60_000)
    page.wait_for_selector(".jp-LinkedOutputView", timeout=60_000)
    page.wait_for_selector(f".jp-DirListing-item >> text={CHAPTERS[0].path.name}")
    page.wait_for_selector("text=/ipykernel.*Idle/", timeout=60_000)
    keep(page, f"workspace-{scheme}")
    tabs = page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel").all_inner_texts()
    assert tabs == [CHAPTERS[0].path.name, "Output View"]
    assert page.get_attribute("body", "data-jp-theme-light") == str(scheme == "light").lower()
    assert not page.locator(".jp-Dialog, .Toastify__toast").count(), "it asks about something"
    context.close()
    assert not [url for url in elsewhere if not url.startswith((lab.address, "data:", "blob:"))]


def test_the_view_beside_the_first_chapter_is_that_of_the_cell_with_its_tag():
    data = json.loads((course.ROOT / "binder" / "workspace.json").read_text())["data"]
    views = [entry["data"] for name, entry in data.items() if name.startswith("cloned-outputs")]
    tagged = [cell.index for cell in CHAPTERS[0].cells if "beside" in cell.tags]
    assert [view["index"] for view in views] == tagged
    assert [view["path"] for view in views] == [f"notebooks/{CHAPTERS[0]}"]


@pytest.mark.timeout(120)
def test_a_terminal_has_the_clusters_kubectl_and_docker(lab: JupyterLab):
    tool("kubectl"), tool("docker")
    commands = "labkit env; kubectl get nodes -o name; docker version -f '<{{.Server.Version}}>'"
    said = _in_a_terminal(lab, f"{commands}; echo en''d\r")
    assert f"KUBECONFIG={lab.home}/lab/kubeconfig" in said
    assert "node/lab-worker3" in said
    assert "-labkit>" in said


def _in_a_terminal(lab: JupyterLab, text: str) -> str:
    """What a new terminal says until `end`."""
    with urllib.request.urlopen(lab.url("api/terminals"), data=b"") as answer:
        name = json.load(answer)["name"]
    url = lab.url(f"terminals/websocket/{name}").replace("http:", "ws:")
    terminal, said = websocket.create_connection(url, timeout=60), ""
    terminal.send(json.dumps(["stdin", text]))
    while "end" not in said:
        kind, *content = json.loads(terminal.recv())
        said += content[0] if kind == "stdout" else ""
    terminal.close()
    return said


@pytest.fixture
def app(lab: JupyterLab) -> Iterator[Path]:
    """A notebook that offers the app, which is deployed."""
    environment = {**os.environ, "KUBECONFIG": str(lab.home / "lab" / "kubeconfig")}
    kubectl = [tool("kubectl")]
    steps = (["apply", "-f", "-"], ["wait", "pod/app", "--for=condition=Ready", "--timeout=60s"])
    for step in steps:
        subprocess.run([*kubectl, *step], input=APP, text=True, env=environment, check=True)
    cell = nbformat.v4.new_code_cell('import labkit\n\nlabkit.Lab().open("app")')
    file = lab.folder / "open.ipynb"
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), file)
    yield file
    subprocess.run([*kubectl, "delete", "--now", "-f", "-"], input=APP, text=True, env=environment)


@pytest.mark.timeout(180)
def test_the_app_opens_and_works_through_jupyters_proxy(lab: JupyterLab, browser, app: Path):
    page = _open(browser, lab, app.name)
    _menu(page, "Run", "Run All Cells")
    with page.expect_popup() as popup:
        page.get_by_text("Open app in a new tab").click()
    tab = popup.value
    tab.fill("#title", "Buy milk")
    tab.click("form button")
    tab.wait_for_selector("#list >> text=Buy milk")
    keep(tab, "app")
    assert tab.url.startswith(f"{lab.address}proxy/")
    assert tab.inner_text("#name") == "app"
    page.close()


@pytest.mark.timeout(180)
def test_a_link_to_the_glossary_opens_it_as_a_page_to_read(lab: JupyterLab, browser):
    page = _open(browser, lab, f"notebooks/{CHAPTERS[0]}")
    page.click(".jp-MarkdownOutput a:text-is('glossary')")
    page.wait_for_selector(".jp-MarkdownViewer h1:has-text('Glossary')")
    page.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "chapter",
    [pytest.param(c, marks=[pytest.mark.long] if c.number > "00" else []) for c in CHAPTERS],
    ids=str,
)
def test_run_all_reaches_the_end(lab: JupyterLab, browser, chapter: course.Chapter):
    tool("kubectl")
    page = _open(browser, lab, f"notebooks/{chapter}")
    try:
        _menu(page, "Edit", "Clear Outputs of All Cells")
        _menu(page, "Run", "Run All Cells")
        cells = _wait_for_the_end(page, lab.folder / "notebooks" / str(chapter))
    finally:
        keep(page, chapter.path.stem)
        page.close()
    failed = [cell["source"] for cell in cells if _errors(cell)]
    assert not failed, "".join(failed[0])


def _open(browser, lab: JupyterLab, file: str):
    """A page with this notebook alone and its kernel."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(lab.url(f"lab/workspaces/{Path(file).stem}/tree/{file}"))
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
    # The status bar: before it says so there is no kernel, and Run All would ask for one.
    page.wait_for_selector("text=/ipykernel.*Idle/", timeout=60_000)
    return page


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
