"""A cluster whose parts are processes: each has its own rights, and may die.

`labkit up --parts separate`, with the flags that say when a node is given up turned down.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from labkit.clusters import manage
from labkit.clusters.parts import Parts
from labkit.clusters.paths import ClusterDir
from labkit.load import start, step
from tests.cluster.conftest import Kubectl, until
from tests.conftest import own_home

NAME = "parts"
HASTY = {
    "node-monitor-period": "1s",
    "node-monitor-grace-period": "5s",
    "node-lease-duration-seconds": "4",
    "default-not-ready-toleration-seconds": "1",
    "default-unreachable-toleration-seconds": "1",
}
NODE = "kubelet/parts-worker2"


@pytest.fixture(scope="module")
def cluster() -> Iterator[manage.ClusterInfo]:
    with own_home():
        yield manage.up(NAME, 3, HASTY, parts="separate")


@pytest.fixture(scope="module")
def parts(cluster: manage.ClusterInfo) -> Parts:
    return Parts(NAME)


@pytest.fixture(scope="module")
def service(k: Kubectl) -> str:
    """The URL of a Service with six Pods on three nodes."""
    k("create", "deployment", "web", "--image=todolist", "--replicas=6", "--port=3001")
    k("expose", "deployment", "web", "--port=8080", "--target-port=3001")
    k("rollout", "status", "deployment/web", "--timeout=60s")
    return f"http://{k.json('get', 'service', 'web')['spec']['clusterIP']}:8080/healthz"


def ready_pods(k: Kubectl) -> list[dict]:
    return [
        pod
        for pod in k.json("get", "pods", "-l", "app=web")["items"]
        if {"type": "Ready", "status": "True"}.items()
        <= {key: value for each in pod["status"].get("conditions", ()) if each["type"] == "Ready"
            for key, value in each.items()}.items()
        and "deletionTimestamp" not in pod["metadata"]
    ]  # fmt: skip


def replaced(k: Kubectl, gone: str) -> bool:
    nodes = [pod["spec"]["nodeName"] for pod in ready_pods(k)]
    return len(nodes) == 6 and gone not in nodes


def node_condition(k: Kubectl, node: str) -> str:
    status = k.json("get", "node", node)["status"]
    return next(each["status"] for each in status["conditions"] if each["type"] == "Ready")


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """A zombie holds nothing; who should bury it is not ours."""
    return psutil.wait_procs([each for each in processes if not _is_zombie(each)], 10)[1]


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_every_part_has_a_process_of_its_own(parts: Parts, k: Kubectl):
    facts = parts.facts()
    assert {each.state for each in facts} == {"running"}
    assert len({each.pid for each in facts}) == len(parts)
    assert all(name in str(parts) for name in ("kube-scheduler", "kubelet/parts-worker3"))


def test_no_part_is_refused_what_it_needs(cluster: manage.ClusterInfo, service: str, k: Kubectl):
    k("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")
    audit = [json.loads(line) for line in ClusterDir.named(NAME).audit_log.open()]
    refused = [each for each in audit if each["responseStatus"].get("code") == 403]
    assert not [(one["user"]["username"], one["verb"], one["requestURI"]) for one in refused]
    asked = {each["user"]["username"] for each in audit}
    assert {
        "system:kube-scheduler",
        "system:kube-controller-manager",
        "system:kube-proxy",
        "system:node:parts-worker2",
        "system:serviceaccount:kube-system:coredns",
        "system:serviceaccount:kube-system:metrics-server",
    } <= asked


@pytest.mark.parametrize(
    ("part", "question", "answer"),
    [
        ("kube-scheduler", "create pods --subresource=binding", "yes"),
        ("kube-scheduler", "create pods", "no"),
        ("kube-controller-manager", "create pods", "yes"),
        (NODE, "get node/parts-worker2", "yes"),
        (NODE, "get node/parts-worker3", "no"),
        (NODE, "list secrets", "no"),
        ("coredns", "list pods", "yes"),
        ("coredns", "delete pods", "no"),
    ],
)
def test_a_part_may_do_its_own_work_only(parts: Parts, k: Kubectl, part, question, answer):
    path = parts[part].kubeconfig
    said = k.run("auth", "can-i", *question.split(), "--kubeconfig", path).stdout
    assert said.split()[0] == answer


def test_a_kubelet_writes_no_other_node(parts: Parts, k: Kubectl):
    path = parts[NODE].kubeconfig
    other = k.run("label", "node", "parts-worker3", "disk=ssd", "--kubeconfig", path)
    assert "cannot get resource" in other.stderr or "is forbidden" in other.stderr
    k("label", "node", "parts-worker2", "disk=ssd", "--kubeconfig", path)
    own = k.run("taint", "node", "parts-worker2", "mine=x:NoSchedule", "--kubeconfig", path)
    assert 'node "parts-worker2" is not allowed to modify taints' in own.stderr


def test_without_its_scheduler_a_cluster_binds_no_pod(parts: Parts, k: Kubectl):
    parts["kube-scheduler"].stop()
    k("run", "waits", "--image=todolist")
    until(lambda: k.json("get", "pod", "waits")["status"].get("phase") == "Pending", 10, "Pending")
    assert "nodeName" not in k.json("get", "pod", "waits")["spec"]
    parts["kube-scheduler"].start()
    k("wait", "--for=condition=Ready", "pod/waits", "--timeout=30s")
    k("delete", "pod", "waits", "--now")


def test_requests_are_answered_while_the_control_plane_is_away(
    parts: Parts, service: str, k: Kubectl
):
    plane = ("kube-scheduler", "kube-controller-manager", "kube-apiserver")
    with start(service, step(20, 4)) as load:
        for name in plane:
            parts[name].stop(signal.SIGKILL)
        assert load.result()["errors"].sum() == 0
    parts.start()
    until(lambda: {each.state for each in parts.facts()} == {"running"}, 30, "all parts run")
    k("scale", "deployment/web", "--replicas=7")
    k("rollout", "status", "deployment/web", "--timeout=30s")
    k("scale", "deployment/web", "--replicas=6")


@pytest.mark.parametrize("part", ["kube-apiserver", "kube-controller-manager", "kube-proxy"])
def test_a_part_that_was_killed_is_started_again(parts: Parts, part: str):
    before = parts[part].pid
    parts[part].kill()
    until(lambda: parts[part].state == "running", 20, f"{part} runs again")
    assert parts[part].pid not in (0, before)
    assert parts[part].facts.restarts >= 1


def test_a_node_daemon_that_was_killed_starts_its_containers_again(
    parts: Parts, service: str, k: Kubectl
):
    until(lambda: len(ready_pods(k)) == 6, 30, "six Pods Ready")
    containers = below(parts[NODE].pid)
    assert containers
    with start(service, step(20, 4)) as load:
        parts[NODE].kill()
        assert not alive(containers)
        frame = load.result()
    # What was in flight there is lost, and nothing else: who connects is sent elsewhere.
    assert frame["errors"].sum() <= 2
    until(lambda: len(ready_pods(k)) == 6, 30, "six Pods Ready again")
    there = [pod for pod in ready_pods(k) if pod["spec"]["nodeName"] == "parts-worker2"]
    assert there
    for pod in there:
        assert pod["status"]["containerStatuses"][0]["restartCount"] >= 1


def test_the_pods_of_a_dead_node_come_back_elsewhere(parts: Parts, service: str, k: Kubectl):
    until(lambda: len(ready_pods(k)) == 6, 30, "six Pods Ready")
    with start(service, step(20, 20)) as load:
        parts[NODE].stop(signal.SIGKILL)
        until(lambda: node_condition(k, "parts-worker2") == "Unknown", 30, "the node is missed")
        until(lambda: replaced(k, "parts-worker2"), 30, "Pods elsewhere")
        load.stop()
        assert load.summary["errors"] <= 2
    taints = {each["key"] for each in k.json("get", "node", "parts-worker2")["spec"]["taints"]}
    assert taints == {"node.kubernetes.io/unreachable"}
    gone = [pod["metadata"]["name"] for pod in k.json("get", "pods")["items"]
            if pod["spec"].get("nodeName") == "parts-worker2"]  # fmt: skip
    assert gone  # deleted, but only the kubelet can say that their containers have ended

    parts[NODE].start()
    until(lambda: node_condition(k, "parts-worker2") == "True", 30, "the node is back")
    left = set(gone)
    until(
        lambda: not left & {pod["metadata"]["name"] for pod in k.json("get", "pods")["items"]},
        30,
        "the Pods that it lost are gone",
    )
    until(lambda: "taints" not in k.json("get", "node", "parts-worker2")["spec"], 10, "no taint")


def test_parts_whose_common_parent_was_killed_come_back(parts: Parts, service: str, k: Kubectl):
    before = {each.pid for each in parts.facts()}
    parent = psutil.Process(parts["kube-scheduler"].pid).parent()
    assert parent.ppid() == parts.daemon
    parent.kill()
    until(
        lambda: all(each.state == "running" and each.pid not in before for each in parts.facts()),
        30,
        "all parts run again",
    )
    until(lambda: len(ready_pods(k)) == 6, 30, "six Pods Ready again")


def test_a_daemon_that_is_killed_takes_everything_with_it(cluster: manage.ClusterInfo):
    found = below(cluster.pid)
    assert len(found) > 10
    os.kill(cluster.pid, signal.SIGKILL)
    assert not alive(found)
    again = manage.up(NAME)
    assert again.parts == "separate"
    found = below(again.pid)
    manage.down(NAME)
    assert not alive(found)
