"""StatefulSets on a whole cluster: names, order, updates, storage that stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.conftest import MERGE, Wire, until
from tests.api.workloads import (
    condition,
    daemon_set,
    names,
    pods_of,
    rolled_out,
    stateful_set,
    template,
    told,
)
from tests.kubectl.conftest import Kubectl


def up(replicas: int) -> dict[str, int]:
    return dict.fromkeys(
        ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), replicas
    )


def test_pods_have_names_and_come_one_after_the_other(wire: Wire, ns: str, in_group):
    sets = f"{in_group('apps/v1')}/statefulsets"
    ready: list[str] = []
    with wire.watch(f"{ns}/pods") as events:
        wire.ok("POST", sets, stateful_set("db", 3))
        for event in events:
            name = event["object"]["metadata"]["name"]
            if event["type"] == "ADDED":
                assert name == f"db-{len(ready)}", f"it comes after {ready}"
            if condition(event["object"], "Ready").get("status") == "True" and name not in ready:
                ready.append(name)
            if len(ready) == 3:
                break
    found = rolled_out(wire, f"{sets}/db", **up(3))
    assert found["status"]["currentRevision"] == found["status"]["updateRevision"]
    pods = pods_of(wire, ns, "db")
    assert names(pods) == ["db-0", "db-1", "db-2"]
    for number, pod in enumerate(pods):
        labels = pod["metadata"]["labels"]
        assert labels["statefulset.kubernetes.io/pod-name"] == f"db-{number}"
        assert labels["apps.kubernetes.io/pod-index"] == str(number)
        assert labels["controller-revision-hash"] == found["status"]["updateRevision"]
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == (f"db-{number}", "db")
    told(wire, ns, "db", ("SuccessfulCreate", "create Pod db-0 in StatefulSet db successful"))


def test_an_update_stops_at_the_partition(wire: Wire, ns: str, in_group):
    sets = f"{in_group('apps/v1')}/statefulsets"
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    wire.ok("POST", sets, stateful_set("canary", 2, updateStrategy=rolling))
    before = rolled_out(wire, f"{sets}/canary", **up(2))["status"]["currentRevision"]
    changed = {"spec": {"template": template("canary", "sleep 1000")}}
    wire.ok("PATCH", f"{sets}/canary", changed, type=MERGE)
    counts = {"readyReplicas": 2, "updatedReplicas": 1, "currentReplicas": 1}
    status = rolled_out(wire, f"{sets}/canary", **counts)["status"]
    assert status["currentRevision"] == before != status["updateRevision"]
    hashes = [
        p["metadata"]["labels"]["controller-revision-hash"] for p in pods_of(wire, ns, "canary")
    ]
    assert hashes == [before, status["updateRevision"]]


def test_kubectl_rolls_forth_and_back(k: Kubectl, ns: str, wire: Wire, in_group):
    sets = f"{in_group('apps/v1')}/statefulsets"
    wire.ok("POST", sets, stateful_set("web", 2, podManagementPolicy="Parallel"))
    assert "2 new pods" in k("rollout", "status", "sts/web", "--timeout=60s")
    k("set", "env", "sts/web", "COLOUR=blue")
    k("rollout", "status", "sts/web", "--timeout=60s")
    history = k("rollout", "history", "sts/web").splitlines()
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["1", "2"]
    assert "COLOUR" in k("rollout", "history", "sts/web", "--revision=2")
    k("rollout", "undo", "sts/web")
    k("rollout", "status", "sts/web", "--timeout=60s")
    assert all("env" not in p["spec"]["containers"][0] for p in pods_of(wire, ns, "web"))


def test_scaling_down_takes_the_highest_and_deletion_of_one_brings_it_back(
    wire: Wire, ns: str, in_group
):
    sets = f"{in_group('apps/v1')}/statefulsets"
    wire.ok("POST", sets, stateful_set("queue", 3, podManagementPolicy="Parallel"))
    rolled_out(wire, f"{sets}/queue", **up(3))
    scale = {"spec": {"replicas": 2}}
    wire.ok("PATCH", f"{sets}/queue/scale", scale, type=MERGE)
    rolled_out(wire, f"{sets}/queue", **up(2))
    first, second = pods_of(wire, ns, "queue")
    assert names([first, second]) == ["queue-0", "queue-1"]
    wire.ok("DELETE", f"{ns}/pods/queue-0")

    def back():
        found = {p["metadata"]["name"]: p for p in pods_of(wire, ns, "queue")}
        pod = found.get("queue-0")
        return pod and pod["metadata"]["uid"] != first["metadata"]["uid"]

    until(back, 30, "queue-0 is back")


@pytest.mark.parametrize(
    ("plural", "make"), [("statefulsets", stateful_set), ("daemonsets", daemon_set)]
)
def test_orphans_are_adopted_by_a_new_owner_as_they_are(
    wire: Wire, ns: str, in_group, plural: str, make: Callable[[str], dict]
):
    apps = in_group("apps/v1")
    path = f"{apps}/{plural}/same"

    def uids() -> dict[str, str]:
        """{name of a Pod: its UID}"""
        return {p["metadata"]["name"]: p["metadata"]["uid"] for p in pods_of(wire, ns, "same")}

    def settled() -> dict[str, str]:
        def ready():
            status = wire.ok("GET", path)["status"]
            if plural == "statefulsets":
                return status.get("readyReplicas") == 2
            return status.get("numberReady") == status.get("desiredNumberScheduled") != 0

        until(ready, 60, "all are ready")
        return uids()

    wire.ok("POST", f"{apps}/{plural}", make("same"))
    before = settled()
    wire.ok("DELETE", path, propagationPolicy="Orphan")
    until(lambda: wire.get(path).status_code == 404, 30, "the owner is gone")
    assert uids() == before
    owner = wire.ok("POST", f"{apps}/{plural}", make("same"))["metadata"]["uid"]
    assert settled() == before
    revisions = wire.ok("GET", f"{apps}/controllerrevisions", labelSelector="app=same")["items"]
    assert [each["metadata"]["ownerReferences"][0]["uid"] for each in revisions] == [owner]


def storage(name: str, **policy: str) -> dict:
    """A StatefulSet that writes a line to its volume each time it starts."""
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    # The path is relative to the container's working directory, which is its root.
    command = "echo started >> data/starts; sleep 1000"
    inner = template(name, command)
    inner["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return stateful_set(
        name,
        1,
        template=inner,
        volumeClaimTemplates=[claim],
        persistentVolumeClaimRetentionPolicy=policy,
    )


def test_a_pod_finds_its_data_again(wire: Wire, ns: str, in_group, k: Kubectl):
    sets = f"{in_group('apps/v1')}/statefulsets"
    wire.ok("POST", sets, storage("store", whenDeleted="Delete", whenScaled="Retain"))
    rolled_out(wire, f"{sets}/store", **up(1))
    claim = wire.ok("GET", f"{ns}/persistentvolumeclaims/data-store-0")
    assert claim["status"]["phase"] == "Bound"
    volume = claim["spec"]["volumeName"]
    for replicas in (0, 1):
        scale = {"spec": {"replicas": replicas}}
        wire.ok("PATCH", f"{sets}/store/scale", scale, type=MERGE)
        rolled_out(wire, f"{sets}/store", **up(replicas))
    lines = ["started", "started"]
    until(
        lambda: k("exec", "store-0", "--", "cat", "data/starts").split() == lines,
        what="both starts are written down",
    )
    wire.ok("DELETE", f"{sets}/store")
    claims = f"{ns}/persistentvolumeclaims/data-store-0"
    until(lambda: wire.get(claims).status_code == 404, 60, "the claim goes with the set")
    path = f"/api/v1/persistentvolumes/{volume}"
    until(lambda: wire.get(path).status_code == 404, 60, "the volume goes with the claim")


def test_a_claim_waits_for_its_first_consumer_and_outlives_it(wire: Wire, ns: str, k: Kubectl):
    claims = f"{ns}/persistentvolumeclaims"
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    wire.ok("POST", claims, body)
    message = "waiting for first consumer to be created before binding"
    told(wire, ns, "disk", ("WaitForFirstConsumer", message))
    assert "Pending" in k("get", "pvc", "disk")
    inner = template("user")
    inner["spec"]["volumes"] = [{"name": "d", "persistentVolumeClaim": {"claimName": "disk"}}]
    pod = {"apiVersion": "v1", "kind": "Pod", **inner}
    pod["metadata"] = {"name": "user"}
    wire.ok("POST", f"{ns}/pods", pod)
    until(
        lambda: wire.ok("GET", f"{ns}/pods/user")["status"].get("phase") == "Running",
        what="the Pod runs",
    )
    assert "Bound" in k("get", "pvc", "disk")
    wire.ok("DELETE", f"{claims}/disk")
    assert wire.ok("GET", f"{claims}/disk")["metadata"]["deletionTimestamp"]
    wire.ok("DELETE", f"{ns}/pods/user")
    until(lambda: wire.get(f"{claims}/disk").status_code == 404, 30, "the claim is let go")
