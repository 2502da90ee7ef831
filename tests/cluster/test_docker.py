"""A cluster on a real Docker daemon: what is real there, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from labkit.clusters import manage
from tests.cluster.conftest import QUICK, Kubectl, until
from tests.conftest import dockerd

TWO_CONTAINERS = """
apiVersion: v1
kind: Pod
metadata: {name: pair}
spec:
  restartPolicy: Never
  containers:
  - {name: web, image: todolist}
  - name: client
    image: busybox
    command: [sh, -c, "until wget -q -O- http://127.0.0.1:3001/healthz; do sleep 0.1; done"]
"""
HUNGRY = """
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
  - name: app
    image: todolist
    command: [python3, -c, "import time; b = bytearray(200_000_000); time.sleep(60)"]
    resources: {limits: {memory: 50Mi}}
"""
HOST_PORTS = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec:
      containers:
      - name: app
        image: todolist
        ports: [{containerPort: 3001, hostPort: 8181}]
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=dockerd())
    yield client
    client.close()


@pytest.fixture
def labkit_home(labkit_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_HOST", dockerd())
    return labkit_home


def left(daemon: docker.DockerClient, home: Path) -> list[str]:
    """What the daemon and the machine have of the clusters in `home`."""
    marks = [
        f"{key}={home / name}"
        for name in ("lab", "one", "two")
        for key in ("io.labkit.cluster", "io.labkit.guard")
    ]
    found = []
    for mark in marks:
        filters = {"label": mark}
        found += [one.name for one in daemon.containers.list(all=True, filters=filters)]
        found += [one.name for one in daemon.networks.list(names=None, filters=filters)]
    return found


def routed(server: str) -> bool:
    """Whether the address in a URL is one of this machine's."""
    address = server.removeprefix("https://").partition(":")[0]
    shown = subprocess.run(
        ["ip", "route", "get", address], capture_output=True, text=True, check=False
    )
    return shown.stdout.startswith("local")


def kubectl_for(path: str, cluster: manage.ClusterInfo) -> Kubectl:
    return Kubectl(path, {**os.environ, **cluster.environment()})


def test_down_leaves_nothing_on_the_daemon_and_up_goes_on(
    labkit_home: Path, kubectl: str, daemon: docker.DockerClient
):
    cluster = manage.up("lab", 1, engine="docker")
    run = kubectl_for(kubectl, cluster)
    run("create", "deployment", "web", "--image=todolist")
    run("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    assert len(left(daemon, labkit_home)) == 4, "network, guard, pause and web"
    manage.down("lab")
    assert left(daemon, labkit_home) == []
    assert not routed(cluster.server)
    assert manage.up("lab").server == cluster.server
    run("rollout", "status", "deployment/web", "--timeout=30s")


def test_a_killed_daemon_leaves_nothing_without_anybodys_help(
    labkit_home: Path, kubectl: str, daemon: docker.DockerClient
):
    cluster = manage.up("lab", 1, engine="docker")
    run = kubectl_for(kubectl, cluster)
    run("run", "web", "--image=todolist")
    run("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    os.kill(cluster.pid, signal.SIGKILL)
    until(lambda: not left(daemon, labkit_home), 30, "nothing is left on the daemon")
    until(lambda: not routed(cluster.server), 5, "its addresses are nobody's")


def test_what_nobody_could_remove_is_removed_by_the_next_up(
    labkit_home: Path, kubectl: str, daemon: docker.DockerClient
):
    cluster = manage.up("lab", 1, engine="docker")
    run = kubectl_for(kubectl, cluster)
    run("run", "web", "--image=todolist", "--restart=Always")
    run("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    (guard,) = daemon.containers.list(filters={"label": f"io.labkit.guard={labkit_home / 'lab'}"})
    guard.remove(force=True)
    os.kill(cluster.pid, signal.SIGKILL)
    orphans = {one for one in left(daemon, labkit_home) if one.startswith("k8s_")}
    assert len(orphans) == 2

    manage.up("lab")
    run("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    manage.down("lab")
    assert left(daemon, labkit_home) == []


def test_two_clusters_share_a_daemon(labkit_home: Path, kubectl: str, daemon: docker.DockerClient):
    clusters = [manage.up(name, 1, engine="docker") for name in ("one", "two")]
    assert clusters[0].server != clusters[1].server
    runs = [kubectl_for(kubectl, cluster) for cluster in clusters]
    for run in runs:
        run("run", "web", "--image=todolist", "--port=3001", "--expose")
        run("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    manage.down("one")
    page = "wget -q -O- http://web:3001/healthz"
    assert "ok" in runs[1]("exec", "web", "--", "sh", "-c", page)
    manage.down("two")
    assert left(daemon, labkit_home) == []


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("unix:///nowhere/docker.sock", ["does not answer", "labkit up --engine embedded"]),
        ("tcp://127.0.0.1:2375", ["is not on this machine", "export DOCKER_HOST="]),
    ],
    ids=["nobody", "another machine"],
)
def test_a_daemon_that_cannot_be_used_gets_a_clear_message(
    labkit_home: Path, monkeypatch: pytest.MonkeyPatch, host: str, words: list[str]
):
    monkeypatch.setenv("DOCKER_HOST", host)
    done = labkit("up", "--engine", "docker")
    assert done.returncode == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


def test_the_engine_of_another_cluster_is_no_daemon(
    labkit_home: Path, monkeypatch: pytest.MonkeyPatch
):
    embedded = manage.up("one", 1, engine="embedded")
    monkeypatch.setenv("DOCKER_HOST", embedded.docker_host)
    assert "unset DOCKER_HOST" in labkit("up", "--engine", "docker").stderr


def test_a_cluster_keeps_its_engine(labkit_home: Path):
    manage.up("one", 1, engine="embedded")
    assert "is on the embedded engine" in labkit("up", "--name", "one", "--engine=docker").stderr


def test_separate_parts_take_the_embedded_engine_whatever_is_set_for_new_clusters(
    labkit_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LABKIT_ENGINE", "docker")
    assert manage.up("one", 1, parts="separate").engine == "embedded"
    refused = labkit("up", "--name=two", "--parts=separate", "--engine=docker").stderr
    assert "cannot be separate processes" in refused


def labkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labkit", *arguments],
        text=True, capture_output=True, check=False, timeout=90,
    )  # fmt: skip


# What Docker gives


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[manage.ClusterInfo]:
    """Two nodes on the Docker daemon."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_HOME", str(home))
        patch.setenv("DOCKER_HOST", dockerd())
        yield manage.up("test", 2, QUICK, engine="docker")
        manage.down("test", delete=True)


def test_containers_of_a_pod_share_its_network(k: Kubectl):
    k("apply", "-f", "-", input=TWO_CONTAINERS)
    k("wait", "--for=jsonpath={.status.containerStatuses[?(@.name=='client')].state.terminated"
      ".exitCode}=0", "pod/pair", "--timeout=30s")  # fmt: skip


def test_a_pods_address_is_one_of_its_nodes(k: Kubectl):
    k("run", "placed", "--image=todolist")
    k("wait", "--for=condition=Ready", "pod/placed", "--timeout=30s")
    pod = k.json("get", "pod", "placed")
    cidr = k.json("get", "node", pod["spec"]["nodeName"])["spec"]["podCIDR"]
    assert pod["status"]["podIP"].rpartition(".")[0] == cidr.rpartition(".")[0]


def test_memory_limits_are_the_kernels(k: Kubectl):
    k("apply", "-f", "-", input=HUNGRY)
    path = "{.status.containerStatuses[0].state.terminated.reason}"
    k("wait", f"--for=jsonpath={path}=OOMKilled", "pod/hungry", "--timeout=30s")
    ended = k.json("get", "pod", "hungry")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 137


def test_names_and_services_are_reached_from_inside_at_any_port(k: Kubectl):
    k("create", "deployment", "web", "--image=todolist", "--replicas=2")
    k("expose", "deployment", "web", "--port=80", "--target-port=3001")
    k("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    for name in ("web", "web.default", "web.default.svc.cluster.local"):
        got = k("exec", "deployment/web", "--", "wget", "-q", "-O-", f"http://{name}/healthz")
        assert "ok" in got
    nodes = k("get", "nodes", "-o", "jsonpath={.items[*].status.addresses[0].address}").split()
    k("patch", "service", "web", "-p", '{"spec": {"type": "NodePort"}}')
    port = k.json("get", "service", "web")["spec"]["ports"][0]["nodePort"]
    for node in nodes:
        url = f"http://{node}:{port}/healthz"
        assert "ok" in k("exec", "deployment/web", "--", "wget", "-q", "-O-", url)


def test_host_ports_are_those_of_each_node(k: Kubectl):
    k("apply", "-f", "-", input=HOST_PORTS)
    k("rollout", "status", "daemonset/everywhere", "--timeout=30s")
    pod = k("get", "pods", "-l", "app=everywhere", "-o", "name").split()[0]
    for node in k("get", "nodes", "-o", "jsonpath={.items[*].status.addresses[0].address}").split():
        assert "ok" in k("exec", pod, "--", "wget", "-q", "-O-", f"http://{node}:8181/healthz")
