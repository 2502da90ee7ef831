"""Virtual nodes on a whole cluster: who goes there, when, at what price, and for how long."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import yaml

from labkit.clusters import manage
from labkit.kubelet.virtual import CAPACITY_TYPES
from tests.cluster.conftest import Kubectl, until
from tests.conftest import own_home

QUICK = {
    "virtual-node-start-delay": "2s",
    "spot-reclaim-interval": "1s",
    "spot-reclaim-notice": "1s",
}
TAINT = {"key": "virtual-kubelet.io/provider", "value": "labkit", "effect": "NoSchedule"}
TOLERATION = {"key": "virtual-kubelet.io/provider", "operator": "Exists"}


@pytest.fixture(scope="module")
def k(kubectl: str) -> Iterator[Kubectl]:
    """One node of each kind."""
    with own_home():
        cluster = manage.up("test", 1, QUICK, virtual_node_types=CAPACITY_TYPES)
        yield Kubectl(kubectl, {**os.environ, **cluster.environment()})


def deployment(name: str, node: str = "", cpu: str = "200m") -> str:
    container = {"name": "c", "image": "busybox", "command": ["sleep", "600"]}
    container["resources"] = {"requests": {"cpu": cpu}}
    spec: dict = {"containers": [container], "terminationGracePeriodSeconds": 0}
    if node:
        spec |= {"nodeSelector": {"karpenter.sh/capacity-type": node}, "tolerations": [TOLERATION]}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
    )


def events(k: Kubectl, reason: str) -> list[dict]:
    return k.json("get", "events", "--field-selector", f"reason={reason}")["items"]


def billed(k: Kubectl, node: str) -> float:
    notes = k.json("get", "node", node)["metadata"]["annotations"]
    return float(notes.get("billing.labkit/cost", 0))


def test_a_virtual_node_is_tainted_and_next_to_unbounded(k: Kubectl):
    nodes = {one["metadata"]["name"]: one for one in k.json("get", "nodes")["items"]}
    assert set(nodes) == {"test-worker", "test-virtual", "test-spot"}
    assert "taints" not in nodes["test-worker"]["spec"]
    for name in ("test-virtual", "test-spot"):
        assert TAINT in nodes[name]["spec"]["taints"]
        assert nodes[name]["status"]["allocatable"]["cpu"] == "10k"


def test_pods_go_there_only_if_they_tolerate_it_and_are_billed_by_the_second(k: Kubectl):
    k("apply", "-f", "-", input=deployment("plain"))
    k("apply", "-f", "-", input=deployment("elastic", "on-demand", cpu="64"))
    for name in ("plain", "elastic"):
        k("rollout", "status", f"deployment/{name}", "--timeout=60s")
    pods = k.json("get", "pods")["items"]
    places = {pod["metadata"]["labels"]["app"]: pod["spec"]["nodeName"] for pod in pods}
    assert places == {"plain": "test-worker", "elastic": "test-virtual"}
    assert len(events(k, "Provisioning")) == 1
    first = until(lambda: billed(k, "test-virtual"), 20, "something billed")
    until(lambda: billed(k, "test-virtual") > first, 20, "more billed")
    k("delete", "deployment", "plain", "elastic")


def test_a_spot_instance_is_taken_back_after_a_notice_and_its_pod_comes_again(k: Kubectl):
    k("apply", "-f", "-", input=deployment("cheap", "spot"))
    until(lambda: events(k, "SpotToBeReleased"), 60, "the notice")

    def lost() -> list[dict]:
        pods = k.json("get", "pods", "-l", "app=cheap")["items"]
        return [pod for pod in pods if pod["status"].get("reason") == "BidFailed"]

    (pod, *_) = until(lost, 60, "the end of the first")
    assert pod["status"]["phase"] == "Failed"
    conditions = {one["type"]: one for one in pod["status"]["conditions"]}
    assert conditions["DisruptionTarget"]["reason"] == "TerminationByKubelet"
    until(lambda: len(k.json("get", "pods", "-l", "app=cheap")["items"]) > 1, 30, "another Pod")
    k("delete", "deployment", "cheap")
