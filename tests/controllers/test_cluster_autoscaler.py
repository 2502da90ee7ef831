"""What the cluster autoscaler decides: which machines Pods need, and which nodes nobody needs."""

import random
from dataclasses import replace

import pytest

from labkit.controllers.cluster_autoscaler.drainability import MOVES, STAYS, judge
from labkit.controllers.cluster_autoscaler.scale_down import (
    Cluster,
    Planner,
    utilization,
    within_budgets,
)
from labkit.controllers.cluster_autoscaler.scale_up import (
    MAX_REACHED,
    TOTAL_REACHED,
    Offer,
    plan,
    unschedulable,
    without_place,
)
from labkit.controllers.cluster_autoscaler.settings import ClusterAutoscalerSettings
from labkit.kube.resources import NODES, PODS
from labkit.scheduler.snapshot import Snapshot
from tests.scheduler.objects import node, pod

SETTINGS = ClusterAutoscalerSettings()
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LONG_AGO = "2025-12-31T23:00:00Z"


class Group:
    """A node group that only counts."""

    def __init__(self, name="g", low=0, high=10, target=0, **size):
        self.id, self.min_size, self.max_size = name, low, high
        self.target, self.size = target, {"cpu": "2", "memory": "4Gi", **size}

    def target_size(self):
        return self.target

    def template_node_info(self):
        return node(f"{self.id}-template", **self.size)


def owned(kind="ReplicaSet", name="web"):
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": True}
    return {"ownerReferences": [owner], "creationTimestamp": LONG_AGO}


def waiting(name="p", *, meta=None, status=(), **spec):
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    found = pod(name, meta={**owned(), **(meta or {})}, **spec)
    return {**found, "status": {"conditions": [condition], **dict(status)}}


def many(count, **spec):
    return [waiting(f"p{number}", **spec) for number in range(count)]


def planned(groups, found, *, daemons=(), snapshot=None, settings=SETTINGS, nodes=0):
    offers = [Offer(group, group.template_node_info(), daemons) for group in groups]
    source = random.Random(1)
    return plan(snapshot or Snapshot(), offers, found, settings, nodes, source)


# Which Pods count.


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        pytest.param(waiting(), True, id="one that fits nowhere"),
        pytest.param(pod(meta=owned()), False, id="one that the scheduler has not seen"),
        pytest.param(waiting(meta=owned("DaemonSet")), False, id="one of a DaemonSet"),
        pytest.param(waiting(status={"nominatedNodeName": "n"}), False, id="room is being made"),
        pytest.param(waiting(priority=-11), False, id="one that is expendable"),
        pytest.param(waiting(priority=-10), True, id="one that just is not"),
        pytest.param(waiting(meta={"deletionTimestamp": LONG_AGO}), False, id="one that goes"),
    ],
)
def test_machines_are_ordered_only_for_pods_that_need_them(found, counts):
    assert unschedulable([found], SETTINGS, NOW) == ([found] if counts else [])


def test_the_most_important_pods_come_first():
    low, high = waiting("low"), waiting("high", priority=5)
    assert unschedulable([low, high], SETTINGS, NOW) == [high, low]


# How many machines.

ALONE = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": {"app": "web"}},
            }
        ]
    }
}


@pytest.mark.parametrize(
    ("found", "daemons", "count"),
    [
        pytest.param(many(1, cpu="100m"), (), 1, id="a small Pod takes a machine too"),
        pytest.param(many(10, cpu="500m"), (), 3, id="four fit on one"),
        pytest.param(many(4, memory="3Gi"), (), 4, id="memory counts"),
        pytest.param(many(8, cpu="500m"), [pod("d", cpu="500m")], 3, id="DaemonSets take room"),
        pytest.param(
            [*many(3, cpu="1500m"), *(waiting(f"s{n}", cpu="500m", meta=owned(name="s"))
                                     for n in range(3))],
            (), 3, id="small ones fill the gaps",
        ),
        pytest.param(
            many(3, cpu="100m", labels={"app": "web"}, affinity=ALONE), (), 3,
            id="Pods that want to be alone",
        ),
    ],
)  # fmt: skip
def test_as_many_machines_as_the_scheduler_would_fill(found, daemons, count):
    expansion = planned([Group()], found, daemons=daemons).expansion
    assert (expansion.before, expansion.after) == (0, count)
    assert str(expansion) == f"{{g 0->{count} (max: 10)}}"


ZONE = "topology.kubernetes.io/zone"


def spreading(key, skew, domains=1):
    constraint = {
        "maxSkew": skew,
        "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule",
        "minDomains": domains,
        "labelSelector": {"matchLabels": {"app": "estimatee"}},
    }
    return {"labels": {"app": "estimatee"}, "topologySpreadConstraints": [constraint]}


PORT = {"ports": [{"hostPort": 5555, "containerPort": 5555}]}


@pytest.mark.parametrize(
    ("cpu", "groups", "most", "nodes", "placed"),
    [
        pytest.param("1", [(10, {"cpu": "350m"})], 99, 5, 10, id="by resources"),
        pytest.param("10", [(20, {"cpu": "10m"})], 99, 2, 20, id="ten Pods on a node at most"),
        pytest.param("1", [(8, {"cpu": "200m", **PORT})], 99, 8, 8, id="a host port each"),
        pytest.param("1", [(20, {"cpu": "500m"})], 5, 5, 10, id="a limit"),
        pytest.param(
            "1", [(10, {"cpu": "50m"}), (10, {"cpu": "500m"})], 5, 5, 10, id="the largest first"
        ),
        pytest.param(
            "1", [(8, {"cpu": "200m", **spreading("kubernetes.io/hostname", 2)})], 99, 4, 8,
            id="spread over hosts, skew 2",
        ),
        pytest.param(
            "1", [(8, {"cpu": "20m", **spreading(ZONE, 2)})], 99, 1, 2,
            id="spread over zones, of which one grows",
        ),
        pytest.param(
            "1", [(12, {"cpu": "20m", **spreading("kubernetes.io/hostname", 1, 3)})], 99, 2, 12,
            id="spread over hosts, of which one was there (upstream counts that one, too: 3)",
        ),
    ],
)  # fmt: skip
def test_the_estimates_are_upstreams(cpu, groups, most, nodes, placed):
    """The cases of TestBinpackingEstimate in cluster-autoscaler/estimator."""
    snapshot = Snapshot()
    old = node("oldnode", cpu="100m", memory="100Mi", pods="10", labels={ZONE: "zone-jupiter"})
    snapshot.changed(NODES, None, old)
    group = Group(high=most, cpu=cpu, memory="5000Mi", pods="10", labels={ZONE: "zone-mars"})
    found = [
        waiting(f"{kind}-{number}", meta=owned(name=f"owner-{kind}"), **spec)
        for kind, (count, spec) in enumerate(groups)
        for number in range(count)
    ]
    decided = planned([group], found, snapshot=snapshot)
    assert (decided.expansion.after, len(decided.helped)) == (nodes, placed)


def test_a_group_grows_to_its_maximum_and_helps_those_that_fit_there():
    decided = planned([Group(target=3, high=5)], many(20, cpu="500m"))
    assert str(decided.expansion) == "{g 3->5 (max: 5)}"
    assert len(decided.helped) == 8


def test_the_cluster_grows_to_its_maximum():
    settings = replace(SETTINGS, max_nodes_total=6)
    decided = planned([Group(target=3)], many(40, cpu="500m"), settings=settings, nodes=4)
    assert str(decided.expansion) == "{g 3->5 (max: 10)}"
    full = planned([Group(target=3)], many(1), settings=settings, nodes=6)
    assert full.helpless[0][1] == TOTAL_REACHED


@pytest.mark.parametrize(
    ("groups", "spec", "words"),
    [
        ([Group(target=10)], {}, f"1 {MAX_REACHED}"),
        ([Group()], {"cpu": "3"}, "1 Insufficient cpu"),
        ([Group(), Group("big", target=10)], {"cpu": "3"}, f"1 Insufficient cpu, 1 {MAX_REACHED}"),
        ([Group(), Group("h")], {"nodeSelector": {"disk": "ssd"}},
         "2 node(s) didn't match Pod's node affinity/selector"),
        ([Group(taints=[{"key": "gpu", "effect": "NoSchedule"}])], {},
         "1 node(s) had untolerated taint {gpu: }"),
    ],
)  # fmt: skip
def test_a_pod_that_no_machine_can_help_is_told_why(groups, spec, words):
    decided = planned(groups, many(1, **spec))
    assert decided.expansion is None
    assert [why for _, why in decided.helpless] == [words]


def test_the_group_that_wastes_least_is_taken():
    groups = [Group("large", cpu="8", memory="16Gi"), Group("small"), Group("fat", memory="64Gi")]
    assert planned(groups, many(2, cpu="900m", memory="1Gi")).expansion.group.id == "small"
    assert planned(groups, many(1, cpu="6", memory="2Gi")).expansion.group.id == "large"


def test_planning_leaves_the_snapshot_as_it_was():
    snapshot = Snapshot()
    snapshot.changed(NODES, None, node("a", cpu="1"))
    planned([Group()], many(5, cpu="1"), snapshot=snapshot)
    assert snapshot.mark() == 0
    assert snapshot.find(pod(cpu="2")) is None
    assert snapshot.find(pod(cpu="1")) == "a"


def test_machines_that_are_under_way_are_not_ordered_again():
    snapshot, group = Snapshot(), Group(target=1)
    Offer(group, group.template_node_info()).join(snapshot, "upcoming")
    left = without_place(snapshot, many(5, cpu="500m"))
    assert [each["metadata"]["name"] for each in left] == ["p4"]


# Which Pods keep their node.

BUDGET = {
    "metadata": {"namespace": "default", "name": "b"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}},
    "status": {"disruptionsAllowed": 0},
}
ANNOTATION = "cluster-autoscaler.kubernetes.io/safe-to-evict"


def kept(safe=None, namespace="default", kind="ReplicaSet", **spec):
    meta = {**owned(kind), "namespace": namespace}
    if safe:
        meta["annotations"] = {ANNOTATION: safe}
    return pod(meta=meta, **spec)


EMPTY_DIR = [{"name": "scratch", "emptyDir": {}}]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        pytest.param(kept(), MOVES, id="of a ReplicaSet"),
        pytest.param(kept(kind="DaemonSet"), STAYS, id="of a DaemonSet"),
        pytest.param(pod(), "NotReplicated", id="nobody would make another"),
        pytest.param(kept("false"), "NotSafeToEvictAnnotation", id="it says so"),
        pytest.param(kept(volumes=EMPTY_DIR), "LocalStorageRequested", id="its data would go"),
        pytest.param(kept("true", volumes=EMPTY_DIR), MOVES, id="it says that that is well"),
        pytest.param(kept(namespace="kube-system"), "UnmovableKubeSystemPod", id="of the system"),
        pytest.param(kept(labels={"app": "web"}), "NotEnoughPdb", id="its budget is used up"),
        pytest.param(
            pod(meta={"deletionTimestamp": LONG_AGO}), STAYS, id="it should have ended long ago"
        ),
    ],
)
def test_a_pod_moves_or_stays_or_keeps_its_node(found, verdict):
    assert judge(found, [BUDGET], SETTINGS, NOW) == verdict


# Which nodes nobody needs.


def cluster(*nodes, deleting=(), budgets=()):
    """Ready Nodes, of groups or not."""
    ready = {"type": "Ready", "status": "True"}
    found = {
        each["metadata"]["name"]: {**each, "status": {**each["status"], "conditions": [ready]}}
        for each in nodes
    }
    return Cluster(found, frozenset(deleting), list(budgets))


def snapshot_of(state, *pods):
    snapshot = Snapshot()
    for each in state.nodes.values():
        snapshot.changed(NODES, None, each)
    for each in pods:
        snapshot.changed(PODS, None, each)
    return snapshot


def on(name, where, cpu="500m", **rest):
    return pod(name, cpu=cpu, node=where, meta=owned(), **rest)


def looked_at(state, *pods, candidates=None, settings=SETTINGS):
    planner = Planner(settings)
    planner.update(snapshot_of(state, *pods), candidates or list(state.nodes), state, NOW)
    return planner


def test_an_empty_node_is_unneeded():
    planner = looked_at(cluster(node("a"), node("b")), on("p", "a", "3"), candidates=["a", "b"])
    assert planner.unneeded == {"b": NOW}
    assert planner.reasons == {"a": "NotUnderutilized"}


def test_a_node_whose_pods_fit_elsewhere_is_unneeded():
    planner = looked_at(cluster(node("a"), node("b")), on("p", "a"), on("q", "b", "3"))
    assert list(planner.unneeded) == ["a"]


def test_of_two_nodes_that_could_take_each_others_pods_one_stays():
    planner = looked_at(cluster(node("a"), node("b")), on("p", "a"), on("q", "b"))
    assert list(planner.unneeded) == ["a"]
    assert planner.reasons == {"b": "NoPlaceToMovePods"}


def test_a_node_that_could_not_go_is_looked_at_again_after_five_minutes():
    state = cluster(node("a"), node("b", cpu="1"))
    planner = looked_at(state, on("p", "a", "1500m"), candidates=["a"])
    assert planner.reasons == {"a": "NoPlaceToMovePods"}
    empty = snapshot_of(state)
    planner.update(empty, ["a"], state, NOW + 299)
    assert planner.reasons == {"a": "RecentlyUnremovable"}
    planner.update(empty, ["a"], state, NOW + 301)
    assert list(planner.unneeded) == ["a"]


def test_a_pod_that_keeps_its_node_is_named():
    planner = looked_at(cluster(node("a"), node("b")), pod("one", node="a"), candidates=["a"])
    assert planner.reasons == {"a": "BlockedByPod default/one: NotReplicated"}


def test_a_node_may_be_excepted():
    excepted = node("a")
    name = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
    excepted["metadata"]["annotations"] = {name: "true"}
    planner = looked_at(cluster(excepted))
    assert planner.reasons == {"a": "ScaleDownDisabledAnnotation"}


def test_while_pods_of_a_node_that_goes_have_no_place_no_other_goes():
    state = cluster(node("a", cpu="1"), node("b"), node("c"), deleting=["b"])
    pods = [on("p", "b", "1500m"), on("q", "c", "3")]
    assert not looked_at(state, *pods, candidates=["a"]).unneeded
    assert looked_at(state, *pods[1:], candidates=["a"]).unneeded


@pytest.mark.parametrize(
    ("waited", "target", "low", "goes"),
    [
        pytest.param(601, 2, 0, True, id="long enough"),
        pytest.param(600, 2, 0, False, id="not yet"),
        pytest.param(601, 2, 2, False, id="the group is at its minimum"),
    ],
)
def test_a_node_goes_when_it_was_unneeded_for_ten_minutes(waited, target, low, goes):
    state = cluster(node("a"))
    planner = looked_at(state)
    groups = {"a": Group(low=low, target=target)}
    assert bool(planner.removable(groups, state, NOW + waited)) == goes


def test_nodes_go_one_after_the_other_where_pods_have_to_move():
    state = cluster(node("a"), node("b"), node("c"), node("d", cpu="64"))
    planner = looked_at(state, on("p", "a"), on("q", "b"), candidates=["a", "b", "c"])
    groups = dict.fromkeys("abc", Group(target=3))
    found = planner.removable(groups, state, NOW + 601)
    assert [each.name for each in found] == ["c", "a", "b"]
    assert [each.name for each in within_budgets(found, {}, SETTINGS)] == ["c", "a"]
    assert [each.name for each in within_budgets(found, {"x": True}, SETTINGS)] == ["c"]


def test_daemons_count_in_utilization_unless_told_otherwise():
    state = cluster(node("a", cpu="4"))
    daemon = pod("d", cpu="2", node="a", meta=owned("DaemonSet"))
    snapshot = snapshot_of(state, daemon, on("p", "a", "1"))
    without = replace(SETTINGS, ignore_daemonsets_utilization=True)
    assert utilization(snapshot, state.nodes["a"], SETTINGS, NOW) == 0.75
    assert utilization(snapshot, state.nodes["a"], without, NOW) == 0.5
