"""A new version of the application: built with the docker CLI, rolled out with kubectl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

import labkit.apps
from labkit.clusters import engines, manage
from labkit.errors import ClusterError, UsageError
from tests.cluster.conftest import Kubectl, until
from tests.conftest import tool

APP = Path(labkit.apps.__file__).parent / "todolist"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A copy of the application whose version is 2, built over version 1.

    Over version 1, for a Docker daemon without a network has nothing else to build it from.
    """
    copy = tmp_path / "todolist"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("__pycache__"))
    program = copy / "todolist.py"
    program.write_text(program.read_text().replace('VERSION = "v1"', 'VERSION = "v2"'))
    file = copy / "Dockerfile"
    file.write_text(file.read_text().replace("FROM python:3-slim", "FROM todolist:v1"))
    return copy


def docker_of(cluster: manage.ClusterInfo) -> Callable[..., str]:
    """Runs the docker CLI against a cluster's engine."""

    def run(*words: str, cwd: Path | None = None) -> str:
        environ = {**os.environ, **cluster.environment()}
        done = subprocess.run(
            [tool("docker"), *words],
            env=environ,
            cwd=cwd,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def waiting(k: Kubectl, selector: str) -> list[str]:
    """For what the containers of some Pods wait."""
    states = [
        status["state"]
        for pod in k.json("get", "pods", "-l", selector)["items"]
        for status in pod["status"].get("containerStatuses", ())
    ]
    return [state["waiting"].get("reason", "") for state in states if "waiting" in state]


def versions(k: Kubectl, selector: str) -> set[str]:
    """What the Pods answer under /api/version."""
    found = set()
    for pod in k.json("get", "pods", "-l", selector)["items"]:
        if "deletionTimestamp" not in pod["metadata"]:
            url = f"http://{pod['status']['podIP']}:3001/api/version"
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    found.add(json.load(answer)["version"])
            except OSError as error:
                found.add(str(error))  # it does not listen yet
    return found


def all_have(k: Kubectl, version: str) -> None:
    until(lambda: versions(k, "app=web") == {version}, 20, f"all Pods are {version}")


@pytest.mark.timeout(300)
def test_a_version_that_was_built_is_rolled_out(cluster, k: Kubectl, app: Path):
    docker, image = docker_of(cluster), f"labkit-test-{uuid.uuid4().hex[:8]}:v2"
    k("create", "deployment", "web", "--image=todolist:v1", "--replicas=2")
    k("rollout", "status", "deployment/web", "--timeout=60s")
    all_have(k, "v1")

    k("set", "image", "deployment/web", f"todolist={image}")
    until(lambda: "ErrImagePull" in waiting(k, "app=web"), 40, "v2 cannot be pulled")
    docker("build", "-t", image, ".", cwd=app)
    k("rollout", "status", "deployment/web", "--timeout=60s")
    all_have(k, "v2")

    k("rollout", "undo", "deployment/web")
    k("rollout", "status", "deployment/web", "--timeout=60s")
    all_have(k, "v1")
    k("delete", "deployment", "web")
    until(lambda: not k("get", "pods", "-l", "app=web", "-o", "name"), 60, "the Pods are gone")
    docker("rmi", image)


def test_what_is_always_pulled_is_pushed_first(cluster, k: Kubectl, app: Path):
    if cluster.engine == engines.DOCKER:
        pytest.skip("the daemon has no registry to push to")
    docker = docker_of(cluster)
    docker("build", "-t", "mine", ".", cwd=app)
    k("run", "mine", "--image=mine")
    until(lambda: "ErrImagePull" in waiting(k, "run=mine"), 20, "no registry has it")
    docker("push", "mine")
    k("delete", "pod", "mine", "--now")
    k("run", "mine", "--image=mine")
    k("wait", "--for=condition=Ready", "pod/mine", "--timeout=60s")
    k("delete", "pod", "mine", "--now")


def test_images_are_kept_while_the_cluster_is_down(labkit_home: Path, kubectl: str, app: Path):
    mirrors = ["nginx=todolist"]
    cluster = manage.up("lab", 1, image_mirrors=mirrors, pre_pull=["nginx:1.27"])
    k, docker = Kubectl(kubectl, {**os.environ, **cluster.environment()}), docker_of(cluster)
    assert "todolist:latest" in docker("images", "--format", "{{.Repository}}:{{.Tag}}")
    docker("build", "-t", "todolist:v2", ".", cwd=app)
    k("create", "deployment", "web", "--image=nginx:v2")
    k("rollout", "status", "deployment/web", "--timeout=60s")
    all_have(k, "v2")  # the mirror has that tag
    manage.down("lab")
    assert manage.up("lab").image_mirrors == ("nginx=todolist",)
    until(lambda: not waiting(k, "app=web"), 20, "the Pod runs again")
    k("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
    (pod,) = k.json("get", "pods", "-l", "app=web")["items"]
    assert pod["status"]["containerStatuses"][0]["image"] == "nginx:v2"


def test_nodes_of_their_own_share_what_was_pushed(labkit_home: Path, kubectl: str, app: Path):
    cluster = manage.up("lab", 2, parts="separate", pre_pull=["busybox"])
    k, docker = Kubectl(kubectl, {**os.environ, **cluster.environment()}), docker_of(cluster)
    docker("build", "-t", "mine", ".", cwd=app)
    docker("push", "mine")
    for node in ("lab-worker", "lab-worker2"):
        spec = json.dumps({"apiVersion": "v1", "spec": {"nodeName": node}})
        k("run", node, "--image=mine", f"--overrides={spec}")
        k("wait", "--for=condition=Ready", f"pod/{node}", "--timeout=60s")
    names = [
        {name for image in node["status"]["images"] for name in image["names"]}
        for node in k.json("get", "nodes")["items"]
    ]
    assert all("busybox:latest" in found for found in names)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"image_mirrors": ["nginx"]}, UsageError, "it has not the form FROM=TO"),
        ({"pre_pull": ["No Image"]}, UsageError, "--pre-pull cannot be 'No Image'"),
        ({"pre_pull": ["nosuch"]}, ClusterError, "The image nosuch cannot be pulled: pull access"),
    ],
)
def test_what_cannot_be_had_is_said_at_the_start(labkit_home: Path, options, kind, words):
    with pytest.raises(kind, match=words):
        manage.up("lab", 1, **options)
    found = manage.info("lab")
    until(lambda: found is None or not manage.info("lab").running, 20, "the daemon has ended")


def test_the_command_line_takes_several_mirrors(labkit_home: Path):
    mirrors = ["--image-mirror", "a=todolist", "--image-mirror", "b=todolist"]
    words = [sys.executable, "-m", "labkit", "up", "--nodes", "1", *mirrors]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert manage.info("lab").image_mirrors == ("a=todolist", "b=todolist")
