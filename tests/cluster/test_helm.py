"""Helm installs, upgrades, rolls back and removes a chart, and waits until it is so."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.clusters import manage
from tests.cluster.conftest import Kubectl
from tests.conftest import tool

VALUES = ("image.repository=todolist", "image.tag=v1", "service.port=3001")
Helm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def helm(cluster: manage.ClusterInfo, tmp_path: Path) -> Helm:
    """helm, and beside it the chart `web` as `helm create` makes it."""
    path = tool("helm")
    environment = {**os.environ, **cluster.environment(), "HOME": str(tmp_path)}

    def run(*arguments: str, values: tuple[str, ...] = VALUES) -> subprocess.CompletedProcess[str]:
        options = [option for value in values for option in ("--set", value)]
        return subprocess.run(
            [path, *arguments, *options],
            cwd=tmp_path,
            env=environment,
            text=True,
            capture_output=True,
            check=False,
            timeout=100,
        )

    ok(run("create", "web", values=()))
    return run


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}\n{done.stderr}"
    return done.stdout


WAIT = ("--wait", "--timeout", "60s")


def test_the_life_of_a_release(helm: Helm, k: Kubectl):
    ok(helm("install", "web", "./web", *WAIT))
    assert k.json("get", "deployment", "web")["status"]["readyReplicas"] == 1

    ok(helm("upgrade", "web", "./web", *WAIT, values=(*VALUES, "replicaCount=2")))
    assert k.json("get", "deployment", "web")["status"]["readyReplicas"] == 2

    ok(helm("rollback", "web", "1", *WAIT, values=()))
    assert k.json("get", "deployment", "web")["spec"]["replicas"] == 1
    history = json.loads(ok(helm("history", "web", "-o", "json", values=())))
    assert [one["status"] for one in history] == ["superseded", "superseded", "deployed"]

    ok(helm("test", "web", values=()))
    ok(helm("uninstall", "web", "--wait", values=()))
    left = k.json("get", "deployments,services,secrets", "-l", "app.kubernetes.io/instance=web")
    assert left["items"] == []


def test_what_does_not_become_ready_is_taken_back(helm: Helm, k: Kubectl):
    done = helm("install", "bad", "./web", "--atomic", "--timeout", "5s", values=())
    assert done.returncode != 0
    assert "release bad failed, and has been uninstalled due to atomic being set" in done.stderr
    assert k.json("get", "deployments", "-l", "app.kubernetes.io/instance=bad")["items"] == []


def test_a_dry_run_on_the_server_and_every_kind_of_the_chart(helm: Helm, k: Kubectl):
    every = (*VALUES, "autoscaling.enabled=true", "ingress.enabled=true")
    text = ok(helm("install", "all", "./web", "--dry-run=server", values=every))
    assert "kind: HorizontalPodAutoscaler" in text
    ok(helm("upgrade", "--install", "all", "./web", *WAIT, values=every))
    names = k("get", "hpa,ingress,serviceaccount", "-l", "app.kubernetes.io/instance=all",
              "-o", "name").split()  # fmt: skip
    assert names == [
        "horizontalpodautoscaler.autoscaling/all-web",
        "ingress.networking.k8s.io/all-web",
        "serviceaccount/all-web",
    ]
    ok(helm("uninstall", "all", values=()))
