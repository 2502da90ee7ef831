"""The real kubectl against an API server: ours, or the one of `LABKIT_TEST_KUBECONFIG`."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serving import served_in_thread


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if given := os.environ.get("LABKIT_TEST_KUBECONFIG"):
        yield Path(given)
        return
    with served_in_thread(tmp_path_factory.mktemp("server")) as path:
        yield path


@dataclass
class Kubectl:
    """Runs kubectl in one namespace."""

    path: str
    environment: dict[str, str]
    namespace: str

    def command(self, *arguments: str) -> list[str]:
        return [self.path, "--namespace", self.namespace, *arguments]

    def run(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            input=input,
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def __call__(self, *arguments: str, input: str | None = None) -> str:
        """What kubectl prints; it must succeed."""
        done = self.run(*arguments, input=input)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stderr}"
        return done.stdout

    def fails(self, *arguments: str, input: str | None = None) -> str:
        """What kubectl complains about; it must fail."""
        done = self.run(*arguments, input=input)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)}\n{done.stdout}"
        return done.stderr

    def json(self, *arguments: str) -> dict:
        return json.loads(self(*arguments, "-o", "json"))

    def watch(self, *arguments: str) -> subprocess.Popen[str]:
        """kubectl, running on; its output is a pipe of lines."""
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, text=True, stdout=subprocess.PIPE
        )


@pytest.fixture
def k(kubectl: str, kubeconfig: Path, tmp_path: Path) -> Iterator[Kubectl]:
    """kubectl in a fresh namespace."""
    # A home of its own: kubectl keeps discovery on disk, by the server's address.
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}
    made = Kubectl(kubectl, environment, f"test-{uuid.uuid4().hex[:8]}")
    made("create", "namespace", made.namespace)
    # Where controllers run, they make it too: whoever is first.
    made.run("create", "serviceaccount", "default")
    yield made
    made("delete", "namespace", made.namespace, "--wait=false")
