"""PodTopologySpread's score, against the numbers of upstream's own tests (scoring_test.go)."""

import pytest

from labkit.scheduler import explain
from labkit.scheduler.cache import Cache
from labkit.scheduler.spread import HOSTNAME, default_selector, spread_of
from labkit.scheduler.table import Needs
from tests.scheduler.objects import node, pod, seen


def soft(key=HOSTNAME, skew=1, app="foo", **more):
    selector = {"matchExpressions": [{"key": app, "operator": "Exists"}]} if app else None
    return {
        "topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector, **more,
    }  # fmt: skip


def cluster(there, zones=None, cordoned="", bare=""):
    """Nodes a, b, ... with Pods of labels: {"a": "foo foo,bar"} has two Pods."""
    cache = Cache()
    for name, pods in there.items():
        labels = {"zone": zones[name]} if zones else {}
        made = node(name, labels=labels, unschedulable=name in cordoned)
        if name in bare:
            del made["metadata"]["labels"][HOSTNAME]
        cache.set_node(None, made)
        for number, keys in enumerate(pods.split()):
            labels = dict.fromkeys(keys.split(","), "")
            cache.set_pod(None, pod(f"{name}{number}", node=name, labels=labels))
    return cache


def points(cache, constraints, **spec):
    given = seen(labels={"foo": "", "bar": ""}, topologySpreadConstraints=constraints, **spec)
    verdicts = explain(given, cache, Needs(spread_of(given, ())))
    return {each.node: each.scores["PodTopologySpread"] // 2 for each in verdicts if each.possible}


def foo(**counts):
    return {name: " ".join(["foo"] * count) for name, count in counts.items()}


ZONES = {"a": "1", "b": "1", "x": "2", "y": "2"}
TWO = [soft("zone"), soft(app="bar")]


@pytest.mark.parametrize(
    ("cache", "constraints", "expected"),
    [
        pytest.param(cluster(foo(a=0, b=0)), [soft()], {"a": 100, "b": 100}, id="nobody yet"),
        pytest.param(cluster(foo(a=1, b=1)), [soft()], {"a": 100, "b": 100}, id="even"),
        pytest.param(cluster(foo(a=2, b=1, c=0, d=3)), [soft()],
                     {"a": 20, "b": 60, "c": 100, "d": 0}, id="uneven"),
        pytest.param(cluster(foo(a=2, b=1, c=0, d=3)), [soft(app=None)],
                     {"a": 100, "b": 100, "c": 100, "d": 100}, id="no selector"),
        pytest.param(cluster(foo(a=2, b=1, c=0, d=3)), [soft(skew=2)],
                     {"a": 33, "b": 66, "c": 100, "d": 16}, id="a skew of two"),
        pytest.param(cluster(foo(a=4, b=3, c=2, d=1)), [soft(skew=3)],
                     {"a": 44, "b": 66, "c": 77, "d": 100}, id="a skew of three"),
        pytest.param(cluster(foo(a=4, b=2, x=1, y=3), cordoned="y"), [soft()],
                     {"a": 33, "b": 83, "x": 100}, id="three of four nodes are possible"),
        pytest.param(cluster(foo(a=4, b=2, x=1, y=3), cordoned="y", bare="b"), [soft()],
                     {"a": 16, "b": 0, "x": 100}, id="one lacks the label"),
        pytest.param(cluster(foo(a=4, b=2, x=1, y=3), ZONES, cordoned="y"), [soft("zone")],
                     {"a": 75, "b": 75, "x": 100}, id="zones"),
        pytest.param(cluster(foo(a=2, b=1, x=2, y=4), ZONES, cordoned="by"),
                     [soft("zone"), soft()], {"a": 100, "x": 63}, id="zones and hosts"),
        pytest.param(cluster({"a": "foo,bar foo", "b": "foo,bar", "x": "", "y": "foo foo,bar foo"},
                             ZONES, cordoned="by", bare="axby"),
                     [soft("zone"), soft("zone", app="bar")], {"a": 85, "x": 100},
                     id="two constraints on zones"),
        pytest.param(cluster({"a": "foo", "b": "foo,bar", "x": "", "y": "foo bar"}, ZONES), TWO,
                     {"a": 60, "b": 20, "x": 100, "y": 60}, id="two selectors"),
        pytest.param(cluster({"a": "", "b": "bar", "x": "foo", "y": "foo,bar"}, ZONES), TWO,
                     {"a": 100, "b": 60, "x": 40, "y": 0}, id="two selectors, some find nobody"),
    ],
)  # fmt: skip
def test_the_score_is_upstreams(cache, constraints, expected):
    assert points(cache, constraints) == expected


def test_hosts_without_a_zone_still_spread_by_default():
    cache = cluster(foo(a=1, b=2, x=0))
    given = seen(labels={"foo": ""})
    spread = spread_of(given, default_selector(given.labels, [], {"spec": {"selector": {
        "matchLabels": {"foo": ""}}}}))  # fmt: skip
    verdicts = explain(given, cache, Needs(spread))
    found = {each.node: each.scores["PodTopologySpread"] // 2 for each in verdicts}
    assert found["x"] > found["a"] > found["b"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param({}, {"a": 33, "b": 100}, id="do not count"),
        pytest.param({"nodeAffinityPolicy": "Ignore"}, {"a": 16, "b": 100}, id="count if told so"),
    ],
)
def test_nodes_that_the_pod_never_asks_for(policy, expected):
    cache = Cache()
    for name, zone in (("a", "1"), ("b", "2"), ("x", "1")):
        labels = {"zone": zone} | ({} if name == "x" else {"foo": ""})
        cache.set_node(None, node(name, labels=labels))
    for number, where in enumerate("aabxx"):
        cache.set_pod(None, pod(f"p{number}", node=where, labels={"foo": ""}))
    assert points(cache, [soft("zone", **policy)], nodeSelector={"foo": ""}) == expected
