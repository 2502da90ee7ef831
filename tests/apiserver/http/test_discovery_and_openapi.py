"""What the server says of itself, in every form that clients ask for."""

import pytest

from labkit.apiserver import openapi, openapi_protobuf
from labkit.apiserver.registry import REGISTRATIONS
from labkit.client import ApiError

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
DEPLOYMENT = {"group": "apps", "version": "v1", "kind": "Deployment"}


async def get(http, path, accept="application/json"):
    answer = await http.get(path, headers={"Accept": accept})
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_groups_and_versions_are_listed(http):
    assert (await get(http, "/api"))["versions"] == ["v1"]
    groups = {group["name"]: group for group in (await get(http, "/apis"))["groups"]}
    assert groups["apps"]["preferredVersion"]["groupVersion"] == "apps/v1"
    versions = [one["version"] for one in groups["autoscaling"]["versions"]]
    assert versions == ["v2", "v1"]
    assert (await get(http, "/apis/apps"))["name"] == "apps"


async def test_resources_are_listed_with_their_subresources(http):
    found = {r["name"]: r for r in (await get(http, "/apis/apps/v1"))["resources"]}
    assert found["deployments"]["shortNames"] == ["deploy"]
    assert found["deployments/scale"]["group"] == "autoscaling"
    assert found["deployments/scale"]["kind"] == "Scale"
    core = {r["name"]: r for r in (await get(http, "/api/v1"))["resources"]}
    assert core["pods/log"]["verbs"] == ["get"]
    assert core["nodes"]["namespaced"] is False


async def test_discovery_comes_in_one_piece_if_asked(http):
    accept = AGGREGATED.format("v2") + ",application/json"
    answer = await http.get("/apis", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == AGGREGATED.format("v2")
    body = await answer.json()
    assert body["apiVersion"] == "apidiscovery.k8s.io/v2"
    apps = next(group for group in body["items"] if group["metadata"]["name"] == "apps")
    found = {one["resource"]: one for one in apps["versions"][0]["resources"]}
    deployments = found["deployments"]
    assert deployments["responseKind"] == {**DEPLOYMENT, "group": "", "version": ""}
    assert [sub["subresource"] for sub in deployments["subresources"]] == ["scale", "status"]
    core = await get(http, "/api", accept)
    assert [group["metadata"]["name"] for group in core["items"]] == [""]


async def test_unchanged_discovery_is_not_sent_twice(http):
    headers = {"Accept": AGGREGATED.format("v2")}
    tag = (await http.get("/apis", headers=headers)).headers["ETag"]
    answer = await http.get("/apis", headers={**headers, "If-None-Match": tag})
    assert answer.status == 304


async def test_aggregated_apis_appear_while_they_answer(server, http):
    api, down = server[0], False

    async def metrics(path, params):
        if down:
            raise ApiError({"code": 503, "reason": "ServiceUnavailable"})
        kind = {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics"}
        return {"kind": "APIResourceList", "resources": [{**kind, "verbs": ["get", "list"]}]}

    api.aggregate("metrics.k8s.io", "v1beta1", metrics)
    groups = (await get(http, "/apis"))["groups"]
    assert "metrics.k8s.io" in [group["name"] for group in groups]
    assert (await get(http, "/apis/metrics.k8s.io"))["name"] == "metrics.k8s.io"
    listed = await get(http, "/apis/metrics.k8s.io/v1beta1")
    assert [resource["kind"] for resource in listed["resources"]] == ["PodMetrics"]
    down = True
    groups = (await get(http, "/apis"))["groups"]
    assert "metrics.k8s.io" not in [group["name"] for group in groups]


async def test_metrics_of_resources_that_are_served_elsewhere_are_discovered(server, http):
    async def metrics(path, params):
        kind = {"singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}
        names = ("pods/a", "pods/b", "ingresses.networking.k8s.io/requests")
        return {"kind": "APIResourceList", "resources": [{"name": name, **kind} for name in names]}

    server[0].aggregate("custom.metrics.k8s.io", "v1beta2", metrics)
    groups = (await get(http, "/apis", AGGREGATED.format("v2")))["items"]
    custom = next(group for group in groups if group["metadata"]["name"].startswith("custom"))
    found = {
        resource["resource"]: [one["subresource"] for one in resource["subresources"]]
        for resource in custom["versions"][0]["resources"]
    }
    assert found == {"pods": ["a", "b"], "ingresses.networking.k8s.io": ["requests"]}


async def test_openapi_v3_names_its_documents_by_content(http):
    paths = (await get(http, "/openapi/v3"))["paths"]
    where = paths["apis/apps/v1"]["serverRelativeURL"]
    answer = await http.get(where)
    assert "immutable" in answer.headers["Cache-Control"]
    tag = answer.headers["ETag"]
    assert (await http.get(where, headers={"If-None-Match": tag})).status == 304


async def test_openapi_says_that_the_server_validates_fields(http):
    document = await get(http, "/openapi/v3/apis/apps/v1")
    item = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    patch = item["patch"]
    assert patch["x-kubernetes-group-version-kind"] == DEPLOYMENT
    assert "fieldValidation" in [p["name"] for p in patch["parameters"] if p["in"] == "query"]


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):  # a schema of schemas has a property `$ref`
            yield value["$ref"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


@pytest.mark.parametrize("path", ["/api/v1", "/apis/apps/v1", "/apis/autoscaling/v2"])
async def test_every_reference_of_a_document_resolves(http, path):
    document = await get(http, f"/openapi/v3{path}")
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


async def test_openapi_v2_has_everything_in_one_document(http):
    document = await get(http, "/openapi/v2")
    assert document["swagger"] == "2.0"
    known = {f"#/definitions/{name}" for name in document["definitions"]}
    assert set(references(document)) <= known
    assert "io.k8s.api.core.v1.Pod" in document["definitions"]


async def test_openapi_v2_in_protobuf_is_for_old_kubectls(http):
    answer = await http.get("/openapi/v2", headers={"Accept": openapi_protobuf.ASKED_FOR})
    assert answer.headers["Content-Type"] == openapi_protobuf.MEDIA_TYPE
    document = await answer.read()
    assert document.count(b"fieldValidation") == len(REGISTRATIONS)
    assert b'{"group":"apps","version":"v1","kind":"Deployment"}' in document


def test_schemas_are_openapi_again():
    known = openapi.definitions()
    spec = known["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]
    assert spec["replicas"]["type"] == "integer"
    assert "enum" not in known["io.k8s.api.core.v1.Pod"]["properties"]["kind"]
    containers = known["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"


def test_every_served_kind_has_a_definition():
    known = openapi.definitions()
    assert [row.definition for row in REGISTRATIONS if row.definition not in known] == []
