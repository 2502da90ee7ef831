"""What Binder does with the files in `binder/`, as far as it can be done without Binder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import tool
from tests.notebooks.course import ROOT


def _start(*command: str, path: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PATH": path}
    start = [ROOT / "binder" / "start", *command]
    return subprocess.run(start, env=environment, capture_output=True, text=True, check=False)


def test_what_binder_starts_has_a_cluster_for_its_terminals(labkit_home: Path):
    tool("kubectl")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = _start("sh", "-c", 'kubectl get nodes -o name; echo "$DOCKER_HOST"', path=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-4:] == [
        "node/lab-worker", "node/lab-worker2", "node/lab-worker3",
        f"unix://{labkit_home}/lab/docker.sock",
    ]  # fmt: skip


def test_jupyterlab_starts_even_where_no_cluster_does(labkit_home: Path):
    done = _start("echo", "started", path="/usr/bin:/bin")
    assert done.stdout.endswith("started\n")
