"""Decisions over all nodes, on the cache, without an API."""

import random

import pytest

from labkit.kube import selectors
from labkit.scheduler import explain
from labkit.scheduler.cache import Cache
from labkit.scheduler.messages import NO_NODES, failed_scheduling
from labkit.scheduler.placement import Placer, PodClass, nodes_to_find
from labkit.scheduler.preemption import preempt
from labkit.scheduler.spread import spread_of
from labkit.scheduler.table import NO_NEEDS, Needs
from tests.scheduler.objects import node, pod, seen

WEB = {"app": "web"}


def cluster(*nodes, seed=1):
    cache = Cache()
    for each in nodes:
        cache.set_node(None, each)
    return cache, Placer(cache, random.Random(seed))


def place(cache, placer, given, spread=None):
    decision = placer.decide(given, Needs(spread) if spread else NO_NEEDS)
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


TERM = {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {"matchLabels": WEB}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
WISH = {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 3, "podAffinityTerm": TERM}]}  # fmt: skip
KINDS = [
    {"labels": WEB},
    {"labels": WEB, "affinity": {"podAntiAffinity": WISH}},
    {"affinity": {"podAffinity": WISH}},
    {"labels": {"app": "db"}, "affinity": {"podAffinity": {REQUIRED: [TERM]}}},
    {"labels": {"app": "foe"}, "affinity": {"podAntiAffinity": {REQUIRED: [TERM]}}},
]


def test_what_is_remembered_equals_what_is_computed_anew():
    source = random.Random(3)
    zone = "topology.kubernetes.io/zone"
    cache, placer = cluster(*(node(f"n{i}", labels={zone: "abc"[i % 3]}) for i in range(6)))
    selector = selectors.parse("app=web")
    placed, kinds = [], set()
    for number in range(300):
        cpu = source.choice(["100m", "200m"])
        given = seen(f"p{number}", cpu=cpu, memory="1Mi", **source.choice(KINDS))
        if where := place(cache, placer, given, spread_of(given, selector)):
            placed.append(given)
            kinds.add((given.signature, where))
        if source.random() < 0.6:
            gone = placed.pop(source.randrange(len(placed)))
            cache.set_pod(pod(gone.uid, node="x"), None)
        if source.random() < 0.1:
            name = f"n{source.randrange(6)}"
            old = cache.infos[name].node
            cache.set_node(old, {**old, "spec": {"unschedulable": source.random() < 0.5}})
    assert len({signature for signature, _ in kinds}) > 2 * len(KINDS) - 3, "most kinds were placed"
    for alike in placer._classes.values():
        alike.catch_up()
        fresh = PodClass(alike.pod, alike.needs, cache)
        for key in alike.table._labels:
            fresh.table.labels(key)
        assert vars(alike.table) == vars(fresh.table)
        assert alike.domains.pods == fresh.domains.pods
        assert alike.neighbours.amounts == fresh.neighbours.amounts


def test_a_failed_binding_gives_the_place_back():
    cache, placer = cluster(node("a", cpu="1"))
    first = seen("one", cpu="1")
    assert place(cache, placer, first) == "a"
    assert placer.decide(seen("two", cpu="1")).node is None
    cache.forget(first)
    assert placer.decide(seen("two", cpu="1")).node == "a"


def test_the_watch_confirms_an_assumption_and_later_takes_it_away():
    cache, placer = cluster(node("a", cpu="1"))
    waiting = pod("one", cpu="1")
    place(cache, placer, seen("one", cpu="1"))
    before, after = cache.set_pod(waiting, {**waiting})
    assert before is after, "a late event without node changes nothing"
    assert cache.is_assumed("one")
    bound = pod("one", cpu="1", node="a")
    cache.set_pod(waiting, bound)
    cache.forget(seen("one", cpu="1"))
    assert cache.is_assumed("one"), "what is confirmed is no assumption any more"
    before, after = cache.set_pod(bound, None)
    assert (before.uid, after) == ("one", None)
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
    assert cache.set_pod(runs, {**runs, "status": {"phase": "Succeeded"}})[1] is None
    assert cache.infos["a"].requested["cpu"] == 0


def message(cache, placer, given):
    """What people would read."""
    decision = placer.decide(given)
    alike = placer.alike(given)
    outcome = preempt(given, decision, alike, cache, [], random.Random(1))
    return failed_scheduling(decision, outcome.message)


def test_the_message_counts_reasons_as_upstream_does():
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}
    nodes = node("a", taints=[taint]), node("b", cpu="1"), node("c", cpu="3")
    assert message(*cluster(*nodes), seen(cpu="3500m", memory="1Gi")) == (
        "0/3 nodes are available: 1 node(s) had untolerated taint "
        "{node.kubernetes.io/unreachable: }, 2 Insufficient cpu. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )


def test_the_message_says_where_preemption_found_no_victims():
    cache, placer = cluster(node("a", cpu="1"))
    place(cache, placer, seen("one", cpu="1"))
    assert message(cache, placer, seen("two", cpu="1")) == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )


def on_nodes(*names):
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in names]
    terms = [{"matchFields": fields}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"nodeAffinity": required}


def test_a_pod_that_names_its_node_is_refused_by_the_others_in_upstreams_words():
    cache, placer = cluster(node("a"), node("b", cpu="1"), node("c"))
    given = seen(cpu="2", affinity=on_nodes("b"))
    assert message(cache, placer, given) == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) "
        "[NodeAffinity]. preemption: 0/3 nodes are available: "
        "3 Preemption is not helpful for scheduling."
    )
    assert placer.decide(seen(affinity=on_nodes("b"))).node == "b"


def test_a_pod_that_names_two_nodes_at_once_contradicts_itself():
    cache, placer = cluster(node("a"), node("b"))
    assert message(cache, placer, seen(affinity=on_nodes("a", "b"))) == (
        "0/2 nodes are available: pod affinity terms conflict. preemption: 0/2 nodes are "
        "available: 2 Preemption is not helpful for scheduling."
    )


def test_without_nodes_the_message_says_so():
    _, placer = cluster()
    assert failed_scheduling(placer.decide(seen())) == NO_NODES


def test_the_explanation_shows_every_filter_and_score_and_agrees_with_the_decision():
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    nodes = [
        node("full", cpu="1"), node("tainted", taints=[taint]), node("empty"), node("used"),
    ]  # fmt: skip
    cache, placer = cluster(*nodes)
    for where in ("full", "used"):
        cache.set_pod(None, pod(f"on {where}", cpu="3", memory="6Gi", node=where))
    given = seen("p", cpu="500m", memory="1Gi")
    verdicts = explain(given, cache)
    assert [each.node for each in verdicts] == ["empty", "used", "full", "tainted"]
    best, second, full, tainted = verdicts
    assert best.possible
    assert best.total > second.total
    assert best.total == sum(best.scores.values())
    assert full.filters["NodeResourcesFit"] == ("Insufficient cpu",)
    assert tainted.filters["TaintToleration"] == ("node(s) had untolerated taint {gpu: yes}",)
    assert not full.possible
    assert full.scores == {}
    assert placer.decide(given).node == "empty"


def test_the_explanation_always_agrees_with_the_decision():
    source = random.Random(5)
    zone = "topology.kubernetes.io/zone"
    cache, placer = cluster(*(node(f"n{i}", labels={zone: "abc"[i % 3]}) for i in range(7)))
    selector = selectors.parse("app=web")
    found = set()
    for number in range(120):
        given = seen(f"p{number}", cpu="250m", memory="64Mi", **source.choice(KINDS))
        needs = Needs(spread_of(given, selector))
        verdicts = explain(given, cache, needs)
        best = [each.node for each in verdicts if each.possible and each.total == verdicts[0].total]
        decision = placer.decide(given, needs)
        assert (decision.node in best) if best else (decision.node is None)
        found.add(bool(best))
        if decision.node:
            cache.assume(given, decision.node)
    assert found == {True, False}


def test_in_a_big_cluster_zones_take_turns_though_their_nodes_came_one_zone_after_the_other():
    zone = "topology.kubernetes.io/zone"
    nodes = [node(f"{z}{i}", labels={zone: z}) for z in "abc" for i in range(100)]
    cache, placer = cluster(*nodes)
    web = seen(labels=WEB)
    decision = placer.decide(web, Needs(spread_of(web, selectors.parse("app=web"))))
    assert decision.feasible == nodes_to_find(300) < 300
    assert cache.order[:4] == ["a0", "b0", "c0", "a1"]
    seen_by_now = cache.order[: decision.feasible]
    assert [sum(name[0] == z for name in seen_by_now) for z in "abc"] == [48, 48, 48]
    cache.set_node(nodes[0], None)
    placer.decide(web)
    assert cache.order[:3] == ["a1", "b0", "c0"]
    assert cache.places["c0"] == 2
