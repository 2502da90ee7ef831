"""A real cluster for the tests of this directory: brought up once, taken down at the end.

Tests that take `cluster` run twice: on the embedded engine and on a real Docker daemon, where there
is one.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from labkit.clusters import engines, manage
from tests.conftest import dockerd, own_home

QUICK = {
    "horizontal-pod-autoscaler-sync-period": "1s",
    "horizontal-pod-autoscaler-downscale-stabilization": "5s",
    "metric-resolution": "1s",
}


@dataclass
class Kubectl:
    """Runs kubectl against one cluster."""

    path: str
    environment: dict[str, str]

    def __call__(self, *arguments: str, input: str | None = None, check: bool = True) -> str:
        done = self.run(*arguments, input=input)
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stderr}"
        return done.stdout

    def run(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.path, *arguments],
            env=self.environment,
            input=input,
            text=True,
            capture_output=True,
            check=False,
            timeout=90,
        )

    def json(self, *arguments: str) -> dict:
        return json.loads(self(*arguments, "-o", "json"))


def until(condition: Callable[[], object], seconds: float, what: str) -> object:
    """The first true answer of `condition`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module", params=engines.ENGINES)
def cluster(request: pytest.FixtureRequest) -> Iterator[manage.ClusterInfo]:
    """Three nodes with quick autoscaling, for one module, on each of the engines."""
    if request.param == engines.DOCKER:
        dockerd()
    with own_home():
        yield manage.up("test", 3, QUICK, engine=request.param)


@pytest.fixture(scope="module")
def k(cluster: manage.ClusterInfo, kubectl: str) -> Kubectl:
    return Kubectl(kubectl, {**os.environ, **cluster.environment()})
