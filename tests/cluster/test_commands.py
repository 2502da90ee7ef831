"""`labkit up | down | status | env`: what a person sees in a terminal."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import docker
import psutil
import pytest

from labkit.clusters import manage
from tests.cluster.conftest import Kubectl, until
from tests.conftest import dockerd


def labkit(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "labkit", *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def family(pid: int) -> list[psutil.Process]:
    """A process and everything under it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def test_up_makes_a_cluster_and_down_leaves_nothing_but_what_it_says(labkit_home: Path):
    up = labkit("up", "--nodes", "2")
    assert up.returncode == 0, up.stderr
    assert "The cluster lab is up" in up.stdout
    assert "labkit-lab" in up.stdout
    kubeconfig = labkit_home / "lab" / "kubeconfig"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    members = family(manage.info("lab").pid)

    down = labkit("down")
    assert down.returncode == 0, down.stderr
    assert not any(_alive(member) for member in members)
    left = {path.name for path in (labkit_home / "lab").iterdir()}
    assert not {"docker.sock", "engine"} & left
    assert str(labkit_home / "lab") in down.stdout

    assert labkit("down", "--delete").returncode == 0
    assert list(labkit_home.iterdir()) == []


def test_every_private_file_is_for_its_owner_alone(labkit_home: Path):
    manage.up("lab", 1)
    root = labkit_home / "lab"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    secrets = [root / "kubeconfig", *root.glob("pki/*.key")]
    assert len(secrets) > 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


def test_up_again_finds_it_up(labkit_home: Path):
    labkit("up", "--nodes", "1")
    again = labkit("up")
    assert again.returncode == 0
    assert "is up already" in again.stdout


def test_up_with_other_settings_says_what_to_type(labkit_home: Path):
    labkit("up", "--nodes", "1")
    other = labkit("up", "--nodes", "2")
    assert other.returncode == 1
    assert "labkit down --name lab" in other.stderr


def test_env_points_kubectl_and_docker_at_the_cluster(labkit_home: Path):
    labkit("up", "--nodes", "1")
    lines = labkit("env").stdout.splitlines()
    assert lines[0] == f"export KUBECONFIG={labkit_home}/lab/kubeconfig"
    assert lines[1].startswith("export DOCKER_HOST=unix:///")


def test_status_tells_of_nodes_and_of_clusters_that_are_down(labkit_home: Path):
    assert "labkit up" in labkit("status").stdout
    labkit("up", "--nodes", "2")
    assert "2 of 2 Ready" in labkit("status").stdout
    labkit("down")
    assert "lab: down" in labkit("status").stdout


def test_two_clusters_live_side_by_side(labkit_home: Path, kubectl: str):
    for name in ("one", "two"):
        assert labkit("up", "--name", name, "--nodes", "1").returncode == 0
    found = [manage.info(name) for name in ("one", "two")]
    assert found[0].server != found[1].server
    for cluster in found:
        run = Kubectl(kubectl, {**os.environ, **cluster.environment()})
        assert run("get", "nodes", "-o", "name") == f"node/{cluster.name}-worker\n"
        run("run", "web", "--image=todolist")
        run("wait", "--for=condition=Ready", "pod/web", "--timeout=20s")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["down"], "There is no cluster lab."),
        (["env"], "There is no cluster lab."),
        (["status", "--name", "lab"], "There is no cluster lab."),
        (["up", "--nodes", "0"], "cannot have 0 nodes"),
        (["up", "--name", "My Lab"], "labkit up --name my-lab"),
        (["up", "--metric-resolution", "fast"], "--metric-resolution cannot be 'fast'"),
    ],
    ids=["down", "env", "status", "nodes", "name", "flag"],
)
def test_a_mistake_gets_a_clear_message_and_leaves_nothing(
    labkit_home: Path, arguments: list[str], words: str
):
    done = labkit(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(labkit_home.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "file"))
    done = labkit("up")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "export LABKIT_HOME=" in done.stderr


def test_killing_the_daemon_leaves_no_container_and_loses_no_object(
    labkit_home: Path, kubectl: str
):
    cluster = manage.up("lab", 2)
    run = Kubectl(kubectl, {**os.environ, **cluster.environment()})
    run("create", "deployment", "web", "--image=todolist", "--replicas=3")
    run("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    run("create", "configmap", "kept", "--from-literal=key=value")
    members = family(cluster.pid)
    assert len(members) > 6, "daemon, spawner, and a pause and an app process for each Pod"

    os.kill(cluster.pid, signal.SIGKILL)
    until(lambda: not any(_alive(member) for member in members), 10, "no process left")

    manage.up("lab")
    assert run("get", "configmap", "kept", "-o", "jsonpath={.data.key}") == "value"
    run("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    run("rollout", "status", "deployment/web", "--timeout=30s")
    assert run("get", "pods", "--no-headers").count("Running") == 3


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_interrupted_start_leaves_no_daemon(labkit_home: Path):
    starting = subprocess.Popen(
        [sys.executable, "-m", "labkit", "up"], stdout=subprocess.PIPE, text=True
    )
    starting.stdout.readline()  # its first step
    starting.send_signal(signal.SIGINT)
    starting.wait(30)
    until(lambda: manage.info("lab").pid is None, 20, "the daemon gives up")


def test_the_courses_images_are_built_where_another_cluster_can_have_them(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", dockerd())
    done = labkit("images")
    assert done.returncode == 0, done.stderr
    names = done.stdout.splitlines()[-1].split(": ")[1].split()
    assert {"todolist:latest", "todolist:v1", "web:v1", "rule:v1", "user:v1"} <= set(names)
    client = docker.DockerClient(base_url=dockerd())
    built = {name: client.images.get(name).id for name in names}
    client.close()
    assert built["todolist:latest"] == built["todolist:v1"]


def test_images_of_the_embedded_engine_are_of_no_use_to_another_cluster(labkit_home: Path):
    labkit("up", "--nodes", "1")
    done = labkit("images", environment=manage.info("lab").environment())
    assert done.returncode == 1
    assert "is an embedded engine, not a Docker daemon" in done.stderr
