"""Decisions over all nodes, on the cache, without an API."""

import random

import pytest

from labkit.kube import selectors
from labkit.scheduler import explain
from labkit.scheduler.cache import Cache
from labkit.scheduler.messages import NO_NODES, failed_scheduling
from labkit.scheduler.placement import Placer, PodClass, nodes_to_find
from labkit.scheduler.spread import Spread, spread_of
from tests.scheduler.objects import info, node, pod, seen

WEB = {"app": "web"}


def cluster(*nodes, seed=1):
    cache = Cache()
    for each in nodes:
        cache.set_node(None, each)
    return cache, Placer(cache, random.Random(seed))


def place(cache, placer, given, spread=None):
    decision = placer.decide(given, spread or Spread())
    if decision.node:
        cache.assume(given, decision.node)
    return decision.node


@pytest.mark.parametrize(
    ("nodes", "expected"), [(3, 3), (100, 100), (150, 100), (1000, 420), (5000, 500), (10000, 500)]
)
def test_how_many_nodes_are_enough(nodes, expected):
    assert nodes_to_find(nodes) == expected


def test_a_burst_fills_nodes_evenly_because_decisions_count_at_once():
    cache, placer = cluster(*(node(f"n{i}") for i in range(4)))
    for number in range(40):
        place(cache, placer, seen(f"p{number}", cpu="100m", memory="100Mi"))
    assert [len(cache.infos[f"n{i}"].pods) for i in range(4)] == [10] * 4


def test_a_burst_never_overfills_a_node():
    cache, placer = cluster(node("a", cpu="1"), node("b", cpu="500m"))
    found = [place(cache, placer, seen(f"p{i}", cpu="250m")) for i in range(8)]
    assert (found.count("a"), found.count("b"), found.count(None)) == (4, 2, 2)


def test_the_same_seed_makes_the_same_decisions():
    def run(seed):
        cache, placer = cluster(*(node(f"n{i}") for i in range(9)), seed=seed)
        return [place(cache, placer, seen(f"p{i}", cpu="1m")) for i in range(30)]

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_replicas_spread_though_one_node_is_emptier():
    selector = selectors.parse("app=web")
    cache, placer = cluster(node("big", cpu="64", memory="256Gi"), node("small"))
    web = [seen(f"p{i}", labels=WEB, cpu="100m", memory="64Mi") for i in range(2)]
    found = {place(cache, placer, each, spread_of(each, selector)) for each in web}
    assert found == {"big", "small"}


def test_what_is_remembered_equals_what_is_computed_anew():
    source = random.Random(3)
    cache, placer = cluster(
        *(node(f"n{i}", labels={"topology.kubernetes.io/zone": "ab"[i % 2]}) for i in range(6))
    )
    selector = selectors.parse("app=web")
    placed = []
    for number in range(120):
        given = seen(f"p{number}", labels=WEB, cpu=source.choice(["100m", "200m"]), memory="1Mi")
        if place(cache, placer, given, spread_of(given, selector)):
            placed.append(given)
        if source.random() < 0.3:
            gone = placed.pop(source.randrange(len(placed)))
            cache.set_pod(pod(gone.uid, node="x"), None)
        if source.random() < 0.1:
            name = f"n{source.randrange(6)}"
            old = cache.infos[name].node
            cache.set_node(old, {**old, "spec": {"unschedulable": source.random() < 0.5}})
    for alike in placer._classes.values():
        alike.catch_up()
        fresh = PodClass(alike.pod, alike.spread, cache)
        assert vars(alike.table) == vars(fresh.table)
        assert alike.domains.pods == fresh.domains.pods


def test_a_failed_binding_gives_the_place_back():
    cache, placer = cluster(node("a", cpu="1"))
    first = seen("one", cpu="1")
    assert place(cache, placer, first) == "a"
    assert placer.decide(seen("two", cpu="1"), Spread()).node is None
    cache.forget(first)
    assert placer.decide(seen("two", cpu="1"), Spread()).node == "a"


def test_the_watch_confirms_an_assumption_and_later_takes_it_away():
    cache, placer = cluster(node("a", cpu="1"))
    waiting = pod("one", cpu="1")
    place(cache, placer, seen("one", cpu="1"))
    assert cache.set_pod(waiting, {**waiting}) is False, "a late event without node changes nothing"
    assert cache.is_assumed("one")
    bound = pod("one", cpu="1", node="a")
    cache.set_pod(waiting, bound)
    cache.forget(seen("one", cpu="1"))
    assert cache.is_assumed("one"), "what is confirmed is no assumption any more"
    assert cache.set_pod(bound, None) is True
    assert cache.infos["a"].requested["cpu"] == 0


def test_a_heartbeat_matters_to_nobody():
    cache, _ = cluster(node("a"))
    mark = cache.mark()
    beat = node("a")
    beat["status"]["conditions"] = [{"type": "Ready", "lastHeartbeatTime": "now"}]
    assert cache.set_node(node("a"), beat) is False
    assert cache.since(mark) == set()
    assert cache.set_node(beat, node("a", unschedulable=True)) is True


def test_an_ended_pod_takes_nothing():
    cache, _ = cluster(node("a"))
    runs = pod("one", cpu="1", node="a")
    cache.set_pod(None, runs)
    assert cache.infos["a"].requested["cpu"] == 1000
    assert cache.set_pod(runs, {**runs, "status": {"phase": "Succeeded"}}) is True
    assert cache.infos["a"].requested["cpu"] == 0


def test_the_message_counts_reasons_as_upstream_does():
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
    _, placer = cluster(node("a", taints=[taint]), node("b", cpu="1"), node("c", cpu="3"))
    decision = placer.decide(seen(cpu="3500m", memory="1Gi"), Spread())
    assert failed_scheduling(decision) == (
        "0/3 nodes are available: 1 node(s) had untolerated taint "
        "{node.kubernetes.io/unreachable: }, 2 Insufficient cpu. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )


def test_the_message_says_where_preemption_found_no_victims():
    cache, placer = cluster(node("a", cpu="1"))
    place(cache, placer, seen("one", cpu="1"))
    message = failed_scheduling(placer.decide(seen("two", cpu="1"), Spread()))
    assert message == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )


def test_without_nodes_the_message_says_so():
    _, placer = cluster()
    assert failed_scheduling(placer.decide(seen(), Spread())) == NO_NODES


def test_the_explanation_shows_every_filter_and_score_and_agrees_with_the_decision():
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    nodes = [
        node("full", cpu="1"), node("tainted", taints=[taint]), node("empty"), node("used"),
    ]  # fmt: skip
    busy = pod("busy", cpu="3", memory="6Gi")
    infos = [info(n["metadata"]["name"], cpu=n["status"]["allocatable"]["cpu"],
                  taints=n["spec"]["taints"],
                  on=[busy] if n["metadata"]["name"] in ("full", "used") else [])
             for n in nodes]  # fmt: skip
    verdicts = explain(pod("p", cpu="500m", memory="1Gi"), infos)
    assert [each.node for each in verdicts] == ["empty", "used", "full", "tainted"]
    best, second, full, tainted = verdicts
    assert best.possible
    assert best.total > second.total
    assert best.total == sum(best.scores.values())
    assert full.filters["NodeResourcesFit"] == ("Insufficient cpu",)
    assert tainted.filters["TaintToleration"] == ("node(s) had untolerated taint {gpu: yes}",)
    assert not full.possible
    assert full.scores == {}
    cache, placer = cluster(*nodes)
    cache.set_pod(None, {**busy, "spec": {**busy["spec"], "nodeName": "used"}})
    assert placer.decide(seen("p", cpu="500m", memory="1Gi"), Spread()).node == "empty"


def test_a_pod_that_runs_is_explained_as_if_it_did_not():
    runs = pod("p", cpu="3", node="a")
    verdicts = explain(runs, [info("a", on=[runs]), info("b")])
    assert all(each.possible for each in verdicts)
    assert verdicts[0].total == verdicts[1].total
