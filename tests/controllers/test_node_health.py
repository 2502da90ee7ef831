"""What follows from a node's health, as tables."""

import pytest

from labkit.controllers.node_health import (
    FULL,
    NORMAL,
    PARTIAL,
    disruption,
    eviction_delay,
    eviction_rate,
    unknown_conditions,
    with_taints,
)

NOW = "2026-01-01T00:00:00Z"
UNREACHABLE, NOT_READY = "node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"


def node(ready="True", taints=(), unschedulable=False, **pressures):
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    conditions += [{"type": kind, "status": status} for kind, status in pressures.items()]
    spec = {"taints": list(taints), "unschedulable": unschedulable}
    return {"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}


def taint(key, effect="NoSchedule", **more):
    return {"key": key, "effect": effect, **more}


@pytest.mark.parametrize(
    ("given", "evict", "expected"),
    [
        pytest.param(node(), None, [], id="healthy"),
        pytest.param(node("False"), None, [taint(NOT_READY)], id="not ready"),
        pytest.param(node("Unknown"), None, [taint(UNREACHABLE)], id="silent"),
        pytest.param(
            node("Unknown"), UNREACHABLE,
            [taint(UNREACHABLE), taint(UNREACHABLE, "NoExecute", timeAdded=NOW)], id="evict",
        ),
        pytest.param(
            node("True", [taint(UNREACHABLE), taint(UNREACHABLE, "NoExecute")]), None, [],
            id="recovered",
        ),
        pytest.param(
            node("Unknown", [taint(UNREACHABLE, "NoExecute", timeAdded="before")]), UNREACHABLE,
            [taint(UNREACHABLE, "NoExecute", timeAdded="before"), taint(UNREACHABLE)],
            id="the time of a taint that is there stays",
        ),
        pytest.param(
            node("True", [taint("gpu"), taint(UNREACHABLE)]), None, [taint("gpu")],
            id="taints of others stay",
        ),
        pytest.param(
            node(unschedulable=True), None, [taint("node.kubernetes.io/unschedulable")],
            id="cordoned",
        ),
        pytest.param(
            node(MemoryPressure="True", DiskPressure="False"), None,
            [taint("node.kubernetes.io/memory-pressure")], id="pressure",
        ),
    ],
)  # fmt: skip
def test_taints_follow_conditions(given, evict, expected):
    assert with_taints(given, evict, NOW) == expected


def test_a_silent_node_has_unknown_conditions_with_upstreams_words():
    found = unknown_conditions(node("True"), NOW)
    ready = next(c for c in found if c["type"] == "Ready")
    assert ready["status"] == "Unknown"
    assert ready["reason"] == "NodeStatusUnknown"
    assert ready["message"] == "Kubelet stopped posting node status."
    pressure = next(c for c in found if c["type"] == "DiskPressure")
    assert pressure["reason"] == "NodeStatusNeverUpdated"


@pytest.mark.parametrize(
    ("ready", "not_ready", "expected"),
    [
        pytest.param(3, 0, NORMAL, id="all well"),
        pytest.param(2, 1, NORMAL, id="one of three"),
        pytest.param(1, 2, NORMAL, id="two are too few to judge"),
        pytest.param(2, 3, PARTIAL, id="three of five"),
        pytest.param(0, 3, FULL, id="all"),
        pytest.param(0, 0, NORMAL, id="no nodes"),
    ],
)
def test_the_state_of_the_cluster(ready, not_ready, expected):
    nodes = [node()] * ready + [node("Unknown")] * not_ready
    assert disruption(nodes, 0.55) == expected


@pytest.mark.parametrize(
    ("state", "nodes", "rate"),
    [(NORMAL, 3, 0.1), (PARTIAL, 3, 0.0), (PARTIAL, 51, 0.01), (FULL, 51, 0.0)],
)
def test_evictions_slow_down_when_many_nodes_fail(state, nodes, rate):
    assert eviction_rate(state, nodes, 0.1, 0.01, 50) == rate


def exists(key, seconds=None):
    found = {"key": key, "operator": "Exists", "effect": "NoExecute"}
    return found if seconds is None else {**found, "tolerationSeconds": seconds}


@pytest.mark.parametrize(
    ("taints", "tolerations", "ages", "delay"),
    [
        pytest.param([], [], [], None, id="no taint"),
        pytest.param(["a"], [], [0], 0.0, id="not tolerated"),
        pytest.param(["a"], [exists("a")], [0], None, id="tolerated for ever"),
        pytest.param(["a"], [exists("a", 300)], [0], 300, id="for five minutes"),
        pytest.param(["a"], [exists("a", 300)], [100], 200, id="some of which have passed"),
        pytest.param(["a"], [exists("a", 300)], [400], 0, id="all of which have passed"),
        pytest.param(["a", "b"], [exists("a", 300)], [0, 0], 0.0, id="one is not tolerated"),
        pytest.param(["a", "b"], [exists("a", 30), exists("b", 10)], [0, 0], 10, id="the shorter"),
        pytest.param(["a"], [exists("", 5)], [0], 5, id="an empty key tolerates all"),
    ],
)
def test_how_long_a_pod_may_stay(taints, tolerations, ages, delay):
    assert eviction_delay([taint(key, "NoExecute") for key in taints], tolerations, ages) == delay
