"""InterPodAffinity: who may be near whom, and who would rather."""

import random

import pytest

from labkit.scheduler import explain
from labkit.scheduler.cache import Cache
from labkit.scheduler.placement import Placer
from tests.scheduler.objects import node, pod, seen

ZONE = "topology.kubernetes.io/zone"
WORDS = {
    "far": "node(s) didn't match pod affinity rules",
    "near": "node(s) didn't match pod anti-affinity rules",
    "unwelcome": "node(s) didn't satisfy existing pods anti-affinity rules",
}


def term(app, key="kubernetes.io/hostname", **more):
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **more}


def near(*terms, weights=()):
    return {"podAffinity": rules(terms, weights)}


def far(*terms, weights=()):
    return {"podAntiAffinity": rules(terms, weights)}


def rules(terms, weights):
    if not weights:
        return {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}
    weighted = [
        {"weight": weight, "podAffinityTerm": each}
        for weight, each in zip(weights, terms, strict=True)
    ]
    return {"preferredDuringSchedulingIgnoredDuringExecution": weighted}


def app(name, where=None, namespace="default", app=None, **spec):
    meta = {"namespace": namespace}
    return pod(name, node=where, labels={"app": app or name}, meta=meta, **spec)


def cluster(*pods, zones="aab", namespaces=()):
    """Nodes n0, n1, ... in zones, with Pods on them."""
    cache = Cache()
    for name, labels in {"default": {}, **dict(namespaces)}.items():
        cache.set_namespace(None, {"metadata": {"name": name, "labels": labels}})
    for place, zone in enumerate(zones):
        labels = {ZONE: zone} if zone != "-" else {}
        cache.set_node(None, node(f"n{place}", labels=labels))
    for each in pods:
        cache.set_pod(None, each)
    return cache


def allowed(cache, given):
    return sorted(each.node for each in explain(given, cache) if each.possible)


def points(cache, given):
    verdicts = explain(given, cache)
    return [each.scores["InterPodAffinity"] for each in sorted(verdicts, key=lambda v: v.node)]


@pytest.mark.parametrize(
    ("affinity", "pods", "expected"),
    [
        pytest.param(near(term("db")), [app("db", "n1")], ["n1"], id="on the same host"),
        pytest.param(near(term("db", ZONE)), [app("db", "n1")], ["n0", "n1"], id="in the zone"),
        pytest.param(near(term("db")), [], [], id="there is none"),
        pytest.param(near(term("web")), [], ["n0", "n1", "n2"], id="the first of its own group"),
        pytest.param(near(term("web")), [app("web", "n2")], ["n2"], id="the second of its group"),
        pytest.param(
            near(term("db"), term("db", ZONE)), [app("db", "n1")], ["n1"], id="all terms must hold"
        ),
        pytest.param(
            near(term("db"), term("web")), [app("db", "n1")], [],
            id="one Pod must satisfy all terms",
        ),
        pytest.param(near(term("web", "rack")), [], [], id="the first, but no node has the label"),
        pytest.param(far(term("db")), [app("db", "n1")], ["n0", "n2"], id="not on the host"),
        pytest.param(far(term("db", ZONE)), [app("db", "n1")], ["n2"], id="not in the zone"),
        pytest.param(far(term("db", "rack")), [app("db", "n1")], ["n0", "n1", "n2"],
                     id="nodes without the label are no domain"),
        pytest.param({}, [app("db", "n1", affinity=far(term("web", ZONE)))], ["n2"],
                     id="who is there does not want it"),
        pytest.param({}, [app("db", "n1", affinity=near(term("web")))], ["n0", "n1", "n2"],
                     id="who is there wants it, which refuses nobody"),
        pytest.param(far(term("db")), [app("db", "n1", namespace="other")], ["n0", "n1", "n2"],
                     id="another namespace does not count"),
        pytest.param(far(term("db", namespaces=["other"])),
                     [app("db", "n1", namespace="other"), app("db2", "n2", app="db")],
                     ["n0", "n2"], id="the namespaces it names, and no other"),
        pytest.param(far(term("db", namespaceSelector={"matchLabels": {"team": "a"}})),
                     [app("db", "n1", namespace="other"), app("db2", "n2", app="db")],
                     ["n0", "n2"], id="namespaces by label"),
        pytest.param(far(term("db", namespaceSelector={})),
                     [app("db", "n1", namespace="other"), app("db2", "n2", app="db")],
                     ["n0"], id="all namespaces"),
        pytest.param(far({"topologyKey": ZONE}), [app("db", "n1")], ["n0", "n1", "n2"],
                     id="a selector that is missing selects nothing"),
    ],
)  # fmt: skip
def test_required_rules(affinity, pods, expected):
    cache = cluster(*pods, namespaces={"other": {"team": "a"}}.items())
    assert allowed(cache, seen("web", labels={"app": "web"}, affinity=affinity)) == expected


def test_refusals_have_upstreams_words():
    cache = cluster(app("db", "n0", affinity=far(term("web"))), app("cache", "n1"))
    for affinity, where, words in (
        (near(term("db")), "n1", "far"),
        (far(term("cache")), "n1", "near"),
        ({}, "n0", "unwelcome"),
    ):
        given = seen("web", labels={"app": "web"}, affinity=affinity)
        found = {each.node: each.filters["InterPodAffinity"] for each in explain(given, cache)}
        assert found[where] == (WORDS[words],)


def test_a_pod_that_ends_still_counts_until_it_is_gone():
    ends = app("db", "n1")
    ends["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert allowed(cluster(ends), seen(affinity=far(term("db")))) == ["n0", "n2"]


@pytest.mark.parametrize(
    ("affinity", "pods", "expected"),
    [
        pytest.param(near(term("db"), weights=[5]), [app("db", "n1")], [0, 200, 0], id="near"),
        pytest.param(far(term("db"), weights=[5]), [app("db", "n1")], [200, 0, 200], id="far"),
        pytest.param(near(term("db"), term("cache", ZONE), weights=[5, 5]),
                     [app("db", "n1"), app("cache", "n2")], [0, 200, 200], id="two wishes"),
        pytest.param(near(term("db", ZONE), weights=[1]),
                     [app("db", "n0"), app("db2", "n1", app="db"), app("db3", "n2", app="db")],
                     [200, 200, 0], id="two are better than one"),
        pytest.param({}, [app("db", "n1", affinity=near(term("web"), weights=[10]))], [0, 200, 0],
                     id="who is there would like it near"),
        pytest.param({}, [app("db", "n1", affinity=far(term("web"), weights=[10]))], [200, 0, 200],
                     id="who is there would like it far"),
        pytest.param({}, [app("db", "n1", affinity=near(term("web")))], [0, 200, 0],
                     id="who requires it near prefers it here, too"),
        pytest.param({}, [app("db", "n1")], [0, 0, 0], id="nobody wishes anything"),
    ],
)  # fmt: skip
def test_preferences_score(affinity, pods, expected):
    given = seen("web", labels={"app": "web"}, affinity=affinity)
    assert points(cluster(*pods), given) == expected


def test_replicas_that_shun_each_other_take_a_node_each():
    cache = cluster(zones="abc")
    placer = Placer(cache, random.Random(1))
    found = []
    for number in range(4):
        web = seen(f"w{number}", labels={"app": "web"}, affinity=far(term("web")))
        decision = placer.decide(web)
        if decision.node:
            cache.assume(web, decision.node)
        found.append(decision.node)
    assert sorted(found[:3]) == ["n0", "n1", "n2"]
    assert found[3] is None
    assert {why.reasons for why in decision.refusals.values()} == {(WORDS["near"],)}


def test_labels_of_a_namespace_may_change():
    cache = cluster(app("db", "n1", namespace="other"), namespaces={"other": {}}.items())
    placer = Placer(cache, random.Random(1))
    given = seen(affinity=near(term("db", namespaceSelector={"matchLabels": {"team": "a"}})))
    assert placer.decide(given).node is None
    other = {"metadata": {"name": "other"}}
    cache.set_namespace(other, {"metadata": {"name": "other", "labels": {"team": "a"}}})
    assert placer.decide(given).node == "n1"
