"""DaemonSets: each decision as a table, and a set's life against a real API server in memory."""

from __future__ import annotations

import copy
import itertools

import pytest

from labkit.controllers import daemon_decision as decision
from labkit.controllers.daemonset import DaemonSetController
from labkit.kube.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS

NOW = 1_767_225_600.0
TEMPLATE = {
    "metadata": {"labels": {"app": "agent"}},
    "spec": {"containers": [{"name": "agent", "image": "agent:1"}]},
}


def daemon_set(template: dict | None = None, **rolling_update: object) -> dict:
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling_update}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default", "uid": "set"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], **(template or {})}},
            "updateStrategy": strategy,
        },
    }


def node(name: str = "a", labels: dict | None = None, *taints: dict) -> dict:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": list(taints)}}


def taint(effect: str, key: str = "dedicated") -> dict:
    return {"key": key, "effect": effect}


YES, NO, STAY = (True, True), (False, False), (False, True)


@pytest.mark.parametrize(
    ("spec", "one", "expected"),
    [
        pytest.param({}, node(), YES, id="anywhere"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, node(), NO, id="the selector does not fit"),
        pytest.param(
            {"nodeSelector": {"disk": "ssd"}}, node("a", {"disk": "ssd"}), YES, id="it fits"
        ),
        pytest.param({"nodeName": "b"}, node(), NO, id="on one node alone"),
        pytest.param({}, node("a", None, taint("NoSchedule")), STAY, id="the running may stay"),
        pytest.param({}, node("a", None, taint("NoExecute")), NO, id="no one may stay"),
        pytest.param(
            {}, node("a", None, taint("NoExecute", "node.kubernetes.io/not-ready")), YES,
            id="daemons stand nodes that are not ready",
        ),
        pytest.param(
            {}, node("a", None, taint("NoSchedule", "node.kubernetes.io/unschedulable")), YES,
            id="and cordoned ones",
        ),
        pytest.param(
            {"tolerations": [{"operator": "Exists"}]}, node("a", None, taint("NoExecute")), YES,
            id="who tolerates all goes anywhere",
        ),
    ],
)  # fmt: skip
def test_which_nodes_run_a_daemon(spec, one, expected):
    assert tuple(decision.fit(daemon_set(spec), one)) == expected


def pod(where: str, revision: str = "new", state: str = "ready", name: str = "") -> dict:
    """A Pod in one of the states ready, unready, failed, succeeded; with ! it is terminating."""
    state, gone = state.rstrip("!"), state.endswith("!")
    phase = {"failed": "Failed", "succeeded": "Succeeded"}.get(state, "Running")
    ready = {"type": "Ready", "status": str(state == "ready")}
    ready["lastTransitionTime"] = "2025-12-31T23:59:50Z"
    metadata = {"name": name or f"{where}-{revision}", "uid": f"{where}-{revision}-{name}"}
    metadata["labels"] = {"controller-revision-hash": revision}
    if gone:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"nodeName": where},
        "status": {"phase": phase, "conditions": [ready]},
    }


def names(pods) -> list[str]:
    return [each["metadata"]["name"] for each in pods]


SURGE = {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize(
    ("rolling", "pods", "create", "delete", "ended"),
    [
        pytest.param({}, [pod("a")], ["b"], [], [], id="one for each"),
        pytest.param({}, [pod("a"), pod("b", state="ready!")], [], [], [], id="not beside another"),
        pytest.param(
            {}, [pod("a"), pod("b"), pod("b", name="b-z")], [], ["b-z"], [], id="not two on one"
        ),
        pytest.param(
            {}, [pod("a"), pod("b", state="failed")], [], [], ["b-new"], id="failed ones go"
        ),
        pytest.param(
            {}, [pod("a"), pod("b", state="succeeded")], [], [], ["b-new"], id="ended ones go"
        ),
        pytest.param(
            {}, [pod("a"), pod("b"), pod("tainted")], [], ["tainted-new"], [], id="repelled ones go"
        ),
        pytest.param(
            SURGE, [pod("a"), pod("b", state="ready!")], ["b"], [], [], id="but when surging"
        ),
        pytest.param(
            SURGE, [pod("a"), pod("b"), pod("b", "old")], [], ["b-old"], [], id="the new one is up"
        ),
        pytest.param(
            SURGE, [pod("a"), pod("b", state="unready"), pod("b", "old")], [], [], [],
            id="the new one is not up",
        ),
        pytest.param(
            SURGE, [pod("a"), pod("b", state="unready"), pod("b", "old", "unready")], [],
            ["b-old"], [], id="neither is up",
        ),
    ],
)  # fmt: skip
def test_what_each_node_needs(rolling, pods, create, delete, ended):
    nodes = [node("a"), node("b"), node("tainted", None, taint("NoExecute"))]
    work = decision.manage(daemon_set(**rolling), nodes, decision.by_node(pods), "new", NOW)
    assert (work.create, names(work.delete)) == (create, delete)
    assert names(each for each, _ in work.ended) == ended


def old(*states: str) -> list[dict]:
    return [pod(name, "old", state) for name, state in zip("abcd", states, strict=False)]


ALL = old("ready", "ready", "ready", "ready")


@pytest.mark.parametrize(
    ("rolling", "pods", "create", "delete"),
    [
        pytest.param({"maxUnavailable": 1}, ALL, [], ["a-old"], id="one at a time"),
        pytest.param({"maxUnavailable": "30%"}, ALL, [], ["a-old", "b-old"], id="rounded up"),
        pytest.param({"maxUnavailable": 1}, [*ALL[1:], pod("a", state="unready")], [], [],
                     id="not while a new one is not up"),
        pytest.param({"maxUnavailable": 1}, ALL[1:], [], [], id="not while one is missing"),
        pytest.param({"maxUnavailable": 1}, old("ready", "unready", "ready", "ready"), [],
                     ["b-old"], id="the broken one first"),
        pytest.param({"maxUnavailable": 1}, [*ALL[1:], pod("a")], [], ["b-old"],
                     id="then the next"),
        pytest.param(SURGE, ALL, ["a"], [], id="surging, a new one first"),
        pytest.param({"maxSurge": "50%"}, ALL, ["a", "b"], [], id="surging by a share"),
        pytest.param(SURGE, [*ALL, pod("a", state="unready")], [], [], id="surging waits"),
        pytest.param(SURGE, [*ALL, pod("a")], ["b"], ["a-old"], id="surging, the old one goes"),
        pytest.param(SURGE, old("ready", "unready", "ready", "ready"), ["b", "a"], [],
                     id="surging beside a broken one costs nothing"),
    ],
)  # fmt: skip
def test_the_next_step_of_an_update(rolling, pods, create, delete):
    nodes = [node(name) for name in "abcd"]
    found = decision.by_node(pods)
    work = decision.rolling_update(daemon_set(**rolling), nodes, found, "new", NOW)
    assert (work.create, names(work.delete)) == (create, delete)


def test_a_pod_is_made_for_one_node():
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
            }
        }
    }
    found = decision.pod_for(daemon_set({"affinity": affinity}), "abc", "a")
    required = found["spec"]["affinity"]["nodeAffinity"]
    assert required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] == [
        {
            "matchExpressions": [{"key": "disk", "operator": "Exists"}],
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}],
        }
    ]
    assert found["metadata"]["labels"] == {"app": "agent", "controller-revision-hash": "abc"}
    assert decision.target(found) == "a"


def test_what_its_status_counts():
    nodes = [node("a"), node("b"), node("c"), node("d", None, taint("NoSchedule"))]
    found = decision.by_node([pod("a"), pod("b", "old", "unready"), pod("d")])
    assert decision.status(daemon_set(), nodes, found, "new", NOW) == {
        "desiredNumberScheduled": 3,
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "numberReady": 1,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberUnavailable": 2,
    }


# A set's life.


async def settled(world, desired: int) -> dict:
    """The DaemonSet once all its Pods are of the newest template and available."""

    async def holds():
        found = await world.find(DAEMON_SETS, "agent")
        status = found["status"]
        fields = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return seen and all(status.get(name, 0) == desired for name in fields) and found

    return await world.until(holds)


async def test_it_follows_nodes_and_templates(world, running, kubelets):
    for name in ("a", "b"):
        await world.node(name)
    await running(DaemonSetController(world.client, world.clock))
    body = daemon_set(maxUnavailable=1)
    body["metadata"] = {"name": "agent", "namespace": "default"}
    await world.client.create(DAEMON_SETS, body)
    await settled(world, 2)
    assert sorted(map(decision.target, await world.pods())) == ["a", "b"]
    (first,) = {
        each["metadata"]["labels"]["controller-revision-hash"] for each in await world.pods()
    }

    await world.node("c")
    await settled(world, 3)

    template = copy.deepcopy(TEMPLATE)
    template["spec"]["containers"][0]["image"] = "agent:2"
    await world.client.patch(DAEMON_SETS, "agent", {"spec": {"template": template}}, "default")
    await settled(world, 3)
    assert {p["spec"]["containers"][0]["image"] for p in await world.pods()} == {"agent:2"}
    assert {p["metadata"]["labels"]["pod-template-generation"] for p in await world.pods()} == {"2"}
    revisions = await world.items(CONTROLLER_REVISIONS)
    assert sorted(each["revision"] for each in revisions) == [1, 2]
    assert f"agent-{first}" in names(revisions)

    await world.client.delete(NODES, "c")
    await settled(world, 2)


async def test_a_failed_pod_is_replaced_and_the_event_says_where(world, running, kubelets):
    await world.node("a")
    await running(DaemonSetController(world.client, world.clock))
    body = daemon_set()
    body["metadata"] = {"name": "agent", "namespace": "default"}
    await world.client.create(DAEMON_SETS, body)
    await settled(world, 1)
    (before,) = await world.pods()
    name = before["metadata"]["name"]
    await world.set_status(PODS, before, {"phase": "Failed"})

    async def replaced():
        found = await world.pods()
        return len(found) == 1 and found[0]["metadata"]["name"] != name

    await world.until(replaced)
    message = f"Found failed daemon pod default/{name} on node a, will try to kill it"
    assert ("FailedDaemonPod", message) in await world.until(lambda: world.reasons("agent"))


@pytest.mark.looptime
async def test_a_pod_that_fails_again_and_again_is_replaced_ever_later(virtual):
    async with virtual.world() as world:
        await world.node("a")
        async with virtual.run(DaemonSetController(world.client, world.clock)):
            body = daemon_set()
            body["metadata"] = {"name": "agent", "namespace": "default"}
            await world.client.create(DAEMON_SETS, body)
            seen, born = set(), []

            async def fresh():
                found = [p for p in await world.pods() if p["metadata"]["name"] not in seen]
                return found and found[0]

            for _ in range(5):
                pod = await world.until(fresh, 60)
                born.append(world.clock.monotonic())
                seen.add(pod["metadata"]["name"])
                await world.set_status(PODS, pod, {"phase": "Failed"})
    pauses = [later - earlier for earlier, later in itertools.pairwise(born)]
    assert pauses == [pytest.approx(seconds, abs=0.9) for seconds in (0, 1, 2, 4)]
