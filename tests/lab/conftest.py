"""Two clusters: the lab's own, and one that a notebook knows only by the name of its context."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import yaml

from labkit.clusters import manage
from tests.conftest import own_home, tool

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: main, image: busybox, command: [sleep, "3600"]}}
"""


class Kubectl:
    """kubectl in somebody else's terminal."""

    def __init__(self, cluster: manage.ClusterInfo) -> None:
        self.environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}

    def __call__(self, command: str, input: str | None = None) -> str:
        done = subprocess.run(
            ["kubectl", *command.split()],
            env=self.environment,
            input=input,
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def names(self, kinds: str) -> set[str]:
        return set(self(f"get {kinds} -o name").split())


@pytest.fixture(scope="module")
def clusters() -> Iterator[dict[str, manage.ClusterInfo]]:
    tool("kubectl")
    with own_home():
        yield {name: manage.up(name, 1) for name in ("lab", "other")}


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """A Lab changes the environment of its notebook; here that is the test's."""
    with mock.patch.dict(os.environ):
        os.environ.pop("LABKIT_CONTEXT", None)
        yield


@pytest.fixture
def mine(clusters) -> Kubectl:
    return Kubectl(clusters["lab"])


@pytest.fixture
def theirs(clusters) -> Kubectl:
    return Kubectl(clusters["other"])


@pytest.fixture
def foreign(clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubeconfig with the other cluster's context in it, which is not the current one."""
    config = yaml.safe_load(clusters["other"].kubeconfig.read_text())
    config["contexts"].append({"name": "production", "context": {"cluster": "nowhere"}})
    config["clusters"].append({"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}})
    config["current-context"] = "production"
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("LABKIT_CONTEXT", "labkit-other")
    return path
