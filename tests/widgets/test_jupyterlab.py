"""The four views in JupyterLab: keys and clicks change something, and what is saved is static.

Screenshots, light and dark, are kept in the directory `$LABKIT_SCREENSHOTS`, where that is set.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.conftest import own_home, tool
from tests.notebooks.conftest import browser, keep  # noqa: F401

APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: myapp}
spec:
  replicas: 2
  selector: {matchLabels: {app: myapp}}
  template:
    metadata: {labels: {app: myapp}}
    spec:
      containers:
      - name: myapp
        image: todolist
        ports: [{containerPort: 3001}]
        readinessProbe: {httpGet: {path: /, port: 3001}, periodSeconds: 1}
        resources: {requests: {cpu: 100m}, limits: {cpu: 500m}}
---
apiVersion: v1
kind: Service
metadata: {name: myapp}
spec: {type: NodePort, selector: {app: myapp}, ports: [{port: 3001}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: myapp}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: myapp}
  minReplicas: 2
  maxReplicas: 4
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
"""
pytestmark = pytest.mark.timeout(300)
CELLS = (
    f'import labkit\nlab = labkit.Lab(nodes=2)\nlab.apply("""{APP}""")\n'
    'lab.wait("deployment/myapp", "Available")',
    "lab.map()",
    'lab.autoscaling("myapp")',
    "from labkit.simulate.cli import LESSON\nlabkit.what_if(LESSON)",
    'lab.explain_scheduling("deployment/myapp")',
    'print("the end")',
)
MAP, AUTOSCALING, WHAT_IF, PLACEMENT = range(4)


@dataclass(frozen=True)
class Served:
    """JupyterLab with one notebook."""

    url: str
    file: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    tool("kubectl")
    folder = tmp_path_factory.mktemp("widgets")
    file = folder / "views.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(source) for source in CELLS]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), file)
    flags = ["--no-browser", "--allow-root", "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1"]
    themes = folder / "settings" / "@jupyterlab" / "apputils-extension"
    themes.mkdir(parents=True)
    adaptive = '{"adaptive-theme": true}'  # light or dark as the browser prefers
    (themes / "themes.jupyterlab-settings").write_text(adaptive)
    settings = {
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
    }
    with own_home(), (folder / "jupyter.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *flags, f"--ServerApp.root_dir={folder}"],
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield Served(_url(folder / "jupyter.log", process), file)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _url(log: Path, process: subprocess.Popen) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/lab\?token=(\w+)", log.read_text()):
            return f"http://127.0.0.1:{found[1]}/lab/tree/views.ipynb?token={found[2]}"
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def page(served: Served, browser) -> Iterator[object]:  # noqa: F811
    """The notebook after Run All."""
    page = browser.new_page(viewport={"width": 1280, "height": 3400})
    page.set_default_timeout(120_000)
    page.goto(served.url)
    page.wait_for_selector("text=/ipykernel.*Idle/")
    _menu(page, "Run", "Run All Cells")
    page.wait_for_selector(".jp-OutputArea-output >> text=/^the end/")
    page.wait_for_function("document.querySelectorAll('.labkit-panel').length === 4")
    yield page
    page.close()


def _menu(page, menu: str, item: str) -> None:
    page.click(f".lm-MenuBar-itemLabel:text-is('{menu}')")
    page.click(f".lm-Menu-itemLabel:text-is('{item}')")


def panel(page, place: int):
    return page.locator(".labkit-panel").nth(place)


def slider(page, label: str, *keys: str):
    """Give a slider the focus and press keys."""
    found = page.get_by_role("slider", name=label, exact=True)
    found.focus()
    for key in keys:
        page.keyboard.press(key)
    return found


def says(page, place: int, part: str, pattern: str) -> None:
    """Wait until a part of a panel says something."""
    panel(page, place).locator(part).filter(has_text=re.compile(pattern)).wait_for()


def test_arrow_keys_walk_over_the_map_and_tell_of_each_thing(page):
    things = panel(page, MAP).locator("[data-key]")
    assert panel(page, MAP).locator("[tabindex='0']").count() == 1, "one Tab stop"
    things.first.focus()
    page.keyboard.press("ArrowRight")
    says(page, MAP, ".lk-detail", "^Node lab-worker2: Ready")
    page.keyboard.press("ArrowRight")
    says(page, MAP, ".lk-detail", "^Service default/myapp: NodePort")
    panel(page, MAP).locator("[data-key^='pod/']").first.click()
    says(page, MAP, ".lk-detail", r"^Pod default/myapp-.*: Ready; 1/1 containers ready")


def test_the_focus_outlives_a_redraw(page):
    pod = panel(page, MAP).locator("[data-key^='pod/']").first
    key = pod.get_attribute("data-key")
    pod.focus()
    page.get_by_role("combobox", name="Namespace").evaluate(
        "node => { node.value = 'default'; node.dispatchEvent(new Event('change')) }"
    )
    # The picture is the same text, so nothing was drawn: make a Pod come.
    slider(page, "Load", "End")
    page.get_by_role("button", name="Start the load").click()
    pod.focus()
    says(page, MAP, ".lk-over", r"\d+/s")
    assert page.evaluate("document.activeElement.dataset.key") == key


def test_the_slider_changes_the_load_that_runs(page):
    says(page, AUTOSCALING, ".lk-note", "Load in the last second: [12]")
    assert slider(page, "Load", "Home", *["ArrowRight"] * 9).input_value() == "10"
    says(page, AUTOSCALING, ".lk-note", "Load in the last second: 10 sent")
    says(page, AUTOSCALING, ".lk-words", "It (leaves|wants|cannot decide)")
    page.get_by_role("button", name="Stop the load").click()
    says(page, AUTOSCALING, ".lk-note", "No load")


def test_a_slider_of_what_if_plays_another_scenario(page):
    says(page, WHAT_IF, ".lk-note", "minutes in virtual time")
    before = panel(page, WHAT_IF).locator("img").get_attribute("alt")
    slider(page, "Load at its peak", *["ArrowRight"] * 8)
    says(page, WHAT_IF, ".lk-note", "Playing")
    says(page, WHAT_IF, ".lk-note", "minutes in virtual time")
    after = panel(page, WHAT_IF).locator("img").get_attribute("alt")
    assert "load up to 12/s" in before
    assert "load up to 20/s" in after


def test_a_pod_that_requests_more_fits_nowhere(page):
    says(page, PLACEMENT, ".lk-words", "2 of 2 nodes can take it")
    slider(page, "The Pod requests CPU", "End")
    says(page, PLACEMENT, ".lk-words", "0/2 nodes are available: 2 Insufficient cpu")
    page.get_by_role("button", name="As it is").click()
    says(page, PLACEMENT, ".lk-words", "2 of 2 nodes can take it")


def test_light_and_dark_are_the_pages_own(page):
    background = "getComputedStyle(document.querySelector('.labkit-panel')).backgroundColor"
    keep(page, "views-light")
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{background} !== '{light}'")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    keep(page, "views-dark")


def test_an_interrupt_leaves_static_frames_and_no_widget_is_saved(page, served: Served):
    _menu(page, "Kernel", "Interrupt Kernel")
    page.wait_for_function("document.querySelectorAll('.labkit-panel').length === 0")
    assert page.locator("text=/Interrupted: run the cell again to go on/").count() == 4
    keep(page, "views-ended")
    page.keyboard.press("Control+s")
    deadline = time.monotonic() + 30
    while not _is_static(saved := json.loads(served.file.read_text())):
        assert time.monotonic() < deadline, "it was not saved"
        page.wait_for_timeout(500)
    assert "widgets" not in saved["metadata"]


def _is_static(notebook: dict) -> bool:
    """Whether each view's cell has its two static faces alone."""
    faces = [set(output["data"]) for cell in notebook["cells"][1:5] for output in cell["outputs"]]
    return faces == [{"text/html", "text/plain"}] * 4
