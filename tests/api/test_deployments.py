"""Deployments on a whole cluster: rollouts forth and back, pauses, deadlines, scaling meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.api.conftest import MERGE, Wire, until
from tests.api.workloads import condition, pods_of, rolled_out, template, told
from tests.kubectl.conftest import Kubectl

REVISION = "deployment.kubernetes.io/revision"
NEVER_READY = {"exec": {"command": ["false"]}}


def deployment(name: str, replicas: int, **spec: object) -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
            **spec,
        },
    }


def rolling(surge: int | str, unavailable: int | str) -> dict:
    bounds = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"type": "RollingUpdate", "rollingUpdate": bounds}


def complete(wire: Wire, path: str, replicas: int) -> dict:
    fields = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return rolled_out(wire, path, **dict.fromkeys(fields, replicas))


def sizes(wire: Wire, in_group: Callable[[str], str], app: str) -> dict[int, int]:
    """{revision: spec.replicas} of the ReplicaSets."""
    path = f"{in_group('apps/v1')}/replicasets"
    found = wire.ok("GET", path, labelSelector=f"app={app}")["items"]
    return {int(s["metadata"]["annotations"][REVISION]): s["spec"]["replicas"] for s in found}


def broken(app: str) -> dict:
    """A template whose Pods run but never get ready."""
    result = template(app)
    result["spec"]["containers"][0]["readinessProbe"] = NEVER_READY
    return result


def change(wire: Wire, path: str, **spec: object) -> dict:
    return wire.ok("PATCH", path, {"spec": spec}, type=MERGE)


def is_alive(pod: Mapping) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def test_a_rollout_that_hangs_keeps_to_its_bounds_and_says_so(wire: Wire, ns: str, in_group):
    path = f"{in_group('apps/v1')}/deployments/web"
    body = deployment("web", 4, strategy=rolling("25%", "25%"), progressDeadlineSeconds=2)
    wire.ok("POST", path.rpartition("/")[0], body)
    complete(wire, path, 4)
    change(wire, path, template=broken("web"))

    def timed_out():
        found = condition(wire.ok("GET", path), "Progressing")
        return found.get("reason") == "ProgressDeadlineExceeded" and found

    progressing = until(timed_out, 60, "its deadline is over")
    path_of_sets = f"{in_group('apps/v1')}/replicasets"
    (new,) = (
        each
        for each in wire.ok("GET", path_of_sets, labelSelector="app=web")["items"]
        if each["metadata"]["annotations"][REVISION] == "2"
    )
    name = new["metadata"]["name"]
    assert progressing["status"] == "False"
    assert progressing["message"] == f'ReplicaSet "{name}" has timed out progressing.'
    # One more than four may exist, and one fewer than four be ready.
    assert sizes(wire, in_group, "web") == {1: 3, 2: 2}
    available = condition(wire.ok("GET", path), "Available")
    assert (available["status"], available["reason"]) == ("True", "MinimumReplicasAvailable")
    told(wire, ns, "web", ("ScalingReplicaSet", f"Scaled up replica set {name} from 0 to 1"))


def test_scaled_in_the_middle_of_a_rollout_both_revisions_get_their_share(
    wire: Wire, ns: str, in_group
):
    path = f"{in_group('apps/v1')}/deployments/shares"
    body = deployment("shares", 5, strategy=rolling(3, 2))
    wire.ok("POST", path.rpartition("/")[0], body)
    complete(wire, path, 5)
    change(wire, path, template=broken("shares"))
    until(lambda: sizes(wire, in_group, "shares") == {1: 3, 2: 5}, 30, "it hangs half way")
    change(wire, path, replicas=8)
    # 11 Pods may exist: 3/8 and 5/8 of them, rounded, and the rest for the largest.
    until(lambda: sizes(wire, in_group, "shares") == {1: 4, 2: 7}, 30, "both have grown")


def test_kubectl_pauses_resumes_and_goes_back(wire: Wire, ns: str, in_group, k: Kubectl):
    path = f"{in_group('apps/v1')}/deployments/app"
    wire.ok("POST", path.rpartition("/")[0], deployment("app", 2))
    complete(wire, path, 2)
    k("annotate", "deployment/app", "kubernetes.io/change-cause=first")
    k("rollout", "pause", "deployment/app")
    k("set", "env", "deployment/app", "COLOUR=blue")

    def paused():
        return condition(wire.ok("GET", path), "Progressing").get("reason") == "DeploymentPaused"

    until(paused, what="it is paused")
    assert sizes(wire, in_group, "app") == {1: 2}
    k("annotate", "deployment/app", "kubernetes.io/change-cause=second", "--overwrite")
    k("rollout", "resume", "deployment/app")
    assert "successfully rolled out" in k("rollout", "status", "deployment/app", "--timeout=60s")
    history = k("rollout", "history", "deployment/app")
    assert [line.split() for line in history.splitlines() if line[:1].isdigit()] == [
        ["1", "first"],
        ["2", "second"],
    ]
    k("rollout", "undo", "deployment/app", "--to-revision=1")
    k("rollout", "status", "deployment/app", "--timeout=60s")
    until(lambda: sizes(wire, in_group, "app") == {2: 0, 3: 2}, 30, "the first is the third")
    staying = filter(is_alive, pods_of(wire, ns, "app"))
    assert not any("env" in pod["spec"]["containers"][0] for pod in staying)


def test_recreate_never_has_pods_of_two_revisions(wire: Wire, ns: str, in_group):
    path = f"{in_group('apps/v1')}/deployments/alone"
    body = deployment("alone", 2, strategy={"type": "Recreate"})
    wire.ok("POST", path.rpartition("/")[0], body)
    complete(wire, path, 2)
    with wire.watch(f"{ns}/pods", labelSelector="app=alone") as events:
        change(wire, path, template=template("alone", "sleep 1000"))
        here: dict[str, str] = {}
        ready = 0
        for event in events:
            pod = event["object"]
            name, labels = pod["metadata"]["name"], pod["metadata"]["labels"]
            ended = pod["status"].get("phase") in ("Succeeded", "Failed")
            if event["type"] == "DELETED" or ended:
                here.pop(name, None)
            else:
                here[name] = labels["pod-template-hash"]
            assert len(set(here.values())) <= 1, here
            command = pod["spec"]["containers"][0]["command"]
            ready += command[-1] == "sleep 1000" and event["type"] == "ADDED"
            if ready == 2:
                break
    assert ready == 2
    complete(wire, path, 2)


@pytest.mark.parametrize("limit", [0, 1])
def test_only_so_many_old_revisions_are_kept(wire: Wire, ns: str, in_group, limit: int):
    path = f"{in_group('apps/v1')}/deployments/short"
    wire.ok("POST", path.rpartition("/")[0], deployment("short", 1, revisionHistoryLimit=limit))
    complete(wire, path, 1)
    for seconds in (1001, 1002):
        change(wire, path, template=template("short", f"sleep {seconds}"))
        complete(wire, path, 1)
    wanted = {3: 1} if limit == 0 else {2: 0, 3: 1}
    until(lambda: sizes(wire, in_group, "short") == wanted, 30, "the others are gone")
