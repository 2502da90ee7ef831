"""The notebooks on a real Docker daemon, as with `export LABKIT_ENGINE=docker`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import dockerd, tool

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_the_notebooks_pass_on_a_docker_daemon(labkit_home: Path):
    tool("kubectl")
    environment = {**os.environ, "LABKIT_ENGINE": "docker", "DOCKER_HOST": dockerd()}
    # Its pytest makes a directory for clusters of its own; the notebooks are to keep to ours.
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest",
        "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=120", "notebooks",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    description = json.loads((labkit_home / "lab" / "cluster.json").read_text())
    assert description["engine"] == "docker"
