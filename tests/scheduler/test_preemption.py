"""Whose place a more important Pod may take."""

import copy
import random

import pytest

from labkit.scheduler.cache import Cache
from labkit.scheduler.placement import Placer
from labkit.scheduler.podview import view
from labkit.scheduler.preemption import budget, preempt
from tests.scheduler.objects import node, pod
from tests.scheduler.test_affinity import far, near, term


def running(name, where, priority, cpu="1", started="2026-01-01T00:00:00Z", **more):
    found = pod(name, node=where, cpu=cpu, priority=priority, **more)
    return {**found, "status": {"startTime": started}}


def cluster(*pods, **nodes):
    """Nodes by name with so much CPU, and Pods on them."""
    cache = Cache()
    cache.set_namespace(None, {"metadata": {"name": "default"}})
    for name, cpu in nodes.items():
        cache.set_node(None, node(name, cpu=cpu))
    for each in pods:
        cache.set_pod(None, each)
    return cache


def outcome(cache, given, budgets=()):
    placer, given = Placer(cache, random.Random(1)), view(given)
    decision = placer.decide(given)
    assert decision.node is None, "preemption comes only where nothing else helps"
    budgets = [budget(each) for each in budgets]
    return preempt(given, decision, placer.alike(given), cache, budgets, random.Random(1))


def victims(cache, given, budgets=()):
    found = outcome(cache, given, budgets).victims
    return found and (found.node, [each.uid for each in found.pods])


def important(cpu="1", priority=10, **spec):
    return pod("new", cpu=cpu, priority=priority, **spec)


def pdb(allowed, app="web", disrupted=()):
    return {
        "metadata": {"name": "pdb", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": {"disruptionsAllowed": allowed, "disruptedPods": dict.fromkeys(disrupted, "t")},
    }


WEB = {"labels": {"app": "web"}}


@pytest.mark.parametrize(
    ("pods", "given", "expected"),
    [
        pytest.param([running("a", "n", 0), running("b", "n", 5)], important(), ("n", ["a"]),
                     id="the least important"),
        pytest.param([running("a", "n", 0), running("b", "n", 0, started="2026-01-02T00:00:00Z")],
                     important(), ("n", ["b"]), id="of equals the youngest"),
        pytest.param([running("a", "n", 0), running("b", "n", 5)], important("2"),
                     ("n", ["b", "a"]), id="as many as it takes, most important first"),
        pytest.param([running("a", "n", 10), running("b", "n", 11)], important(), None,
                     id="never one of the same priority"),
        pytest.param([running("a", "n", 0), running("b", "n", 20)], important("2"), None,
                     id="nobody, if that would not be enough"),
        pytest.param([running("a", "n", 0, cpu="500m"), running("b", "n", 0, cpu="500m"),
                      running("c", "n", 1)], important(), ("n", ["a", "b"]),
                     id="two of low priority rather than one of a higher"),
    ],
)  # fmt: skip
def test_who_leaves_a_node(pods, given, expected):
    assert victims(cluster(*pods, n="2"), given) == expected


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([running("a", "x", 5), running("b", "y", 1)], "y",
                     id="the lowest highest priority"),
        pytest.param([running("a", "x", 1, cpu="500m"), running("a2", "x", 0, cpu="500m"),
                      running("b", "y", 1)], "y", id="the lowest sum"),
        pytest.param([running("a", "x", -5, cpu="500m"), running("a2", "x", -5, cpu="500m"),
                      running("b", "y", -5)], "y",
                     id="fewer are less, though their priority is negative"),
        pytest.param([running("a", "x", 1), running("b", "y", 1, started="2026-01-02T00:00:00Z")],
                     "y", id="who has run for the shortest time"),
        pytest.param([running("a", "x", 1), running("b", "y", 1, started="")],
                     "y", id="who has not begun"),
    ],
)  # fmt: skip
def test_which_node_is_freed(pods, expected):
    assert victims(cluster(*pods, x="1", y="1"), important())[0] == expected


@pytest.mark.parametrize(
    ("budgets", "expected"),
    [
        pytest.param([pdb(0)], ("y", ["b"]), id="rather a higher priority than a broken budget"),
        pytest.param([pdb(1)], ("x", ["a"]), id="a budget that allows it"),
        pytest.param([pdb(0, disrupted=["a"])], ("x", ["a"]), id="one that is counted already"),
        pytest.param([pdb(0, app="other")], ("x", ["a"]), id="somebody else's budget"),
        pytest.param([pdb(0), pdb(0, app="db")], ("x", ["a"]), id="broken if it must be"),
    ],
)
def test_budgets_are_respected_where_possible(budgets, expected):
    pods = [running("a", "x", 0, **WEB), running("b", "y", 5, labels={"app": "db"})]
    assert victims(cluster(*pods, x="1", y="1"), important(), budgets) == expected


def test_within_a_node_those_without_a_budget_leave_first():
    pods = [running("a", "n", 0, **WEB), running("b", "n", 5)]
    assert victims(cluster(*pods, n="2"), important(), [pdb(0)]) == ("n", ["b"])


def test_a_node_that_could_not_be_helped_is_not_emptied():
    cache = cluster(running("a", "n", 0), n="1")
    found = outcome(cache, important("2"))
    assert (found.victims, found.hopeless) == (None, True)
    assert found.message == ("0/1 nodes are available: 1 Preemption is not helpful for scheduling.")


def test_the_message_says_what_would_still_be_missing():
    cache = cluster(
        running("a", "n", 0), running("b", "n", 20), running("c", "m", 20), n="2", m="1"
    )
    assert outcome(cache, important("2")).message == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 Preemption is not helpful for scheduling."
    )


def test_who_never_preempts_waits():
    found = outcome(cluster(running("a", "n", 0), n="1"), important(preemptionPolicy="Never"))
    assert (found.victims, found.message) == (None, "not eligible due to preemptionPolicy=Never.")


def leaving(name, where):
    found = running(name, where, 0)
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    return {**found, "status": {"conditions": [condition]}}


def test_who_waits_for_a_victim_to_end_takes_no_second_one():
    cache = cluster(leaving("a", "x"), running("b", "y", 0), x="1", y="1")
    given = {**important(), "status": {"nominatedNodeName": "x"}}
    found = outcome(cache, given)
    assert found.victims is None
    assert found.hopeless is False
    assert found.message == "not eligible due to a terminating pod on the nominated node."


def test_a_host_port_can_be_freed():
    ports = [{"containerPort": 80, "hostPort": 80}]
    cache = cluster(running("a", "n", 0, ports=ports), running("b", "n", 0), n="4")
    assert victims(cache, important(ports=ports)) == ("n", ["a"])


def test_anti_affinity_can_be_satisfied():
    cache = cluster(running("a", "n", 0, **WEB), running("b", "n", 0), n="4")
    assert victims(cache, important(affinity=far(term("web")))) == ("n", ["a"])


def test_affinity_cannot():
    cache = cluster(running("a", "n", 0, **WEB), n="4")
    assert victims(cache, important(affinity=near(term("db")))) is None


def test_a_pod_leaves_room_for_a_more_important_one_that_is_expected():
    cache = cluster(n="2")
    cache.nominate(view(pod("awaited", cpu="2", priority=100)), "n")
    placer = Placer(cache, random.Random(1))
    assert placer.decide(view(important("1"))).node is None
    assert placer.decide(view(important("1", priority=200))).node == "n"
    cache.nominate(view(pod("awaited", cpu="2", priority=100)), "")
    assert placer.decide(view(important("1"))).node == "n"


def test_who_is_expected_on_a_node_is_tried_there_first():
    cache = cluster(x="4", y="8")
    placer = Placer(cache, random.Random(1))
    given = {**important(), "status": {"nominatedNodeName": "x"}}
    assert placer.decide(view(important())).node == "y"
    assert placer.decide(view(given)).node == "x"


def test_dry_runs_leave_no_trace():
    cache = cluster(running("a", "n", 0, **WEB), running("b", "n", 5), n="2")
    placer, given = Placer(cache, random.Random(1)), view(important(affinity=far(term("web"))))
    decision, alike = placer.decide(given), placer.alike(given)
    before = copy.deepcopy((alike.neighbours.amounts, alike.table.rows))
    preempt(given, decision, alike, cache, [], random.Random(1))
    assert (alike.neighbours.amounts, alike.table.rows) == before
    assert sorted(cache.infos["n"].pods) == ["a", "b"]
