"""Which node is best, one score at a time."""

import pytest

from labkit.scheduler import scores
from labkit.scheduler.spread import (
    HOSTNAME,
    ZONE,
    Domains,
    Matcher,
    default_selector,
    domains_of,
    hard_refusal,
    soft_scores,
    spread_of,
)
from tests.scheduler.objects import info, pod, seen


@pytest.mark.parametrize(
    ("given", "where", "score"),
    [
        pytest.param(seen(cpu="2", memory="4Gi"), info(), 50, id="half of both"),
        pytest.param(seen(cpu="4", memory="0"), info(), 50, id="all CPU, no memory"),
        pytest.param(seen(cpu="1", memory="2Gi"), info(on=[pod("o", cpu="1", memory="2Gi")]), 50,
                     id="with what is there already"),
        pytest.param(seen(cpu="9", memory="0"), info(), 50, id="more than there is counts as 0"),
        pytest.param(seen(), info(cpu="1", memory="2000Mi"), 90, id="100m and 200Mi by default"),
    ],
)  # fmt: skip
def test_least_allocated(given, where, score):
    assert scores.least_allocated(given, where) == score


@pytest.mark.parametrize(
    ("given", "on", "score"),
    [
        pytest.param(seen(cpu="2", memory="4Gi"), [], 75, id="changes nothing"),
        pytest.param(seen(cpu="4", memory="4Gi"), [], 62, id="makes it worse by a quarter"),
        pytest.param(seen(cpu="4", memory="0"), [], 50, id="as bad as can be"),
        pytest.param(seen(cpu="2", memory="0"), [pod("o", memory="4Gi")], 87, id="mends it"),
        pytest.param(seen(), [], 0, id="requests nothing: not scored"),
    ],
)
def test_balanced_allocation(given, on, score):
    assert scores.balanced_allocation(given, info(on=on)) == score


@pytest.mark.parametrize(
    ("image", "on_nodes", "score"),
    [
        pytest.param("web:1", 1, 14, id="on one of three nodes"),
        pytest.param("web:1", 3, 48, id="on all nodes"),
        pytest.param("other", 3, 0, id="absent"),
        pytest.param("web", 3, 0, id="another tag"),
    ],
)
def test_image_locality(image, on_nodes, score):
    where = info(images=[("web:1", 500 * 1024 * 1024)])
    assert scores.image_locality(seen(image=image), where, {"web:1": on_nodes}, 3) == score


def test_preferences():
    preferred = [
        {"weight": 10, "preference": {"matchExpressions": [{"key": "ssd", "operator": "Exists"}]}},
        {"weight": 5, "preference": {"matchExpressions": [{"key": "big", "operator": "Exists"}]}},
    ]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    given = seen(affinity=affinity)
    assert scores.preferred_affinity(given, info(labels={"ssd": "", "big": ""})) == 15
    assert scores.preferred_affinity(given, info(labels={"big": ""})) == 5
    tainted = info(taints=[{"key": "a", "effect": "PreferNoSchedule"}])
    assert scores.untolerated_preferences(given, tainted) == 1
    tolerant = seen(tolerations=[{"operator": "Exists"}])
    assert scores.untolerated_preferences(tolerant, tainted) == 0


@pytest.mark.parametrize(
    ("raw", "reverse", "expected"),
    [
        ([1, 2, 4], False, [25, 50, 100]),
        ([1, 2, 4], True, [75, 50, 0]),
        ([0, 0], False, [0, 0]),
        ([0, 0], True, [100, 100]),
        ([], True, []),
    ],
)
def test_scores_are_normalized_to_a_hundred(raw, reverse, expected):
    assert scores.normalized(raw, reverse) == expected


@pytest.mark.parametrize(
    ("name", "full"),
    [("web", "web:latest"), ("web:1", "web:1"), ("host:5000/web", "host:5000/web:latest")],
)
def test_an_image_without_tag_is_the_latest(name, full):
    assert scores.normalized_image(name) == full


def constraint(key=HOSTNAME, skew=1, when="DoNotSchedule", **more):
    return {
        "topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": when,
        "labelSelector": {"matchLabels": {"app": "web"}}, **more,
    }  # fmt: skip


WEB = {"app": "web"}


def nodes_with(*counts, zones=None):
    return [
        info(
            f"n{place}",
            labels={ZONE: zones[place]} if zones else {},
            on=[pod(f"n{place}-{i}", labels=WEB) for i in range(count)],
        )
        for place, count in enumerate(counts)
    ]


def matching(given, node):
    return Matcher(spread_of(given, ()), given.namespace).count(node)


def domains_with(spread, given, nodes):
    domains, matcher = Domains(spread, given.labels), Matcher(spread, given.namespace)
    for node in nodes:
        domains.add(domains_of(spread, given, node), matcher.count(node))
    return domains


@pytest.mark.parametrize(
    ("given", "counts", "zones", "allowed"),
    [
        pytest.param([constraint()], [1, 0, 1], None, ["n1"], id="the emptiest host only"),
        pytest.param([constraint(skew=2)], [1, 0, 2], None, ["n0", "n1"], id="a skew of two"),
        pytest.param([constraint(ZONE)], [1, 0, 0], "aab", ["n2"], id="zones add up their nodes"),
        pytest.param([constraint(ZONE)], [0, 0], None, [], id="nodes without the label"),
        pytest.param([constraint(minDomains=3)], [1, 1], None, [], id="too few domains"),
        pytest.param([constraint(when="ScheduleAnyway")], [5, 0], None, ["n0", "n1"], id="soft"),
    ],
)
def test_hard_constraints_keep_the_skew(given, counts, zones, allowed):
    web = seen(labels=WEB, topologySpreadConstraints=given)
    spread = spread_of(web, ())
    nodes = nodes_with(*counts, zones=zones)
    domains = domains_with(spread, web, nodes)
    refused = domains.refused()
    found = [n.name for n in nodes if hard_refusal(n.labels, refused) is None]
    assert found == allowed


def test_a_domain_is_refused_in_upstreams_words():
    web = seen(labels=WEB, topologySpreadConstraints=[constraint(ZONE)])
    spread = spread_of(web, ())
    nodes = [*nodes_with(1, 0, zones="ab"), info("bare")]
    domains = domains_with(spread, web, nodes)
    words = "node(s) didn't match pod topology spread constraints"
    found = [hard_refusal(node.labels, domains.refused()) for node in nodes]
    assert found[0].reasons == (words,)
    assert found[1] is None
    assert found[2].reasons == (f"{words} (missing required label)",)


def test_emptier_hosts_score_more_by_default():
    web = seen(labels=WEB)
    service = {"spec": {"selector": WEB}}
    spread = spread_of(web, default_selector(WEB, [service], None))
    nodes = nodes_with(2, 1, 0)
    hosts, zones = ([node.labels.get(key) for node in nodes] for key in (HOSTNAME, ZONE))
    found = soft_scores(domains_with(spread, web, nodes), [hosts, zones])
    assert found == sorted(found)
    assert found[0] < found[1] < found[2]


def test_without_service_and_owner_there_is_nothing_to_spread():
    spread = spread_of(seen(labels=WEB), default_selector(WEB, [], None))
    assert soft_scores(Domains(spread, WEB), []) is None


def test_pods_that_end_and_pods_of_others_do_not_count():
    ends = pod("ends", labels=WEB, meta={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    theirs = pod("theirs", labels=WEB, meta={"namespace": "other"})
    where = info(on=[ends, theirs, pod("counts", labels=WEB)])
    web = seen(labels=WEB, topologySpreadConstraints=[constraint()])
    assert matching(web, where) == (1,)


def test_match_label_keys_keep_revisions_apart():
    labels = {**WEB, "rev": "2"}
    web = seen(labels=labels, topologySpreadConstraints=[constraint(matchLabelKeys=["rev"])])
    old, new = pod("old", labels={**WEB, "rev": "1"}), pod("new", labels=labels)
    assert matching(web, info(on=[old, new])) == (1,)
