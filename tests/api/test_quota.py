"""Quotas: what a namespace may have is charged when it is created and given back when it goes."""

from __future__ import annotations

import concurrent.futures

import pytest

from tests.api.conftest import Wire, refused, until

IDLE = {"nodeSelector": {"test/nowhere": "yes"}}  # Pods here are never scheduled


def pod(name: str, resources: dict | None = None, **spec: object) -> dict:
    container = {"name": "app", "image": "busybox:1.36", "resources": resources or {}}
    spec = {**IDLE, "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def config_map(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def limit(wire: Wire, ns: str, hard: dict, name: str = "few", **spec: object) -> dict:
    """Create a quota and wait until it has been counted for the first time."""
    body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name},
        "spec": {"hard": hard, **spec},
    }
    wire.ok("POST", f"{ns}/resourcequotas", body)
    return until(lambda: used(wire, ns, name).keys() == hard.keys() and body, what="it is counted")


def used(wire: Wire, ns: str, name: str = "few") -> dict:
    status = wire.ok("GET", f"{ns}/resourcequotas/{name}").get("status") or {}
    return status.get("used") or {}


def test_a_quota_tells_what_is_used_of_what_is_allowed(wire: Wire, ns: str):
    wire.ok("POST", f"{ns}/pods", pod("one", {"requests": {"cpu": "100m"}}))
    limit(wire, ns, {"pods": "3", "requests.cpu": "1", "count/configmaps": "9"})
    status = wire.ok("GET", f"{ns}/resourcequotas/few")["status"]
    assert status["hard"] == {"pods": "3", "requests.cpu": "1", "count/configmaps": "9"}
    assert status["used"]["pods"] == "1"
    assert status["used"]["requests.cpu"] == "100m"


def test_what_exceeds_a_quota_is_refused_with_the_amounts(wire: Wire, ns: str):
    limit(wire, ns, {"pods": "1", "requests.cpu": "1"})
    wire.ok("POST", f"{ns}/pods", pod("one", {"requests": {"cpu": "600m"}}))
    assert used(wire, ns) == {"pods": "1", "requests.cpu": "600m"}
    answer = wire.post(f"{ns}/pods", pod("two", {"requests": {"cpu": "500m"}}))
    status = refused(
        answer,
        403,
        "Forbidden",
        'pods "two" is forbidden: exceeded quota: few, requested: pods=1,requests.cpu=500m, '
        "used: pods=1,requests.cpu=600m, limited: pods=1,requests.cpu=1",
    )
    assert status["details"] == {"name": "two", "kind": "pods"}
    assert used(wire, ns) == {"pods": "1", "requests.cpu": "600m"}


def test_what_is_deleted_is_given_back(wire: Wire, ns: str):
    limit(wire, ns, {"pods": "1"})
    wire.ok("POST", f"{ns}/pods", pod("one"))
    refused(wire.post(f"{ns}/pods", pod("two")), 403, "Forbidden", "exceeded quota: few")
    wire.ok("DELETE", f"{ns}/pods/one")
    until(lambda: used(wire, ns) == {"pods": "0"}, what="it is given back")
    wire.ok("POST", f"{ns}/pods", pod("two"))


def test_of_many_at_once_exactly_those_that_fit_are_created(wire: Wire, ns: str):
    limit(wire, ns, {"count/configmaps": "12"})
    had = int(used(wire, ns)["count/configmaps"])  # kube-root-ca.crt

    def create(number: int) -> int:
        return wire.post(f"{ns}/configmaps", config_map(f"pair-{number}")).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        codes = list(threads.map(create, range(30)))
    assert codes.count(201) == 12 - had
    assert codes.count(403) == len(codes) - codes.count(201)
    assert used(wire, ns) == {"count/configmaps": "12"}


def test_a_dry_run_is_checked_and_not_charged(wire: Wire, ns: str):
    limit(wire, ns, {"pods": "1"})
    wire.ok("POST", f"{ns}/pods", pod("one"), dryRun="All")
    assert used(wire, ns) == {"pods": "0"}
    wire.ok("POST", f"{ns}/pods", pod("one"))
    refused(wire.post(f"{ns}/pods", pod("two"), dryRun="All"), 403, "Forbidden", "exceeded quota")


def test_a_quota_of_cpu_makes_every_container_say_what_it_wants(wire: Wire, ns: str):
    limit(wire, ns, {"requests.cpu": "1", "limits.memory": "1Gi"})
    message = 'pods "one" is forbidden: failed quota: few: must specify limits.memory for: app; '
    answer = wire.post(f"{ns}/pods", pod("one"))
    refused(answer, 403, "Forbidden", message + "requests.cpu for: app")
    resources = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    wire.ok("POST", f"{ns}/pods", pod("one", resources))


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ("BestEffort", pod("in"), pod("out", {"requests": {"cpu": "1m"}})),
        ("NotBestEffort", pod("in", {"requests": {"cpu": "1m"}}), pod("out")),
        ("Terminating", pod("in", activeDeadlineSeconds=600), pod("out")),
        ("NotTerminating", pod("in"), pod("out", activeDeadlineSeconds=600)),
    ],
    ids=["BestEffort", "NotBestEffort", "Terminating", "NotTerminating"],
)
def test_a_quota_is_about_the_pods_of_its_scope(wire: Wire, ns: str, scope, inside, outside):
    limit(wire, ns, {"pods": "0"}, scopes=[scope])
    wire.ok("POST", f"{ns}/pods", outside)
    refused(wire.post(f"{ns}/pods", inside), 403, "Forbidden", "exceeded quota: few")


def test_a_quota_can_be_about_priority_classes(wire: Wire, ns: str):
    expression = {
        "scopeName": "PriorityClass",
        "operator": "In",
        "values": ["system-cluster-critical"],
    }
    limit(wire, ns, {"pods": "0"}, scopeSelector={"matchExpressions": [expression]})
    wire.ok("POST", f"{ns}/pods", pod("usual"))
    critical = pod("critical", priorityClassName="system-cluster-critical")
    refused(wire.post(f"{ns}/pods", critical), 403, "Forbidden", "exceeded quota: few")


def test_services_are_counted_by_their_node_ports(wire: Wire, ns: str):
    limit(wire, ns, {"services": "2", "services.nodeports": "1"})

    def service(name: str, kind: str, *ports: int) -> dict:
        spec = {"type": kind, "ports": [{"name": f"p{port}", "port": port} for port in ports]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}

    two = wire.post(f"{ns}/services", service("two", "NodePort", 80, 81))
    refused(two, 403, "Forbidden", "requested: services.nodeports=2, used: services.nodeports=0")
    wire.ok("POST", f"{ns}/services", service("one", "NodePort", 80))
    wire.ok("POST", f"{ns}/services", service("inner", "ClusterIP", 80))
    patch = {"spec": {"type": "NodePort"}}
    refused(wire.patch(f"{ns}/services/inner", patch), 403, "Forbidden", "exceeded quota: few")
    wire.ok("PATCH", f"{ns}/services/one", {"spec": {"type": "ClusterIP"}},
            type="application/merge-patch+json")  # fmt: skip
    until(lambda: used(wire, ns)["services.nodeports"] == "0", what="the port is given back")
    wire.ok("PATCH", f"{ns}/services/inner", patch, type="application/merge-patch+json")


def test_any_resource_can_be_counted_by_its_name(wire: Wire, ns: str, in_group):
    limit(wire, ns, {"count/deployments.apps": "0"})
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod("x")["spec"]}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    spec["template"]["spec"].pop("terminationGracePeriodSeconds")
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    answer = wire.post(f"{in_group('apps/v1')}/deployments", {**body, "spec": spec})
    message = 'deployments.apps "web" is forbidden: exceeded quota: few, requested: '
    refused(answer, 403, "Forbidden", message + "count/deployments.apps=1")


def test_all_quotas_of_a_namespace_must_admit(wire: Wire, ns: str):
    limit(wire, ns, {"pods": "5"}, "wide")
    limit(wire, ns, {"pods": "0"}, "narrow")
    refused(wire.post(f"{ns}/pods", pod("one")), 403, "Forbidden", "exceeded quota: narrow")


def test_changed_limits_are_counted_again(wire: Wire, ns: str):
    limit(wire, ns, {"pods": "0"})
    wire.ok("PATCH", f"{ns}/resourcequotas/few", {"spec": {"hard": {"pods": "1"}}},
            type="application/merge-patch+json")  # fmt: skip
    until(lambda: wire.post(f"{ns}/pods", pod("one")).status_code == 201, what="it fits")


def test_a_replica_set_tells_why_it_cannot_make_its_pods(wire: Wire, ns: str, in_group):
    limit(wire, ns, {"pods": "1"})
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    body = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": template},
    }
    path = f"{in_group('apps/v1')}/replicasets"
    wire.ok("POST", path, body)

    def failure() -> dict | None:
        status = wire.ok("GET", f"{path}/web").get("status") or {}
        return next((c for c in status.get("conditions") or () if c["status"] == "True"), None)

    condition = until(failure, what="a condition tells of the failure")
    assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
    assert "exceeded quota: few, requested: pods=1, used: pods=1" in condition["message"]
    assert len(wire.ok("GET", f"{ns}/pods")["items"]) == 1
