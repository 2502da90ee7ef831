"""What objects count for in quotas, as upstream's evaluators count them."""

from __future__ import annotations

import pytest

from labkit.kube import quotas, resourcelist

NOW = 1_767_225_600.0


def pod(*containers: dict, phase: str = "Running", init: tuple = (), **spec: object) -> dict:
    return {
        "metadata": {"name": "web"},
        "spec": {"containers": list(containers), "initContainers": list(init), **spec},
        "status": {"phase": phase},
    }


def container(name: str = "app", requests: dict | None = None, limits: dict | None = None, **more):
    return {"name": name, "resources": {"requests": requests or {}, "limits": limits or {}}, **more}


def usage(kind: str, obj: dict) -> dict:
    return dict(quotas.evaluator(kind).usage(obj, NOW))


def test_a_pod_counts_under_the_old_and_the_new_names():
    found = usage("pods", pod(container(requests={"cpu": "250m"}, limits={"memory": "1Gi"})))
    assert found == {
        "count/pods": "1",
        "pods": "1",
        "cpu": "250m",
        "requests.cpu": "250m",
        "limits.memory": "1Gi",
    }


def test_containers_add_up_and_init_containers_count_by_the_largest():
    containers = [container(requests={"memory": "128Mi"}), container(requests={"memory": "128Mi"})]
    small = container(requests={"memory": "64Mi"})
    large = container(requests={"memory": "1Gi"})
    assert usage("pods", pod(*containers, init=(small,)))["requests.memory"] == "256Mi"
    assert usage("pods", pod(*containers, init=(small, large)))["requests.memory"] == "1Gi"


def test_sidecars_stay_beside_containers_and_later_init_containers():
    sidecar = container(requests={"cpu": "100m"}, restartPolicy="Always")
    app, start = container(requests={"cpu": "1"}), container(requests={"cpu": "2"})
    assert usage("pods", pod(app, init=(sidecar,)))["cpu"] == "1100m"
    assert usage("pods", pod(app, init=(sidecar, start)))["cpu"] == "2100m"


def test_extended_resources_and_huge_pages_count_as_requests():
    found = usage("pods", pod(container(requests={"example.com/gpu": "2", "hugepages-2Mi": "4Mi"})))
    assert found["requests.example.com/gpu"] == "2"
    assert found["hugepages-2Mi"] == found["requests.hugepages-2Mi"] == "4Mi"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_only_an_object(phase):
    assert usage("pods", pod(container(requests={"cpu": "1"}), phase=phase)) == {"count/pods": "1"}


def test_a_pod_that_should_be_gone_is_only_an_object():
    lost = pod(container())
    lost["metadata"] |= {
        "deletionTimestamp": "2025-12-31T23:59:00Z",
        "deletionGracePeriodSeconds": 30,
    }
    assert usage("pods", lost) == {"count/pods": "1"}
    lost["metadata"]["deletionGracePeriodSeconds"] = 90
    assert usage("pods", lost)["pods"] == "1"


@pytest.mark.parametrize(
    ("spec", "nodeports", "loadbalancers"),
    [
        ({"type": "ClusterIP", "ports": [{}, {}]}, "0", "0"),
        ({"type": "NodePort", "ports": [{}, {}]}, "2", "0"),
        ({"type": "LoadBalancer", "ports": [{}, {}]}, "2", "1"),
        (
            {
                "type": "LoadBalancer",
                "allocateLoadBalancerNodePorts": False,
                "ports": [{"nodePort": 30000}, {}],
            },
            "1",
            "1",
        ),
    ],
    ids=["ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer without node ports"],
)
def test_services_count_their_node_ports(spec, nodeports, loadbalancers):
    found = usage("services", {"metadata": {"name": "web"}, "spec": spec})
    assert found["services.nodeports"] == nodeports
    assert found["services.loadbalancers"] == loadbalancers
    assert found["services"] == found["count/services"] == "1"


def test_claims_count_their_storage_also_for_their_class():
    spec = {"storageClassName": "gold", "resources": {"requests": {"storage": "1.5Gi"}}}
    assert usage("persistentvolumeclaims", {"metadata": {}, "spec": spec}) == {
        "count/persistentvolumeclaims": "1",
        "persistentvolumeclaims": "1",
        "requests.storage": "1536Mi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/requests.storage": "1536Mi",
    }


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("deployments.apps", {"count/deployments.apps": "1"}),
        ("configmaps", {"count/configmaps": "1", "configmaps": "1"}),
        ("secrets", {"count/secrets": "1", "secrets": "1"}),
        ("serviceaccounts", {"count/serviceaccounts": "1"}),
    ],
)
def test_all_else_is_counted(kind, counted):
    assert usage(kind, {"metadata": {}}) == counted


def test_a_pod_must_say_what_the_quota_demands_of_each_container():
    missing = quotas.evaluator("pods").missing
    wanted = ["requests.cpu", "limits.memory", "pods", "requests.ephemeral-storage"]
    silent = pod(container("b"), container("a"), init=(container("c", {"cpu": "1"}),))
    assert missing(wanted, silent) == "must specify limits.memory for: a,b,c; requests.cpu for: a,b"
    assert missing(["pods"], silent) == ""


BEST_EFFORT = pod(container())
BURSTABLE = pod(container(requests={"cpu": "1"}))
LIMITED = pod(container(), activeDeadlineSeconds=5)
IMPORTANT = pod(container(), priorityClassName="high")


@pytest.mark.parametrize(
    ("scope", "obj", "inside"),
    [
        ({"scopeName": "BestEffort"}, BEST_EFFORT, True),
        ({"scopeName": "BestEffort"}, BURSTABLE, False),
        ({"scopeName": "NotBestEffort"}, BURSTABLE, True),
        ({"scopeName": "Terminating"}, LIMITED, True),
        ({"scopeName": "Terminating"}, BURSTABLE, False),
        ({"scopeName": "NotTerminating"}, BURSTABLE, True),
        ({"scopeName": "PriorityClass", "operator": "Exists"}, IMPORTANT, True),
        ({"scopeName": "PriorityClass", "operator": "Exists"}, BEST_EFFORT, False),
        ({"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}, IMPORTANT, True),
        ({"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}, IMPORTANT, False),
        ({"scopeName": "PriorityClass", "operator": "NotIn", "values": ["low"]}, BEST_EFFORT, True),
        ({"scopeName": "PriorityClass", "operator": "DoesNotExist"}, BEST_EFFORT, True),
        ({"scopeName": "CrossNamespacePodAffinity", "operator": "Exists"}, BEST_EFFORT, False),
    ],
)
def test_scopes_of_pods(scope, obj, inside):
    quota = {"spec": {"scopeSelector": {"matchExpressions": [scope]}}}
    assert quotas.evaluator("pods").in_scopes(quota, obj) is inside


def test_all_scopes_must_match():
    quota = {"spec": {"scopes": ["BestEffort", "Terminating"]}}
    assert quotas.evaluator("pods").in_scopes(quota, LIMITED)
    assert not quotas.evaluator("pods").in_scopes(quota, BEST_EFFORT)


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [("128Mi", "128Mi", "256Mi"), ("0", "1Gi", "1Gi"), ("500m", "0.5", "1"), ("1k", "24", "1024")],
)
def test_sums_keep_the_way_in_which_quantities_are_written(one, other, total):
    assert resourcelist.plus(one, other) == total
