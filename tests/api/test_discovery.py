"""Discovery, OpenAPI, and what kubectl makes of them."""

from __future__ import annotations

import pytest

from tests.api.conftest import Kubectl, Wire, refused

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def by_name(entries: list[dict], key: str = "name") -> dict[str, dict]:
    return {one[key]: one for one in entries}


def test_groups_say_which_version_they_prefer(wire: Wire):
    groups = by_name(wire.ok("GET", "/apis")["groups"])
    scaling = groups["autoscaling"]
    assert [one["version"] for one in scaling["versions"]][:2] == ["v2", "v1"]
    assert scaling["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}
    one = wire.ok("GET", "/apis/apps")
    assert (one["kind"], one["name"]) == ("APIGroup", "apps")
    assert wire.ok("GET", "/api")["versions"] == ["v1"]
    assert wire.get("/apis/no.such.group").status_code == 404
    assert wire.get("/apis/apps/v7").status_code == 404


def test_resources_have_names_verbs_and_a_storage_version(wire: Wire):
    core = by_name(wire.ok("GET", "/api/v1")["resources"])
    pods = core["pods"]
    assert (pods["singularName"], pods["shortNames"], pods["categories"]) == (
        "pod",
        ["po"],
        ["all"],
    )
    assert sorted(pods["verbs"]) == VERBS
    assert pods["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert core["pods/eviction"]["group"] == "policy"
    assert core["pods/log"] == {
        "name": "pods/log",
        "singularName": "",
        "namespaced": True,
        "kind": "Pod",
        "verbs": ["get"],
    }
    assert "deletecollection" not in core["namespaces"]["verbs"]
    assert list(core) == sorted(core)
    apps = by_name(wire.ok("GET", "/apis/apps/v1")["resources"])
    assert (apps["deployments/scale"]["kind"], apps["deployments/scale"]["version"]) == (
        "Scale",
        "v1",
    )


def test_all_groups_come_at_once_for_those_who_ask(wire: Wire):
    accept = AGGREGATED.format("v2")
    answer = wire.get("/apis", headers={"Accept": f"{accept},application/json"})
    assert answer.headers["content-type"] == accept
    found = answer.json()
    assert (found["kind"], found["apiVersion"]) == (
        "APIGroupDiscoveryList",
        "apidiscovery.k8s.io/v2",
    )
    groups = {one["metadata"]["name"]: one for one in found["items"]}
    apps = by_name(groups["apps"]["versions"], "version")["v1"]
    assert apps["freshness"] == "Current"
    deployments = by_name(apps["resources"], "resource")["deployments"]
    assert deployments["scope"] == "Namespaced"
    assert deployments["responseKind"] == {"group": "", "version": "", "kind": "Deployment"}
    subresources = by_name(deployments["subresources"], "subresource")
    assert subresources["scale"]["responseKind"]["kind"] == "Scale"
    again = wire.get("/apis", headers={"Accept": accept, "If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_who_asks_for_an_older_form_of_discovery_gets_the_plain_one(wire: Wire):
    answer = wire.get("/apis", headers={"Accept": f"{AGGREGATED.format('v2beta1')},*/*"})
    assert (answer.headers["content-type"], answer.json()["kind"]) == (
        "application/json",
        "APIGroupList",
    )


@pytest.mark.parametrize("path", ["/nowhere", "/apis/nowhere.example.com/v1/x"])
def test_where_no_api_is_there_is_no_status(wire: Wire, path: str):
    answer = wire.get(path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/apis/apps/v9/deployments"])
def test_what_an_api_does_not_have_is_not_found(wire: Wire, path: str):
    words = "the server could not find the requested resource"
    assert refused(wire.get(path), 404, "NotFound", words)["details"] == {}


def test_a_verb_that_is_not_served_is_not_allowed(wire: Wire):
    words = "the server does not allow this method on the requested resource"
    assert (
        refused(wire.delete("/api/v1/namespaces"), 405, "MethodNotAllowed", words)["details"] == {}
    )


def test_both_forms_of_discovery_say_the_same(wire: Wire):
    def plain() -> set[tuple[str, str]]:
        return {
            (one["groupVersion"], entry["name"])
            for group in wire.ok("GET", "/apis")["groups"]
            for one in group["versions"]
            for entry in wire.ok("GET", f"/apis/{one['groupVersion']}")["resources"]
            if "/" not in entry["name"]
        }

    found = wire.ok("GET", "/apis", headers={"Accept": AGGREGATED.format("v2")})
    at_once = {
        (f"{group['metadata']['name']}/{version['version']}", entry["resource"])
        for group in found["items"]
        for version in group["versions"]
        for entry in version["resources"]
    }
    assert at_once == plain()


def test_openapi_v3_is_addressed_by_content(wire: Wire):
    where = wire.ok("GET", "/openapi/v3")["paths"]["apis/apps/v1"]["serverRelativeURL"]
    path, _, wanted = where.partition("?hash=")
    answer = wire.get(path, hash=wanted)
    assert answer.headers["etag"] == f'"{wanted}"'
    assert "immutable" in answer.headers["cache-control"]
    document = answer.json()
    schemas = document["components"]["schemas"]
    (kind,) = schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"]
    assert kind == {"group": "apps", "version": "v1", "kind": "Deployment"}
    unchanged = wire.get(path, hash=wanted, headers={"If-None-Match": f'"{wanted}"'})
    assert unchanged.status_code == 304
    elsewhere = wire.get(path, hash="OLD")
    assert elsewhere.status_code == 301
    assert elsewhere.headers["location"] == where


def test_openapi_v2_is_sent_once(wire: Wire):
    answer = wire.get("/openapi/v2")
    assert answer.json()["swagger"] == "2.0"
    again = wire.get("/openapi/v2", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_kubectl_explains_fields(k: Kubectl):
    strategy = k("explain", "deployment.spec.strategy", "--recursive")
    for field in ("rollingUpdate", "maxSurge", "<IntOrString>", "RollingUpdate"):
        assert field in strategy
    assert "maxUnavailable" not in k("explain", "deployment.spec.strategy")
    old = k("explain", "hpa.spec", "--api-version=autoscaling/v1")
    assert "targetCPUUtilizationPercentage" in old
    assert "VERSION:    v2" in k("explain", "hpa")
    assert 'field "nothing" does not exist' in k.fails("explain", "pod.spec.nothing")


def test_kubectl_lists_what_is_served(k: Kubectl):
    assert {"v1", "apps/v1", "batch/v1", "apiextensions.k8s.io/v1"} <= set(
        k("api-versions").split()
    )
    assert "deployments.apps" in k("api-resources", "-o", "name", "--namespaced=true").split()
    assert "nodes" in k("api-resources", "-o", "name", "--namespaced=false").split()
    wide = next(
        line
        for line in k("api-resources", "-o", "wide", "--api-group=apps").splitlines()
        if line.startswith("deployments")
    )
    assert "create,delete,deletecollection,get,list,patch,update,watch" in wide
    assert wide.split()[1] == "deploy"
    assert wide.endswith("all")


def test_kubectl_validates_by_the_server(k: Kubectl):
    manifest = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"daat":{}}'
    complaint = k.fails("create", "--validate=strict", "-f", "-", input=manifest)
    assert 'unknown field "daat"' in complaint
