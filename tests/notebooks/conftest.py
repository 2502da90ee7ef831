"""`make lab` on a copy of the course, and a browser to meet it with.

Screenshots are kept in the directory `$LABKIT_SCREENSHOTS`, where that is set.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import missing, take_down
from tests.notebooks.course import ROOT

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
# As behind a hub such as mybinder.org's: nothing may rely on being at the root of a server.
BASE = "/user/learner/"


@dataclass(frozen=True)
class JupyterLab:
    """A running JupyterLab: `address` ends in its base, `folder` is what it serves."""

    address: str
    token: str
    folder: Path
    home: Path

    def url(self, path: str) -> str:
        return f"{self.address}{path}?token={self.token}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """`make lab` as a newcomer meets it: no settings, no open tabs, no cluster yet."""
    folder = tmp_path_factory.mktemp("lab")
    copy, home = folder / "course", folder / "home"
    for part in ("notebooks", "docs"):
        shutil.copytree(ROOT / part, copy / part)
    home.mkdir()
    flags = f"--no-browser --ServerApp.port=0 --ServerApp.ip=127.0.0.1 --ServerApp.base_url={BASE}"
    environment = {
        **os.environ,
        "LABKIT_HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
    }
    with (folder / "jupyter.log").open("w+") as log:
        process = subprocess.Popen(
            ["make", "lab", f"LAB_FLAGS={flags} --ServerApp.root_dir={copy}"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield JupyterLab(*_address(folder / "jupyter.log", process), copy, home)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
        take_down(home)


def _address(log: Path, process: subprocess.Popen) -> tuple[str, str]:
    deadline = time.monotonic() + 90
    said = rf"(http://127\.0\.0\.1:\d+{BASE})lab/workspaces/labkit\?token=(\w+)"
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(said, log.read_text()):
            return found[1], found[2]
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


def keep(page, name: str) -> None:
    """Keep a screenshot, where somebody wants them."""
    if folder := os.environ.get("LABKIT_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))
