"""What all tests share: tools that may be absent, and clusters that are cleaned up.

`LABKIT_TEST_REQUIRE=kubectl,docker,chromium` turns "skipped, for the tool is absent" into a
failure: continuous integration installs them all, and nothing may be skipped there unnoticed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REQUIRED = set(filter(None, os.environ.get("LABKIT_TEST_REQUIRE", "").split(",")))
DOCKER_SOCKET = "/var/run/docker.sock"

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts what runs in its background so, and what the tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def tool(name: str) -> str:
    """The path of a program; skips the test (or fails, where it is required) if it is absent."""
    if path := shutil.which(name):
        return path
    missing(name, f"{name} is not on PATH")


def missing(name: str, reason: str) -> None:
    """Skip for want of `name`, or fail where `name` is required."""
    if name in REQUIRED:
        pytest.fail(f"{reason}, and {name} is required here (LABKIT_TEST_REQUIRE)")
    pytest.skip(reason)


def dockerd() -> str:
    """The URL of a real Docker daemon; skips the test (or fails) where none answers."""
    url = os.environ.get("LABKIT_TEST_DOCKER_HOST", f"unix://{DOCKER_SOCKET}")
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(url.removeprefix("unix://"))
    except OSError as error:
        missing("docker", f"no Docker daemon answers at {url}: {error}")
    return url


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The path of the real kubectl."""
    return tool("kubectl")


@pytest.fixture
def labkit_home(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for clusters of this test alone; what is left there afterwards is taken down."""
    home = Path(tempfile.mkdtemp(prefix="labkit-"))
    monkeypatch.setenv("LABKIT_HOME", str(home))
    yield home
    take_down(home)


@contextmanager
def own_home() -> Iterator[Path]:
    """The same for the tests of a module, while this context is entered."""
    home = Path(tempfile.mkdtemp(prefix="labkit-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_HOME", str(home))
        try:
            yield home
        finally:
            take_down(home)


def take_down(home: Path) -> None:
    """End every cluster in `home` and remove it."""
    for cluster in home.glob("*/cluster.json"):
        subprocess.run(
            [sys.executable, "-m", "labkit", "down", "--name", cluster.parent.name, "--delete"],
            env={**os.environ, "LABKIT_HOME": str(home)},
            check=False,
            capture_output=True,
            timeout=60,
        )
    shutil.rmtree(home, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Clusters of this run live in a directory of this run, never in the learner's own."""
    config.labkit_home = Path(tempfile.mkdtemp(prefix="labkit-"))
    os.environ["LABKIT_HOME"] = str(config.labkit_home)


def pytest_unconfigure(config: pytest.Config) -> None:
    take_down(config.labkit_home)
