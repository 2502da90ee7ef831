"""Which nodes can take a Pod, and the words for why not."""

import pytest

from labkit.scheduler.filters import refusal
from labkit.scheduler.podview import pod_requests
from tests.scheduler.objects import info, pod, seen

GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


def affinity(*terms):
    required = {"nodeSelectorTerms": list(terms)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def label(key, operator, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


PORT = [{"containerPort": 80, "hostPort": 80}]


@pytest.mark.parametrize(
    ("given", "where", "reasons"),
    [
        pytest.param(seen(), info(), None, id="nothing is against it"),
        pytest.param(seen(), info(unschedulable=True), ["node(s) were unschedulable"], id="cordon"),
        pytest.param(
            seen(tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]),
            info(unschedulable=True), None, id="cordon tolerated",
        ),
        pytest.param(
            seen(node="other"), info(),
            ["node(s) didn't match the requested node name"], id="another node by name",
        ),
        pytest.param(
            seen(), info(taints=[GPU]), ["node(s) had untolerated taint {gpu: yes}"], id="taint",
        ),
        pytest.param(
            seen(), info(taints=[UNREACHABLE]),
            ["node(s) had untolerated taint {node.kubernetes.io/unreachable: }"],
            id="taint without value",
        ),
        pytest.param(
            seen(tolerations=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]),
            info(taints=[GPU]), None, id="taint tolerated",
        ),
        pytest.param(
            seen(tolerations=[{"key": "gpu", "value": "no"}]), info(taints=[GPU]),
            ["node(s) had untolerated taint {gpu: yes}"], id="another value",
        ),
        pytest.param(
            seen(tolerations=[{"operator": "Exists"}]), info(taints=[GPU, UNREACHABLE]), None,
            id="all taints tolerated",
        ),
        pytest.param(
            seen(), info(taints=[{"key": "k", "effect": "PreferNoSchedule"}]), None,
            id="a preference is no filter",
        ),
        pytest.param(
            seen(nodeSelector={"disk": "ssd"}), info(),
            ["node(s) didn't match Pod's node affinity/selector"], id="node selector",
        ),
        pytest.param(
            seen(nodeSelector={"disk": "ssd"}), info(labels={"disk": "ssd"}), None,
            id="node selector matches",
        ),
        pytest.param(
            seen(affinity=affinity(label("a", "Exists"), label("b", "In", "1", "2"))),
            info(labels={"b": "2"}), None, id="one of the terms is enough",
        ),
        pytest.param(
            seen(affinity=affinity(label("size", "Gt", "4"))), info(labels={"size": "4"}),
            ["node(s) didn't match Pod's node affinity/selector"], id="Gt is strict",
        ),
        pytest.param(
            seen(affinity=affinity({})), info(),
            ["node(s) didn't match Pod's node affinity/selector"], id="an empty term: nothing",
        ),
        pytest.param(
            seen(ports=PORT), info(on=[pod("other", ports=PORT)]),
            ["node(s) didn't have free ports for the requested pod ports"], id="host port",
        ),
        pytest.param(
            seen(ports=[{**PORT[0], "hostIP": "127.0.0.1"}]),
            info(on=[pod("o", ports=[{**PORT[0], "hostIP": "127.0.0.2"}])]),
            None, id="the same port at another address",
        ),
        pytest.param(seen(cpu="4"), info(), None, id="exactly fits"),
        pytest.param(
            seen(cpu="1500m", memory="6Gi"), info(on=[pod("o", cpu="3", memory="3Gi")]),
            ["Insufficient cpu", "Insufficient memory"], id="all that lacks is named",
        ),
        pytest.param(
            seen(), info(pods="1", on=[pod("o")]), ["Too many pods"], id="the number of Pods",
        ),
        pytest.param(
            seen(containers=[{"name": "c", "resources": {"requests": {"nvidia.com/gpu": 1}}}]),
            info(), ["Insufficient nvidia.com/gpu"], id="an extended resource",
        ),
    ],
)  # fmt: skip
def test_filters_say_why_not(given, where, reasons):
    found = refusal(given, where)
    assert (list(found.reasons) if found else None) == reasons


@pytest.mark.parametrize(
    ("given", "where", "resolvable"),
    [
        pytest.param(seen(cpu="2"), info(on=[pod("o", cpu="3")]), True, id="others could go"),
        pytest.param(seen(cpu="5"), info(), False, id="the node is too small"),
        pytest.param(seen(), info(taints=[GPU]), False, id="a taint stays"),
        pytest.param(seen(), info(pods="1", on=[pod("o")]), True, id="too many Pods"),
    ],
)
def test_whether_room_could_be_made(given, where, resolvable):
    assert refusal(given, where).resolvable is resolvable


def container(cpu, **more):
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        pytest.param({"containers": [container("1"), container("500m")]}, 1500, id="the sum"),
        pytest.param(
            {"containers": [container("1")], "initContainers": [container("3"), container("2")]},
            3000, id="the largest init container, if that is more",
        ),
        pytest.param(
            {
                "containers": [container("1")],
                "initContainers": [container("1", restartPolicy="Always"), container("3")],
            },
            4000, id="sidecars stay beside later init containers",
        ),
        pytest.param(
            {"containers": [container("1")], "overhead": {"cpu": "250m"}}, 1250, id="overhead",
        ),
    ],
)  # fmt: skip
def test_what_a_pod_requests(spec, cpu):
    assert pod_requests(spec)["cpu"] == cpu
