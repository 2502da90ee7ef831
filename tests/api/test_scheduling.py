"""Where Pods go, and why not: what any cluster with two nodes or more does."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.api.conftest import Wire, refused, until
from tests.api.pods import container, is_ready, pod
from tests.kubectl.conftest import Kubectl

HOST = "kubernetes.io/hostname"
DONGLE = "example.com/dongle"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture(scope="module")
def nodes(wire: Wire) -> list[str]:
    """The names of the nodes that take ordinary Pods."""
    found = [
        each["metadata"]["name"]
        for each in wire.ok("GET", "/api/v1/nodes")["items"]
        if not each["spec"].get("taints") and not each["spec"].get("unschedulable")
    ]
    assert len(found) >= 2, "these tests need two nodes that take Pods"
    return found


@pytest.fixture(scope="module")
def total(wire: Wire) -> int:
    """How many nodes there are, as messages count them."""
    return len(wire.ok("GET", "/api/v1/nodes")["items"])


def small(name: str, labels: dict | None = None, **spec: object) -> dict:
    return pod(name, container("c", resources=spec.pop("resources", {})), labels=labels, **spec)


def create(wire: Wire, ns: str, made: dict) -> dict:
    return wire.ok("POST", f"{ns}/pods", made)


def node_of(wire: Wire, ns: str, name: str) -> str:
    path = f"{ns}/pods/{name}"
    return until(lambda: wire.ok("GET", path)["spec"].get("nodeName"), 20, f"{name} is on a node")


def scheduled(wire: Wire, ns: str, name: str) -> dict:
    """The condition PodScheduled."""
    found = wire.ok("GET", f"{ns}/pods/{name}")["status"].get("conditions") or ()
    return next((each for each in found if each["type"] == "PodScheduled"), {})


def message(wire: Wire, ns: str, name: str) -> str:
    """Why the Pod has no node, once the scheduler has said so."""

    def said() -> str | None:
        condition = scheduled(wire, ns, name)
        return condition.get("reason") == "Unschedulable" and condition["message"]

    return until(said, 20, f"{name} is unschedulable")


def events(wire: Wire, ns: str, name: str) -> list[tuple[str, str, str]]:
    """(type, reason, message) of a Pod's Events."""
    found = wire.ok("GET", f"{ns}/events", fieldSelector=f"involvedObject.name={name}")["items"]
    return [(each["type"], each["reason"], each["message"]) for each in found]


@contextmanager
def labelled(wire: Wire, node: str, key: str, value: str) -> Iterator[None]:
    """A node with one more label."""
    path = f"/api/v1/nodes/{node}"
    wire.ok("PATCH", path, {"metadata": {"labels": {key: value}}}, type=STRATEGIC)
    yield
    wire.ok("PATCH", path, {"metadata": {"labels": {key: None}}}, type=STRATEGIC)


@contextmanager
def tainted(wire: Wire, node: str, taint: dict) -> Iterator[None]:
    path = f"/api/v1/nodes/{node}"
    wire.ok("PATCH", path, {"spec": {"taints": [taint]}}, type=STRATEGIC)
    yield
    gone = {"key": taint["key"], "effect": taint["effect"], "$patch": "delete"}
    wire.ok("PATCH", path, {"spec": {"taints": [gone]}}, type=STRATEGIC)


@pytest.fixture
def dongles(wire: Wire, nodes: list[str]) -> Iterator[str]:
    """The node that has two of a resource that no other node has."""
    path, field = f"/api/v1/nodes/{nodes[0]}/status", DONGLE.replace("/", "~1")
    add = [{"op": "add", "path": f"/status/capacity/{field}", "value": "2"}]
    wire.ok("PATCH", path, add, type=JSON_PATCH)
    # The kubelet makes it allocatable the next time that it writes its status.
    add = [{"op": "add", "path": f"/status/allocatable/{field}", "value": "2"}]
    wire.ok("PATCH", path, add, type=JSON_PATCH)
    yield nodes[0]
    remove = [{"op": "remove", "path": f"/status/capacity/{field}"}]
    wire.ok("PATCH", path, remove, type=JSON_PATCH)


def asking(dongles: int) -> dict:
    amount = {DONGLE: str(dongles)}
    return {"requests": amount, "limits": amount}


@pytest.fixture
def priority(wire: Wire) -> Iterator[str]:
    """The name of a PriorityClass above the default."""
    name, path = f"high-{uuid.uuid4().hex[:8]}", "/apis/scheduling.k8s.io/v1/priorityclasses"
    body = {
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": name}, "value": 1000,
    }  # fmt: skip
    wire.ok("POST", path, body)
    yield name
    wire.delete(f"{path}/{name}")


def test_a_pod_that_fits_nowhere_says_why_and_goes_when_it_fits(wire, ns, nodes, total):
    key = f"example.com/{ns[-8:]}"
    create(wire, ns, small("picky", nodeSelector={key: "yes"}))
    said = message(wire, ns, "picky")
    assert said.startswith(f"0/{total} nodes are available: ")
    assert re.search(r"\b\d+ node\(s\) didn't match Pod's node affinity/selector", said)
    preemption = f"0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
    assert said.endswith(preemption)
    until(
        lambda: ("Warning", "FailedScheduling", said) in events(wire, ns, "picky"),
        what="an Event says the same",
    )
    with labelled(wire, nodes[1], key, "yes"):
        assert node_of(wire, ns, "picky") == nodes[1]
    assigned = f"Successfully assigned {ns.rpartition('/')[2]}/picky to {nodes[1]}"
    until(
        lambda: ("Normal", "Scheduled", assigned) in events(wire, ns, "picky"),
        what="an Event says where it went",
    )
    assert scheduled(wire, ns, "picky")["status"] == "True"


def test_a_pod_that_asks_for_too_much_names_what_is_missing(wire, ns, total):
    create(wire, ns, small("huge", resources={"requests": {"cpu": "1000", "memory": "900Ti"}}))
    said = message(wire, ns, "huge")
    assert re.search(r"\d+ Insufficient cpu, \d+ Insufficient memory", said)
    assert f"preemption: 0/{total} nodes are available" in said


def test_a_taint_keeps_out_who_does_not_tolerate_it(wire, ns, nodes):
    taint = {"key": f"example.com/{ns[-8:]}", "value": "yes", "effect": "NoSchedule"}
    there = {"nodeSelector": {HOST: _label(wire, nodes[0], HOST)}}
    with tainted(wire, nodes[0], taint):
        create(wire, ns, small("kept-out", **there))
        tolerations = [{"key": taint["key"], "operator": "Exists"}]
        create(wire, ns, small("tolerant", tolerations=tolerations, **there))
        assert node_of(wire, ns, "tolerant") == nodes[0]
        assert "node(s) had untolerated taint" in message(wire, ns, "kept-out")
    assert node_of(wire, ns, "kept-out") == nodes[0]


def _label(wire: Wire, node: str, key: str) -> str:
    return wire.ok("GET", f"/api/v1/nodes/{node}")["metadata"]["labels"][key]


def anti(app: str) -> dict:
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": app}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_pods_that_shun_each_other_take_a_node_each(wire, ns, nodes):
    labels = {"app": "lonely"}
    for number in range(len(nodes) + 1):
        create(wire, ns, small(f"p{number}", labels=labels, affinity=anti("lonely")))

    def placed() -> list[str] | None:
        pods = wire.ok("GET", f"{ns}/pods")["items"]
        found = [each["spec"]["nodeName"] for each in pods if each["spec"].get("nodeName")]
        return sorted(found) if len(found) >= len(nodes) else None

    assert until(placed) == sorted(nodes)
    waiting = [
        each["metadata"]["name"]
        for each in wire.ok("GET", f"{ns}/pods")["items"]
        if not each["spec"].get("nodeName")
    ]
    assert "node(s) didn't match pod anti-affinity rules" in message(wire, ns, waiting[0])


def test_anti_affinity_holds_against_those_who_come_later_too(wire, ns, nodes):
    for number in range(len(nodes)):
        create(wire, ns, small(f"p{number}", labels={"app": "hater"}, affinity={
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": HOST, "labelSelector": {"matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["hater", "hated"]}]}}]},
        }))  # fmt: skip
        node_of(wire, ns, f"p{number}")
    create(wire, ns, small("late", labels={"app": "hated"}))
    said = message(wire, ns, "late")
    assert "node(s) didn't satisfy existing pods anti-affinity rules" in said


def test_a_pod_follows_its_friend(wire, ns, nodes):
    create(wire, ns, small("friend", labels={"app": "friend"}))
    where = node_of(wire, ns, "friend")
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "friend"}}}
    rules = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    for number in range(3):
        create(wire, ns, small(f"p{number}", affinity=rules))
        assert node_of(wire, ns, f"p{number}") == where


def test_label_keys_are_merged_into_selectors_when_a_pod_is_created(wire, ns):
    term = {
        "topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": ["version"], "mismatchLabelKeys": ["tenant", "absent"],
    }  # fmt: skip
    rules = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "podAffinityTerm": term}]}}  # fmt: skip
    labels = {"app": "web", "version": "2", "tenant": "a"}
    made = create(wire, ns, small("web", labels=labels, affinity=rules))
    preferred = made["spec"]["affinity"]["podAffinity"]
    found = preferred["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]
    assert found["labelSelector"]["matchExpressions"] == [
        {"key": "version", "operator": "In", "values": ["2"]},
        {"key": "tenant", "operator": "NotIn", "values": ["a"]},
    ]


def test_a_hard_spread_keeps_hosts_even(wire, ns, nodes):
    constraint = {
        "maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor", "labelSelector": {"matchLabels": {"app": "even"}},
    }  # fmt: skip
    found = []
    for number in range(2 * len(nodes)):
        made = small(f"p{number}", labels={"app": "even"}, topologySpreadConstraints=[constraint])
        create(wire, ns, made)
        found.append(node_of(wire, ns, f"p{number}"))
    assert sorted(found) == sorted(nodes * 2)


def test_a_gated_pod_waits_for_its_gates(wire, ns, k: Kubectl):
    gates = [{"name": "example.com/one"}, {"name": "example.com/two"}]
    create(wire, ns, small("gated", schedulingGates=gates))
    condition = scheduled(wire, ns, "gated")
    assert (condition["status"], condition["reason"]) == ("False", "SchedulingGated")
    assert condition["message"] == "Scheduling is blocked due to non-empty scheduling gates"
    assert "SchedulingGated" in k("get", "pod", "gated")
    path = f"{ns}/pods/gated"
    more = {"spec": {"schedulingGates": [*gates, {"name": "example.com/three"}]}}
    why = "only deletion is allowed, but found new scheduling gate 'example.com/three'"
    refused(wire.patch(path, more, STRATEGIC), 422, "Invalid", why)
    narrower = {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}
    wire.ok("PATCH", path, narrower, type=STRATEGIC)
    binding = {
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "gated"},
        "target": {"kind": "Node", "name": "any"},
    }  # fmt: skip
    why = "pod gated has non-empty .spec.schedulingGates"
    refused(wire.post(f"{path}/binding", binding), 409, "Conflict", why)
    refused(wire.post(f"{ns}/bindings", binding), 409, "Conflict", why)
    refused(wire.get(f"{ns}/bindings"), 405, "MethodNotAllowed")
    wire.ok("PATCH", path, [{"op": "remove", "path": "/spec/schedulingGates"}], type=JSON_PATCH)
    assert node_of(wire, ns, "gated")
    wider = {"spec": {"nodeSelector": {"more": "labels"}}}
    refused(wire.patch(path, wider, STRATEGIC), 422, "Invalid", "pod updates may not change")


def test_a_more_important_pod_takes_the_place_of_another(wire, ns, dongles, priority):
    for name in ("low", "also-low"):
        create(wire, ns, small(name, resources=asking(1)))
        assert node_of(wire, ns, name) == dongles
    made = small("high", resources=asking(2), priorityClassName=priority)
    uid = create(wire, ns, made)["metadata"]["uid"]
    assert node_of(wire, ns, "high") == dongles
    until(lambda: is_ready(wire.ok("GET", f"{ns}/pods/high")), 60, "it runs")
    told = ("Normal", "Preempted", f"Preempted by pod {uid} on node {dongles}")
    for name in ("low", "also-low"):
        assert wire.get(f"{ns}/pods/{name}").status_code == 404
        until(lambda name=name: told in events(wire, ns, name), what="an Event says who came")
    said = [text for _, reason, text in events(wire, ns, "high") if reason == "FailedScheduling"]
    assert f"Insufficient {DONGLE}" in said[0]


def test_a_victim_is_told_and_has_its_time_to_end(wire, ns, dongles, priority):
    slow = container("c", "trap '' TERM; sleep 600", resources=asking(2))
    low = pod("low", slow)
    low["spec"]["terminationGracePeriodSeconds"] = 5
    create(wire, ns, low)
    until(lambda: is_ready(wire.ok("GET", f"{ns}/pods/low")), 60, "it runs")
    create(wire, ns, small("high", resources=asking(1), priorityClassName=priority))
    leaving = until(
        lambda: (
            (found := wire.ok("GET", f"{ns}/pods/low"))["metadata"].get("deletionTimestamp")
            and found
        ),
        what="it is asked to leave",
    )
    told = [each for each in leaving["status"]["conditions"] if each["type"] == "DisruptionTarget"]
    assert (told[0]["status"], told[0]["reason"]) == ("True", "PreemptionByScheduler")
    assert told[0]["message"] == (
        "default-scheduler: preempting to accommodate a higher priority pod"
    )
    waiting = until(
        lambda: (
            (found := wire.ok("GET", f"{ns}/pods/high"))["status"].get("nominatedNodeName")
            and found
        ),
        what="its place is named",
    )
    assert waiting["status"]["nominatedNodeName"] == dongles
    assert node_of(wire, ns, "high") == dongles
    bound = wire.ok("GET", f"{ns}/pods/high")
    assert not bound["status"].get("nominatedNodeName")


def test_who_never_preempts_waits_its_turn(wire, ns, dongles):
    name, path = f"patient-{ns[-8:]}", "/apis/scheduling.k8s.io/v1/priorityclasses"
    body = {
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": 1000, "preemptionPolicy": "Never",
    }  # fmt: skip
    wire.ok("POST", path, body)
    try:
        create(wire, ns, small("low", resources=asking(2)))
        node_of(wire, ns, "low")
        create(wire, ns, small("patient", resources=asking(1), priorityClassName=name))
        said = message(wire, ns, "patient")
        assert said.endswith("preemption: not eligible due to preemptionPolicy=Never.")
        assert not wire.ok("GET", f"{ns}/pods/low")["metadata"].get("deletionTimestamp")
    finally:
        wire.delete(f"{path}/{name}")


def test_pods_of_the_same_importance_do_not_preempt(wire, ns, dongles, total):
    create(wire, ns, small("first", resources=asking(2)))
    node_of(wire, ns, "first")
    create(wire, ns, small("second", resources=asking(1)))
    said = message(wire, ns, "second")
    assert f"preemption: 0/{total} nodes are available: " in said
    assert "1 No preemption victims found for incoming pod" in said
    wire.delete(f"{ns}/pods/first")
    assert node_of(wire, ns, "second") == dongles
