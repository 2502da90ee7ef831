"""DaemonSets on a whole cluster: one Pod on each node, updates, kubectl's rollout."""

from __future__ import annotations

import pytest

from tests.api.conftest import MERGE, Wire, until
from tests.api.workloads import daemon_set, pods_of, rolled_out, template, told
from tests.kubectl.conftest import Kubectl


@pytest.fixture
def nodes(wire: Wire) -> list[str]:
    """The nodes that take any Pod."""
    found = wire.ok("GET", "/api/v1/nodes")["items"]
    return sorted(n["metadata"]["name"] for n in found if not n["spec"].get("taints"))


def settled(wire: Wire, path: str, count: int) -> dict:
    fields = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return rolled_out(wire, path, **dict.fromkeys(fields, count))


def test_each_node_has_its_pod(wire: Wire, ns: str, in_group, nodes: list[str]):
    sets = f"{in_group('apps/v1')}/daemonsets"
    wire.ok("POST", sets, daemon_set("agent"))
    settled(wire, f"{sets}/agent", len(nodes))
    pods = pods_of(wire, ns, "agent")
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == nodes
    keys = {each["key"] for each in pods[0]["spec"]["tolerations"]}
    assert {"node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable"} <= keys
    name = pods[0]["metadata"]["name"]
    told(wire, ns, "agent", ("SuccessfulCreate", f"Created pod: {name}"))
    wire.ok("DELETE", f"{ns}/pods/{name}")
    until(
        lambda: (
            len(found := pods_of(wire, ns, "agent")) == len(nodes)
            and name not in [pod["metadata"]["name"] for pod in found]
        ),
        30,
        "the Pod is replaced",
    )


def test_a_selector_of_nodes_narrows_it(wire: Wire, ns: str, in_group, nodes: list[str]):
    sets, node = f"{in_group('apps/v1')}/daemonsets", nodes[0]
    inner = template("narrow", nodeSelector={"kubernetes.io/hostname": node})
    wire.ok("POST", sets, daemon_set("narrow", template=inner))
    settled(wire, f"{sets}/narrow", 1)
    assert [pod["spec"]["nodeName"] for pod in pods_of(wire, ns, "narrow")] == [node]


@pytest.mark.parametrize("rolling", [{"maxUnavailable": 1}, {"maxSurge": 1, "maxUnavailable": 0}])
def test_kubectl_rolls_forth_and_back(
    wire: Wire, ns: str, in_group, k: Kubectl, nodes: list[str], rolling: dict
):
    sets = f"{in_group('apps/v1')}/daemonsets"
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    wire.ok("POST", sets, daemon_set("log", updateStrategy=strategy))
    settled(wire, f"{sets}/log", len(nodes))
    k("set", "env", "ds/log", "LEVEL=debug")
    assert "successfully rolled out" in k("rollout", "status", "ds/log", "--timeout=60s")
    history = k("rollout", "history", "ds/log").splitlines()
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["1", "2"]
    k("rollout", "undo", "ds/log")
    k("rollout", "status", "ds/log", "--timeout=60s")
    settled(wire, f"{sets}/log", len(nodes))
    staying = [p for p in pods_of(wire, ns, "log") if "deletionTimestamp" not in p["metadata"]]
    assert not any("env" in pod["spec"]["containers"][0] for pod in staying)
    history = k("rollout", "history", "ds/log").splitlines()
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["2", "3"]


def test_on_delete_waits_for_the_pods_to_be_deleted(wire: Wire, ns: str, in_group, nodes):
    sets = f"{in_group('apps/v1')}/daemonsets"
    wire.ok("POST", sets, daemon_set("slow", updateStrategy={"type": "OnDelete"}))
    settled(wire, f"{sets}/slow", len(nodes))
    changed = {"spec": {"template": template("slow", "sleep 1000")}}
    wire.ok("PATCH", f"{sets}/slow", changed, type=MERGE)
    rolled_out(wire, f"{sets}/slow", updatedNumberScheduled=0, numberReady=len(nodes))
    name = pods_of(wire, ns, "slow")[0]["metadata"]["name"]
    wire.ok("DELETE", f"{ns}/pods/{name}")
    rolled_out(wire, f"{sets}/slow", updatedNumberScheduled=1, numberReady=len(nodes))
