"""Delete: grace periods, finalizers, propagation, namespaces; and the subresources around it."""

import copy

import pytest

from labkit.client import ApiError
from labkit.kube import conditions, times
from labkit.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
)
from tests.apiserver.manifests import config_map, deployment, pod


async def missing(client, resource, name, namespace="default") -> bool:
    try:
        await client.get(resource, name, namespace)
    except ApiError as error:
        return error.not_found
    return False


async def bound(client, name="web", **spec) -> dict:
    await client.create(PODS, pod(name, **spec))
    target = {"metadata": {"name": name, "namespace": "default"}, "target": {"name": "node"}}
    await client.create(PODS, target, subresource="binding")
    return await client.get(PODS, name, "default")


async def test_a_pod_on_no_node_vanishes_at_once(client):
    await client.create(PODS, pod())
    await client.delete(PODS, "web", "default")
    assert await missing(client, PODS, "web")


async def test_a_pod_on_a_node_stays_until_its_kubelet_lets_it_go(client, api):
    await bound(client, terminationGracePeriodSeconds=7)
    before = int(api.clock.now())
    marked = await client.delete(PODS, "web", "default")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    assert times.parse(marked["metadata"]["deletionTimestamp"]) >= before + 7
    assert await client.delete(PODS, "web", "default") is marked
    sooner = await client.delete(PODS, "web", "default", grace_period_seconds=2)
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 2
    first, second = (
        times.parse(one["metadata"]["deletionTimestamp"]) for one in (marked, sooner)
    )  # fmt: skip
    assert first - second == 5
    later = await client.delete(PODS, "web", "default", grace_period_seconds=60)
    assert later["metadata"]["deletionGracePeriodSeconds"] == 2
    await client.delete(PODS, "web", "default", grace_period_seconds=0)
    assert await missing(client, PODS, "web")


async def test_a_pod_that_has_ended_goes_at_once(client):
    await bound(client)
    status = {"status": {"phase": "Succeeded"}}
    await client.patch(PODS, "web", status, "default", subresource="status")
    await client.delete(PODS, "web", "default")
    assert await missing(client, PODS, "web")


async def test_finalizers_hold_an_object_until_the_last_is_removed(client):
    obj = config_map()
    obj["metadata"]["finalizers"] = ["lab.example/a", "lab.example/b"]
    await client.create(CONFIG_MAPS, obj)
    marked = await client.delete(CONFIG_MAPS, "settings", "default")
    assert marked["metadata"]["deletionTimestamp"]
    change = {"metadata": {"finalizers": ["lab.example/c"]}}
    with pytest.raises(ApiError, match="no new finalizers can be added"):
        await client.patch(CONFIG_MAPS, "settings", change, "default")
    change = {"metadata": {"finalizers": ["lab.example/b"]}}
    await client.patch(CONFIG_MAPS, "settings", change, "default")
    assert not await missing(client, CONFIG_MAPS, "settings")
    change = {"metadata": {"finalizers": None}}
    await client.patch(CONFIG_MAPS, "settings", change, "default")
    assert await missing(client, CONFIG_MAPS, "settings")


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])],
)
async def test_propagation_policies_leave_their_finalizer(client, policy, finalizers):
    await client.create(DEPLOYMENTS, deployment())
    marked = await client.delete(DEPLOYMENTS, "web", "default", propagation_policy=policy)
    assert marked["metadata"]["finalizers"] == finalizers
    assert not await missing(client, DEPLOYMENTS, "web")


async def test_background_deletion_is_at_once_and_answers_with_a_status(client):
    made = await client.create(DEPLOYMENTS, deployment())
    answer = await client.delete(DEPLOYMENTS, "web", "default", propagation_policy="Background")
    assert answer["status"] == "Success"
    assert answer["details"] == {
        "name": "web",
        "group": "apps",
        "kind": "deployments",
        "uid": made["metadata"]["uid"],
    }
    assert await missing(client, DEPLOYMENTS, "web")


async def test_preconditions_protect_a_successor_of_the_same_name(client):
    await client.create(PODS, pod())
    with pytest.raises(ApiError, match=r"UID in the precondition \(other\)") as caught:
        await client.delete(PODS, "web", "default", uid="other")
    assert caught.value.conflict
    assert not await missing(client, PODS, "web")


async def test_a_collection_is_deleted_by_selector(client):
    for name in ("a", "b", "c"):
        obj = config_map(name)
        obj["metadata"]["labels"] = {"keep": "yes" if name == "b" else "no"}
        await client.create(CONFIG_MAPS, obj)
    path = CONFIG_MAPS.path("default")
    answer = await client.transport.request("DELETE", path, params={"labelSelector": "keep=no"})
    assert [one["metadata"]["name"] for one in answer["items"]] == ["a", "c"]
    left = await client.list(CONFIG_MAPS, "default")
    assert [one["metadata"]["name"] for one in left["items"]] == ["b"]


async def test_a_namespace_terminates_until_it_is_finalized(client):
    made = await client.create(NAMESPACES, {"metadata": {"name": "lab"}})
    assert made["spec"]["finalizers"] == ["kubernetes"]
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "lab"}
    marked = await client.delete(NAMESPACES, "lab")
    assert marked["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError) as caught:
        await client.create(PODS, pod(namespace="lab"))
    assert str(caught.value) == (
        'pods "web" is forbidden: unable to create new content in namespace lab because it is '
        "being terminated"
    )
    assert caught.value.status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    done = copy.deepcopy(marked)
    done["spec"]["finalizers"] = []
    await client.update(NAMESPACES, done, subresource="finalize")
    assert await missing(client, NAMESPACES, "lab", None)


async def test_system_namespaces_may_not_be_deleted(client):
    with pytest.raises(ApiError) as caught:
        await client.delete(NAMESPACES, "default")
    assert (
        str(caught.value) == 'namespaces "default" is forbidden: this namespace may not be deleted'
    )


async def test_binding_sets_the_node_once(client):
    found = await bound(client)
    assert found["spec"]["nodeName"] == "node"
    assert conditions.is_true(found, "PodScheduled")
    target = {"metadata": {"name": "web", "namespace": "default"}, "target": {"name": "other"}}
    with pytest.raises(ApiError) as caught:
        await client.create(PODS, target, subresource="binding")
    assert caught.value.code == 409
    assert str(caught.value) == (
        'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node '
        '"node"'
    )


async def test_eviction_deletes_with_grace(client):
    await bound(client)
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "web"}}
    path = PODS.path("default", "web", "eviction")
    await client.transport.request("POST", path, body=body)
    assert (await client.get(PODS, "web", "default"))["metadata"]["deletionTimestamp"]


async def test_scale_reads_and_sets_replicas(client):
    await client.create(DEPLOYMENTS, deployment(replicas=2))
    scale = await client.get(DEPLOYMENTS, "web", "default", subresource="scale")
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    path = DEPLOYMENTS.path("default", "web", "scale")
    body = copy.deepcopy(scale)
    body["spec"]["replicas"] = 5
    assert (await client.transport.request("PUT", path, body=body))["spec"] == {"replicas": 5}
    with pytest.raises(ApiError) as caught:
        await client.transport.request("PUT", path, body=body)  # its resourceVersion is old now
    assert caught.value.conflict
    change = {"spec": {"replicas": 1}}
    await client.patch(DEPLOYMENTS, "web", change, "default", subresource="scale")
    assert (await client.get(DEPLOYMENTS, "web", "default"))["spec"]["replicas"] == 1
    change = {"spec": {"replicas": -1}}
    with pytest.raises(ApiError, match=r"spec.replicas: Invalid value: -1: must be greater than"):
        await client.patch(DEPLOYMENTS, "web", change, "default", subresource="scale")


async def test_replica_sets_scale_too(client):
    obj = deployment()
    obj["kind"] = "ReplicaSet"
    await client.create(REPLICA_SETS, obj)
    scale = await client.get(REPLICA_SETS, "web", "default", subresource="scale")
    assert scale["kind"] == "Scale"
    assert scale["spec"] == {"replicas": 1}
