"""Get, list, create, update, patch: what a client sees of the state."""

import asyncio
import copy

import orjson
import pytest

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import Request
from labkit.apiserver.store import MemoryStore
from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HPA_V1,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
)
from tests.apiserver.conftest import ADMIN
from tests.apiserver.manifests import config_map, deployment, hpa, pod, service


def refusal(error: ApiError) -> tuple[int, str, str]:
    return error.code, error.reason, str(error)


async def test_a_fresh_cluster_has_its_namespaces_and_the_service_kubernetes(client):
    listed = await client.list(NAMESPACES)
    names = [one["metadata"]["name"] for one in listed["items"]]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    found = await client.get(SERVICES, "kubernetes", "default")
    assert found["spec"]["clusterIP"] == "127.96.0.1"
    assert found["spec"]["ports"][0]["port"] == 6443


async def test_a_new_object_gets_metadata_defaults_and_status(client):
    made = await client.create(DEPLOYMENTS, deployment())
    assert made["metadata"]["uid"]
    assert made["metadata"]["generation"] == 1
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert made["status"] == {}
    assert await client.get(DEPLOYMENTS, "web", "default") is made


async def test_what_the_caller_sent_stays_the_callers(client):
    sent = pod()
    await client.create(PODS, sent)
    assert sent == pod()


async def test_generated_names_begin_with_the_prefix(client):
    obj = pod()
    obj["metadata"] = {"generateName": "web-", "namespace": "default"}
    made = [await client.create(PODS, obj) for _ in range(3)]
    names = {one["metadata"]["name"] for one in made}
    assert len(names) == 3
    assert all(len(name) == 9 and name.startswith("web-") for name in names)


REFUSED = {
    "get what is not there": (
        lambda c: c.get(PODS, "x", "default"),
        (404, "NotFound", 'pods "x" not found'),
    ),
    "create in a namespace that is not there": (
        lambda c: c.create(PODS, pod(namespace="nowhere")),
        (404, "NotFound", 'namespaces "nowhere" not found'),
    ),
    "patch what is not there": (
        lambda c: c.patch(DEPLOYMENTS, "x", {}, "default"),
        (404, "NotFound", 'deployments.apps "x" not found'),
    ),
    "update what is not there": (
        lambda c: c.update(PODS, pod("x")),
        (404, "NotFound", 'pods "x" not found'),
    ),
    "a path that nothing serves": (
        lambda c: c.transport.request("GET", "/apis/nothing/v1/things"),
        (404, "NotFound", "the server could not find the requested resource"),
    ),
    "create in all namespaces": (
        lambda c: c.transport.request("POST", "/api/v1/pods", body=pod()),
        (
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
    ),
    "an unknown field selector": (
        lambda c: c.list(PODS, field_selector="spec.image=x"),
        (400, "BadRequest", "field label not supported: spec.image"),
    ),
    "a bad label selector": (
        lambda c: c.list(PODS, label_selector="a in b"),
        (400, "BadRequest", "unable to parse requirement: 'a in b'"),
    ),
    "a namespace that does not match the path": (
        lambda c: c.transport.request("POST", PODS.path("kube-system"), body=pod()),
        (
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ),
    "a name that does not match the path": (
        lambda c: c.transport.request("PUT", LEASES.path("default", "a"), body={
            "metadata": {"name": "b"}
        }),
        (
            400,
            "BadRequest",
            "the name of the object (b) does not match the name on the URL (a)",
        ),
    ),
    "create with a resourceVersion": (
        lambda c: c.create(
            CONFIG_MAPS, {"metadata": {"name": "a", "resourceVersion": "1"}}, "default"
        ),
        (400, "BadRequest", "resourceVersion should not be set on objects to be created"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ask", "expected"), REFUSED.values(), ids=REFUSED.keys())
async def test_refusals(client, ask, expected):
    with pytest.raises(ApiError) as caught:
        await ask(client)
    assert refusal(caught.value) == expected


async def test_creating_twice_is_refused(client):
    await client.create(DEPLOYMENTS, deployment())
    with pytest.raises(ApiError) as caught:
        await client.create(DEPLOYMENTS, deployment())
    expected = (409, "AlreadyExists", 'deployments.apps "web" already exists')
    assert refusal(caught.value) == expected
    assert caught.value.status["details"] == {
        "name": "web",
        "group": "apps",
        "kind": "deployments",
    }


async def test_an_update_with_an_old_resource_version_is_a_conflict(client):
    made = await client.create(CONFIG_MAPS, config_map(a="1"))
    await client.patch(CONFIG_MAPS, "settings", {"data": {"a": "2"}}, "default")
    with pytest.raises(ApiError) as caught:
        await client.update(CONFIG_MAPS, {**made, "data": {"a": "3"}})
    assert refusal(caught.value) == (
        409,
        "Conflict",
        'Operation cannot be fulfilled on configmaps "settings": the object has been modified; '
        "please apply your changes to the latest version and try again",
    )


async def test_an_update_without_a_difference_makes_no_revision(client, api):
    made = await client.create(DEPLOYMENTS, deployment())
    before = api.state.revision
    assert await client.update(DEPLOYMENTS, made) is made
    assert await client.update(DEPLOYMENTS, deployment()) is made
    assert await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 1}}, "default") is made
    assert api.state.revision == before


async def test_spec_changes_count_generations_and_status_changes_do_not(client):
    await client.create(DEPLOYMENTS, deployment())
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, "default")
    status = {"status": {"replicas": 3}, "spec": {"replicas": 9}}
    found = await client.patch(DEPLOYMENTS, "web", status, "default", subresource="status")
    assert found["metadata"]["generation"] == 2
    assert found["status"] == {"replicas": 3}
    assert found["spec"]["replicas"] == 3


async def test_the_main_resource_does_not_take_status(client):
    await client.create(PODS, pod())
    found = await client.patch(PODS, "web", {"status": {"phase": "Running"}}, "default")
    assert found["status"]["phase"] == "Pending"


async def test_dry_runs_change_nothing(client, api):
    before = api.state.revision
    params = {"dryRun": "All"}
    path = DEPLOYMENTS.path("default")
    made = await client.transport.request("POST", path, params=params, body=deployment())
    assert made["spec"]["replicas"] == 1
    assert api.state.revision == before
    assert (await client.list(DEPLOYMENTS))["items"] == []


async def test_patches_of_many_at_once_all_take_effect(client):
    await client.create(CONFIG_MAPS, config_map())
    patches = (
        client.patch(CONFIG_MAPS, "settings", {"data": {f"k{number}": "x"}}, "default")
        for number in range(50)
    )
    await asyncio.gather(*patches)
    found = await client.get(CONFIG_MAPS, "settings", "default")
    assert len(found["data"]) == 50


async def test_a_strategic_patch_knows_the_kinds_merge_keys(client):
    obj = deployment()
    obj["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:1"})
    await client.create(DEPLOYMENTS, obj)
    containers = [{"name": "side", "image": "side:2"}]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    found = await client.patch(DEPLOYMENTS, "web", change, "default", kind="strategic")
    images = [one["image"] for one in found["spec"]["template"]["spec"]["containers"]]
    assert images == ["web:1", "side:2"]


async def test_lists_are_in_key_order_and_narrowed_by_selectors(client):
    for name, app in (("c", "x"), ("a", "y"), ("b", "x")):
        obj = pod(name)
        obj["metadata"]["labels"] = {"app": app}
        await client.create(PODS, obj)
    await client.create(PODS, pod("z", namespace="kube-system"))

    async def names(**selectors) -> list[str]:
        found = await client.list(PODS, **selectors)
        return [one["metadata"]["name"] for one in found["items"]]

    assert await names() == ["a", "b", "c", "z"]
    assert await names(namespace="default") == ["a", "b", "c"]
    assert await names(label_selector="app=x") == ["b", "c"]
    assert await names(label_selector="app notin (x)", namespace="default") == ["a"]
    assert await names(field_selector="metadata.name=b") == ["b"]
    assert await names(namespace="default", field_selector="metadata.name=b") == ["b"]
    assert await names(field_selector="spec.nodeName=") == ["a", "b", "c", "z"]
    assert await names(field_selector="spec.nodeName!=,status.phase=Pending") == []


async def test_a_lists_json_is_joined_from_that_of_its_items(client, api):
    for params in ({}, {"limit": "1"}, {"labelSelector": "a=b"}):
        result = await api.handle(Request("GET", NAMESPACES.path(), ADMIN, params))
        assert orjson.loads(result.body.json) == result.body.obj


async def test_pages_of_one_list_show_one_revision(client):
    for number in range(5):
        await client.create(CONFIG_MAPS, config_map(f"c{number}", n="old"))
    first = await client.list(CONFIG_MAPS, limit=2)
    assert first["metadata"]["remainingItemCount"] == 3
    await client.create(CONFIG_MAPS, config_map("c22"))
    await client.delete(CONFIG_MAPS, "c3", "default")
    await client.patch(CONFIG_MAPS, "c4", {"data": {"n": "new"}}, "default")
    second = await client.list(CONFIG_MAPS, limit=2, continue_=first["metadata"]["continue"])
    third = await client.list(CONFIG_MAPS, limit=2, continue_=second["metadata"]["continue"])
    items = first["items"] + second["items"] + third["items"]
    assert [one["metadata"]["name"] for one in items] == ["c0", "c1", "c2", "c3", "c4"]
    assert items[-1]["data"] == {"n": "old"}
    assert "continue" not in third["metadata"]
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1


async def test_autoscalers_are_the_same_in_both_versions(client):
    old = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"},
            "maxReplicas": 5,
            "targetCPUUtilizationPercentage": 50,
        },
    }
    made = await client.create(HPA_V1, old)
    assert made["spec"]["targetCPUUtilizationPercentage"] == 50
    assert made["spec"]["minReplicas"] == 1
    new = await client.get(HORIZONTAL_POD_AUTOSCALERS, "web", "default")
    target = new["spec"]["metrics"][0]["resource"]["target"]
    assert target == {"type": "Utilization", "averageUtilization": 50}
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 10}}
    change = {"spec": {"behavior": behavior}}
    await client.patch(HORIZONTAL_POD_AUTOSCALERS, "web", change, "default")
    # What v1 cannot say survives a write through v1.
    await client.patch(HPA_V1, "web", {"spec": {"maxReplicas": 7}}, "default")
    found = await client.get(HORIZONTAL_POD_AUTOSCALERS, "web", "default")
    assert found["spec"]["maxReplicas"] == 7
    assert found["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 10
    assert "annotations" not in found["metadata"]


async def test_an_autoscaler_without_metrics_aims_at_80_percent_of_cpu(client):
    made = await client.create(HORIZONTAL_POD_AUTOSCALERS, hpa())
    target = {"type": "Utilization", "averageUtilization": 80}
    assert made["spec"]["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    ]
    assert "behavior" not in made["spec"]


async def test_a_nodes_status_can_be_created_and_is_canonical(client):
    status = {"capacity": {"cpu": "1000m", "memory": "1048576Ki"}}
    made = await client.create(NODES, {"metadata": {"name": "n"}, "status": status})
    assert made["status"]["capacity"] == {"cpu": "1", "memory": "1Gi"}
    assert made["status"]["allocatable"] == {"cpu": "1", "memory": "1Gi"}


async def test_a_lease_can_be_put_before_it_exists(client):
    lease = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"holderIdentity": "me"}}
    made = await client.update(LEASES, lease)
    renewed = copy.deepcopy(made)
    renewed["spec"]["holderIdentity"] = "you"
    assert (await client.update(LEASES, renewed))["spec"]["holderIdentity"] == "you"


async def test_services_get_addresses_and_node_ports_of_their_own(client):
    made = [
        await client.create(SERVICES, service(f"s{number}", type="NodePort"))
        for number in range(20)
    ]
    addresses = {one["spec"]["clusterIP"] for one in made}
    ports = {one["spec"]["ports"][0]["nodePort"] for one in made}
    assert len(addresses) == len(ports) == 20
    assert all(address.startswith("127.96.0.") for address in addresses)
    assert all(30000 <= port <= 32767 for port in ports)
    assert all(one["spec"]["clusterIPs"] == [one["spec"]["clusterIP"]] for one in made)
    taken = made[0]["spec"]["ports"][0]["nodePort"]
    wanted = service("again", type="NodePort", ports=[{"port": 80, "nodePort": taken}])
    with pytest.raises(ApiError, match="provided port is already allocated"):
        await client.create(SERVICES, wanted)
    await client.delete(SERVICES, "s0", "default")
    assert (await client.create(SERVICES, wanted))["spec"]["ports"][0]["nodePort"] == taken


async def test_a_service_keeps_its_address_and_port_when_it_is_applied_again(client):
    made = await client.create(SERVICES, service(type="NodePort"))
    again = await client.update(SERVICES, service(type="NodePort"))
    assert again is made
    plain = await client.update(SERVICES, service(type="ClusterIP"))
    assert plain["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert "nodePort" not in plain["spec"]["ports"][0]


async def test_a_headless_service_has_no_address(client):
    made = await client.create(SERVICES, service(clusterIP="None"))
    assert made["spec"]["clusterIPs"] == ["None"]


async def test_node_ports_that_the_machine_has_given_away_are_not_handed_out():
    server = APIServer(
        MemoryStore(),
        Clock(),
        service_cidr="127.96.0.0/24",
        node_port_range=(30000, 30004),
        port_free=lambda port: port == 30003,
    )
    await server.start()
    client = Client(server.transport(ADMIN))
    made = await client.create(SERVICES, service(type="NodePort"))
    assert made["spec"]["ports"][0]["nodePort"] == 30003
    with pytest.raises(ApiError, match="range is full"):
        await client.create(SERVICES, service("other", type="NodePort"))
    await server.stop()


async def test_an_aggregated_group_is_answered_by_its_handler(client, api):
    async def handler(path, params):
        return {"kind": "NodeMetricsList", "path": path, "limit": params.get("limit")}

    api.aggregate("metrics.k8s.io", "v1beta1", handler)
    answer = await client.transport.request(
        "GET", "/apis/metrics.k8s.io/v1beta1/nodes", params={"limit": "1"}
    )
    assert answer["path"] == "/apis/metrics.k8s.io/v1beta1/nodes"
    assert answer["limit"] == "1"


async def test_a_server_that_has_stopped_is_out_of_reach(client, api):
    watch = client.watch(NAMESPACES)
    await anext(watch)
    await api.stop()
    await api.stop()
    events = [event async for event in watch]
    assert all(event["type"] in ("ADDED", "BOOKMARK") for event in events)
    with pytest.raises(ConnectionError):
        await client.list(NAMESPACES)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/v1", "Service"), ("/apis/apps/v1", "StatefulSet")],
)
async def test_a_client_in_the_same_process_can_ask_what_is_served(client, path, kind):
    answer = await client.transport.request("GET", path)
    assert kind in [one["kind"] for one in answer["resources"]]
