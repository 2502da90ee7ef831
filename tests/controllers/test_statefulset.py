"""StatefulSets: each decision as a table, and a set's life against a real API server in memory."""

from __future__ import annotations

import copy

import pytest

from labkit.controllers import statefulset_decision as decision
from labkit.controllers import statefulset_pods as members
from labkit.controllers.history import POD_HASH, patch_of
from labkit.controllers.statefulset import StatefulSetController
from labkit.kube.resources import (
    CONTROLLER_REVISIONS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    STATEFUL_SETS,
)

NOW = 1_767_225_600.0
TEMPLATE = {
    "metadata": {"labels": {"app": "db"}},
    "spec": {"containers": [{"name": "db", "image": "db:1"}]},
}
V1 = {"metadata": {"name": "db-v1"}, "data": patch_of(TEMPLATE)}
V2 = {"metadata": {"name": "db-v2"}, "data": patch_of(TEMPLATE)}


def stateful_set(replicas: int = 3, **spec: object) -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "default", "uid": "set", "generation": 1},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": TEMPLATE,
            **spec,
        },
    }


def pod(number: int, state: str = "ready", revision: str = "db-v1") -> dict:
    """A Pod in one of the states ready, unready, pending, failed; with ! it is terminating."""
    state, gone = state.rstrip("!"), state.endswith("!")
    phase = {"pending": "Pending", "failed": "Failed"}.get(state, "Running")
    ready = {"type": "Ready", "status": str(state == "ready")}
    ready["lastTransitionTime"] = "2025-12-31T23:59:50Z"
    metadata = {"name": f"db-{number}", "namespace": "default", "uid": f"uid-{number}"}
    if gone:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    own = {members.POD_NAME: f"db-{number}", members.POD_INDEX: str(number)}
    metadata["labels"] = {"app": "db", POD_HASH: revision, **own}
    status = {"phase": phase, "conditions": [ready]}
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


def names(pods) -> list[str]:
    return [each["metadata"]["name"] for each in pods]


def step(one: dict, *pods: dict, update: dict = V1) -> tuple[list[str], list[str]]:
    """(names of Pods to create, names of Pods to delete)"""
    found = decision.next_step(decision.Members(one, pods, V1, update, NOW))
    return names(found.create), names(found.delete)


PARALLEL = {"podManagementPolicy": "Parallel"}


@pytest.mark.parametrize(
    ("spec", "pods", "create", "delete"),
    [
        pytest.param({}, [], ["db-0"], [], id="the first one first"),
        pytest.param({}, [pod(0, "pending")], [], [], id="the next waits until it runs"),
        pytest.param({}, [pod(0, "unready")], [], [], id="and is ready"),
        pytest.param({}, [pod(0)], ["db-1"], [], id="then it comes"),
        pytest.param({"minReadySeconds": 30}, [pod(0)], [], [], id="not before it is available"),
        pytest.param({"minReadySeconds": 5}, [pod(0)], ["db-1"], [], id="which it is in time"),
        pytest.param({}, [pod(0, "ready!")], [], [], id="nor while it terminates"),
        pytest.param({}, [pod(0), pod(1, "failed")], [], ["db-1"], id="failed ones are replaced"),
        pytest.param({}, [pod(0), pod(2)], ["db-1"], [], id="gaps are filled"),
        pytest.param(PARALLEL, [], ["db-0", "db-1", "db-2"], [], id="in parallel all at once"),
        pytest.param(
            {"ordinals": {"start": 5}}, [pod(5)], ["db-6"], [], id="from the first ordinal"
        ),
        pytest.param(
            {"replicas": 1}, [pod(0), pod(1), pod(2)], [], ["db-2"], id="down from the highest"
        ),
        pytest.param(
            {"replicas": 1}, [pod(0), pod(1), pod(2, "ready!")], [], [], id="one after the other"
        ),
        pytest.param(
            {"replicas": 1}, [pod(0, "unready"), pod(1)], [], [], id="only when all others are well"
        ),
        pytest.param(
            {"replicas": 1}, [pod(0), pod(1, "unready")], [], ["db-1"], id="the unwell one may go"
        ),
        pytest.param(
            {"replicas": 1}, [pod(0), pod(1, "unready"), pod(2)], [], ["db-2"],
            id="but in its turn",
        ),
        pytest.param(
            {"replicas": 1, **PARALLEL}, [pod(0, "unready"), pod(1), pod(2)], [], ["db-2", "db-1"],
            id="in parallel all go",
        ),
    ],
)  # fmt: skip
def test_which_pods_come_and_go(spec, pods, create, delete):
    assert step(stateful_set(**spec), *pods) == (create, delete)


OLD = [pod(0), pod(1), pod(2)]


def rolling(**rolling_update: object) -> dict:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling_update}}


@pytest.mark.parametrize(
    ("spec", "pods", "delete"),
    [
        pytest.param({}, OLD, ["db-2"], id="from the highest ordinal down"),
        pytest.param({}, [*OLD[:2], pod(2, "unready", "db-v2")], [], id="each when the last is up"),
        pytest.param({}, [*OLD[:2], pod(2, "ready", "db-v2")], ["db-1"], id="and then the next"),
        pytest.param({}, [*OLD[:2], pod(2, "ready!")], [], id="terminating ones count"),
        pytest.param(rolling(partition=2), OLD, ["db-2"], id="down to the partition"),
        pytest.param(
            rolling(partition=2), [*OLD[:2], pod(2, "ready", "db-v2")], [], id="and no further"
        ),
        pytest.param(rolling(maxUnavailable=2), OLD, ["db-2", "db-1"], id="as many as may be down"),
        pytest.param(rolling(maxUnavailable="34%"), OLD, ["db-2"], id="percentages round down"),
        pytest.param(rolling(maxUnavailable="10%"), OLD, ["db-2"], id="but not to nothing"),
        pytest.param({"updateStrategy": {"type": "OnDelete"}}, OLD, [], id="not with OnDelete"),
        pytest.param(
            PARALLEL, [pod(0, "unready"), pod(1), pod(2)], ["db-0"],
            id="in parallel what is broken goes first",
        ),
        pytest.param({}, [pod(0, "unready"), pod(1), pod(2)], [], id="in order it holds all up"),
    ],
)  # fmt: skip
def test_which_pods_an_update_deletes(spec, pods, delete):
    assert step(stateful_set(**spec), *pods, update=V2) == ([], delete)


@pytest.mark.parametrize(
    ("spec", "number", "revision"),
    [
        ({}, 1, "db-v2"),
        (rolling(partition=2), 1, "db-v1"),
        (rolling(partition=2), 2, "db-v2"),
        ({"updateStrategy": {"type": "OnDelete"}}, 1, "db-v2"),
    ],
)
def test_the_revision_of_a_pod_that_is_missing(spec, number, revision):
    pods = [pod(each) for each in range(3) if each != number]
    found = decision.next_step(decision.Members(stateful_set(**spec), pods, V1, V2, NOW))
    assert [members.revision_of(each) for each in found.create] == [revision]


def test_a_pod_is_told_who_it_is():
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]
    found = members.new_pod(stateful_set(volumeClaimTemplates=claims), V1, 7)
    assert found["metadata"]["name"] == found["spec"]["hostname"] == "db-7"
    assert found["spec"]["subdomain"] == "db"
    assert found["metadata"]["labels"] == {
        "app": "db",
        "controller-revision-hash": "db-v1",
        "statefulset.kubernetes.io/pod-name": "db-7",
        "apps.kubernetes.io/pod-index": "7",
    }
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-7"}}
    assert found["spec"]["volumes"] == [claim]


@pytest.mark.parametrize(
    ("when_scaled", "when_deleted", "number", "owner"),
    [
        ("Retain", "Retain", 0, None),
        ("Retain", "Retain", 9, None),
        ("Retain", "Delete", 0, "StatefulSet"),
        ("Retain", "Delete", 9, "StatefulSet"),
        ("Delete", "Retain", 0, None),
        ("Delete", "Retain", 9, "Pod"),
        ("Delete", "Delete", 0, "StatefulSet"),
        ("Delete", "Delete", 9, "Pod"),
    ],
)
def test_who_takes_a_claim_along(when_scaled, when_deleted, number, owner):
    policy = {"whenScaled": when_scaled, "whenDeleted": when_deleted}
    one = stateful_set(persistentVolumeClaimRetentionPolicy=policy)
    other = {"kind": "Thing", "name": "x", "uid": "x", "apiVersion": "v1"}
    before = {"kind": "StatefulSet", "name": "db", "uid": "set", "apiVersion": "apps/v1"}
    claim = {"metadata": {"name": f"data-db-{number}", "ownerReferences": [other, before]}}
    owners = members.claim_owners(one, {**pod(number), "apiVersion": "v1"}, claim)
    assert owners[0] == other
    assert [each["kind"] for each in owners[1:]] == ([owner] if owner else [])


def test_an_update_is_complete_when_all_pods_are_new_and_ready():
    one, revisions = stateful_set(replicas=2), ("db-v1", "db-v2", 0)
    half = [pod(0), pod(1, "ready", "db-v2")]
    found = decision.status(one, half, revisions, NOW)
    assert (found["currentReplicas"], found["updatedReplicas"]) == (1, 1)
    assert found["currentRevision"] == "db-v1"
    done = [pod(0, "ready", "db-v2"), pod(1, "ready", "db-v2")]
    found = decision.status(one, done, revisions, NOW)
    assert found == {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
        "currentRevision": "db-v2",
        "updateRevision": "db-v2",
        "collisionCount": 0,
    }


# A set's life.


@pytest.fixture
async def sets(world, running, kubelets):
    await running(StatefulSetController(world.client, world.clock))
    return Sets(world)


class Sets:
    """What the tests do to the StatefulSet `db`, and what they ask about it."""

    def __init__(self, world):
        self.world = world

    async def create(self, replicas: int = 3, **spec: object) -> dict:
        body = stateful_set(replicas, **spec)
        body["metadata"] = {"name": "db", "namespace": "default"}
        return await self.world.client.create(STATEFUL_SETS, body)

    async def patch(self, **spec: object) -> None:
        await self.world.client.patch(STATEFUL_SETS, "db", {"spec": spec}, "default")

    async def set_image(self, image: str) -> None:
        template = copy.deepcopy(TEMPLATE)
        template["spec"]["containers"][0]["image"] = image
        await self.patch(template=template)

    async def get(self) -> dict:
        return await self.world.find(STATEFUL_SETS, "db")

    async def settled(self, replicas: int) -> dict:
        """The set once all its Pods are of the newest revision and ready."""

        async def holds():
            found = await self.get()
            status = found["status"]
            fields = ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
            same = all(status.get(name, 0) == replicas for name in fields)
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            revision = status.get("currentRevision") == status.get("updateRevision")
            return same and seen and revision and found

        return await self.world.until(holds)

    async def claims(self) -> list[str]:
        return names(await self.world.items(PERSISTENT_VOLUME_CLAIMS))


async def test_pods_come_in_order_and_events_say_so(world, sets, kubelets):
    order = []

    def hold(pod):
        if pod["metadata"]["name"] not in order:
            order.append(pod["metadata"]["name"])
        return False

    kubelets.hold = hold
    await sets.create()
    await sets.settled(3)
    assert order == ["db-0", "db-1", "db-2"]
    told = await world.reasons("db")
    assert ("SuccessfulCreate", "create Pod db-1 in StatefulSet db successful") in told


async def test_an_update_and_its_undo_keep_two_revisions(world, sets):
    await sets.create(2)
    first = (await sets.settled(2))["status"]["updateRevision"]
    await sets.set_image("db:2")
    second = (await sets.settled(2))["status"]["updateRevision"]
    assert first != second
    images = {each["spec"]["containers"][0]["image"] for each in await world.pods()}
    assert images == {"db:2"}
    await sets.set_image("db:1")
    third = (await sets.settled(2))["status"]["updateRevision"]
    assert third == first
    revisions = await world.items(CONTROLLER_REVISIONS)
    assert {each["metadata"]["name"]: each["revision"] for each in revisions} == {
        first: 3,
        second: 2,
    }


async def test_claims_outlive_pods_and_are_found_again(world, sets):
    template = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    await sets.create(2, volumeClaimTemplates=[template])
    await sets.settled(2)
    assert await sets.claims() == ["data-db-0", "data-db-1"]
    (claim, _) = await world.items(PERSISTENT_VOLUME_CLAIMS)
    await sets.patch(replicas=0)
    await sets.settled(0)
    assert await sets.claims() == ["data-db-0", "data-db-1"]
    await sets.patch(replicas=2)
    await sets.settled(2)
    assert (await world.items(PERSISTENT_VOLUME_CLAIMS))[0]["metadata"]["uid"] == (
        claim["metadata"]["uid"]
    )
    told = await world.reasons("db")
    assert ("SuccessfulCreate", "create Claim data-db-0 Pod db-0 in StatefulSet db success") in told


async def test_a_pod_that_fails_is_made_again(world, sets):
    await sets.create(1)
    await sets.settled(1)
    (before,) = await world.pods()
    await world.set_status(PODS, before, {"phase": "Failed"})

    async def replaced():
        found = await world.pods()
        return len(found) == 1 and found[0]["metadata"]["uid"] != before["metadata"]["uid"]

    await world.until(replaced)
    await sets.settled(1)
