"""Pods to talk with, for the tests of what connects to them."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.api.conftest import Wire, until
from tests.conftest import missing

_USUAL = "python:3-alpine" if os.environ.get("LABKIT_TEST_KUBECONFIG") else "busybox"
IMAGE = os.environ.get("LABKIT_TEST_IMAGE", _USUAL)
"""An image with sh, cat, tar and python3 (which the embedded engine's images all have)."""
FOREVER = ["sh", "-c", "trap exit TERM; while :; do sleep 0.2; done"]


@contextmanager
def room(wire: Wire) -> Iterator[str]:
    """The path of a namespace for a whole module."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    wire.ok("POST", "/api/v1/namespaces", body)
    path = f"/api/v1/namespaces/{name}"
    until(
        lambda: wire.get(f"{path}/serviceaccounts/default").status_code == 200,
        what="the default ServiceAccount",
    )
    yield path
    wire.delete(path)


def container(name: str, command: list[str] | str = FOREVER, **more: object) -> dict:
    """A container; a text is a shell's command."""
    words = ["sh", "-c", command] if isinstance(command, str) else command
    return {"name": name, "image": IMAGE, "command": words, **more}


def pod(name: str, *containers: dict, labels: dict | None = None, **spec: object) -> dict:
    """A Pod that ends at once when it is deleted."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": list(containers), **spec},
    }


def running(wire: Wire, ns: str, made: dict) -> dict:
    """Create a Pod and wait until it is ready."""
    wire.ok("POST", f"{ns}/pods", made)
    path = f"{ns}/pods/{made['metadata']['name']}"
    until(lambda: is_ready(wire.ok("GET", path)), 60, "the Pod is ready")
    return wire.ok("GET", path)


def is_ready(found: dict) -> bool:
    conditions = found["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


class Kubectl:
    """One kubectl on one namespace."""

    def __init__(self, program: str, kubeconfig: Path, ns: str) -> None:
        if not shutil.which(program):
            missing("kubectl", f"there is no {program}")
        self.program = program
        self.environ = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        self.words = ["--namespace", ns.rsplit("/", 1)[1]]

    def __call__(self, *words: str, send: bytes | None = None) -> subprocess.CompletedProcess:
        """One command, with `send` as its standard input."""
        return subprocess.run(
            [self.program, *self.words, *words],
            env=self.environ,
            input=send,
            stdin=subprocess.DEVNULL if send is None else None,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def start(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        """One command in the background."""
        return subprocess.Popen([self.program, *self.words, *words], env=self.environ, **options)


def programs() -> list[str]:
    """The kubectl of the path, and the oldest there is: the latter speaks SPDY."""
    old = sorted(Path("/usr/lib/google-cloud-sdk/bin").glob("kubectl.1.2?"))
    return ["kubectl", *(str(path) for path in old[:1])]
