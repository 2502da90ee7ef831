"""Defaults: what the server writes into objects that leave it open."""

import copy

import pytest

from labkit.apiserver import defaults, defaults_pod, defaults_workloads
from labkit.kube.resources import PODS, SECRETS, SERVICES
from tests.apiserver.manifests import hpa, pod, service


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1", "IfNotPresent"),
        ("registry:5000/web", "Always"),
        ("registry:5000/web:1", "IfNotPresent"),
        ("web@sha256:abc", "IfNotPresent"),
    ],
)
def test_images_whose_tag_moves_are_always_pulled(image, policy):
    assert defaults_pod.pull_policy(image) == policy


def amounts(cpu=None, memory=None):
    return {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, "BestEffort"),
        (amounts("0"), {}, "BestEffort"),
        (amounts("1"), {}, "Burstable"),
        (amounts("1", "1Gi"), amounts("2", "1Gi"), "Burstable"),
        (amounts("1", "1Gi"), amounts("1000m", "1024Mi"), "Guaranteed"),
        (amounts("1"), amounts("1"), "Burstable"),
    ],
)
def test_quality_of_service_follows_from_requests_and_limits(requests, limits, expected):
    resources = {"requests": requests, "limits": limits}
    assert defaults_pod.qos_class({"containers": [{"resources": resources}]}) == expected


async def test_a_pod_is_completed(client):
    probe = {"httpGet": {"port": 80}}
    obj = pod()
    obj["spec"]["containers"][0] |= {
        "ports": [{"containerPort": 80}],
        "readinessProbe": probe,
        "resources": {"limits": {"cpu": "1000m", "memory": "0.5Gi"}},
    }
    found = await client.create(PODS, obj)
    spec, container = found["spec"], found["spec"]["containers"][0]
    assert (spec["restartPolicy"], spec["dnsPolicy"]) == ("Always", "ClusterFirst")
    assert spec["terminationGracePeriodSeconds"] == 30
    assert (spec["serviceAccountName"], spec["schedulerName"]) == ("default", "default-scheduler")
    assert [one["key"] for one in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    assert all(one["tolerationSeconds"] == 300 for one in spec["tolerations"])
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["readinessProbe"] == {
        "httpGet": {"path": "/", "scheme": "HTTP", "port": 80},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "512Mi"}
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert found["status"] == {"phase": "Pending", "qosClass": "Guaranteed"}


async def test_a_pod_keeps_its_own_toleration_of_lost_nodes(client):
    own = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    found = await client.create(PODS, pod(tolerations=[{**own, "tolerationSeconds": 5}]))
    seconds = {one["key"]: one["tolerationSeconds"] for one in found["spec"]["tolerations"]}
    assert seconds == {
        "node.kubernetes.io/unreachable": 5,
        "node.kubernetes.io/not-ready": 300,
    }


async def test_a_service_is_completed(client):
    found = await client.create(SERVICES, service())
    spec = found["spec"]
    assert (spec["type"], spec["sessionAffinity"]) == ("ClusterIP", "None")
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert found["status"] == {"loadBalancer": {}}


async def test_the_text_of_a_secret_is_stored_as_bytes(client):
    obj = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"password": "hi"}}
    found = await client.create(SECRETS, obj)
    assert found["data"] == {"password": "aGk="}
    assert "stringData" not in found
    assert found["type"] == "Opaque"


def test_a_scaling_behavior_is_completed_only_where_there_is_one():
    obj = hpa(behavior={"scaleDown": {"selectPolicy": "Disabled"}})
    defaults.hpa(obj)
    behavior = obj["spec"]["behavior"]
    assert behavior["scaleDown"]["selectPolicy"] == "Disabled"
    assert behavior["scaleUp"] == {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    }


CONTAINER = {"name": "main", "image": "web:1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"imagePullPolicy": ""}, {"imagePullPolicy": "IfNotPresent"}),
        ({"terminationMessagePath": ""}, {"terminationMessagePath": "/dev/termination-log"}),
        ({"ports": [{"protocol": ""}]}, {"ports": [{"protocol": "TCP"}]}),
        (
            {"livenessProbe": {"grpc": {"port": 1}, "periodSeconds": 0, "timeoutSeconds": 5}},
            {
                "livenessProbe": {
                    "grpc": {"port": 1, "service": ""},
                    "periodSeconds": 10,
                    "timeoutSeconds": 5,
                    "successThreshold": 1,
                    "failureThreshold": 3,
                }
            },
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]},
            {
                "env": [
                    {
                        "name": "a",
                        "valueFrom": {
                            "resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}
                        },
                    }
                ]
            },
        ),
        ({"resources": {"limits": {"cpu": "0.0001"}}}, {"resources": {"limits": {"cpu": "1m"}}}),
    ],
)
def test_what_is_empty_in_a_container_counts_as_open(given, expected):
    spec = {"containers": [{**CONTAINER, **given}]}
    defaults_pod.pod_spec(spec)
    container = spec["containers"][0]
    assert {key: container[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"emptyDir": {}}),
        ({"secret": {"secretName": "a"}}, {"secret": {"secretName": "a", "defaultMode": 420}}),
        ({"projected": {}}, {"projected": {"defaultMode": 420}}),
        ({"hostPath": {"path": "/a"}}, {"hostPath": {"path": "/a", "type": ""}}),
        ({"emptyDir": {"sizeLimit": "1024Ki"}}, {"emptyDir": {"sizeLimit": "1Mi"}}),
        (
            {"image": {"reference": "a"}},
            {"image": {"reference": "a", "pullPolicy": "Always"}},
        ),
        (
            {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            {"ephemeral": {"volumeClaimTemplate": {"spec": {"volumeMode": "Filesystem"}}}},
        ),
        (
            {"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            {
                "downwardAPI": {
                    "defaultMode": 420,
                    "items": [
                        {
                            "path": "a",
                            "fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"},
                        }
                    ],
                }
            },
        ),
    ],
)
def test_volumes_are_completed(given, expected):
    spec = {"containers": [], "volumes": [{"name": "v", **given}]}
    defaults_pod.pod_spec(spec)
    assert spec["volumes"] == [{"name": "v", **expected}]


def test_ports_of_the_host_are_those_of_containers_in_pods_but_not_in_templates():
    spec = {"hostNetwork": True, "containers": [{**CONTAINER, "ports": [{"containerPort": 80}]}]}
    template = copy.deepcopy(spec)
    defaults_pod.pod_spec(template)
    assert "hostPort" not in template["containers"][0]["ports"][0]
    defaults.pod({"spec": spec})
    assert spec["containers"][0]["ports"][0]["hostPort"] == 80


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}),
        (
            {"clusterIP": "None", "selector": None},
            {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]},
        ),
        ({"externalIPs": ["192.0.2.1"]}, {"externalTrafficPolicy": "Cluster"}),
        ({"type": "LoadBalancer"}, {"allocateLoadBalancerNodePorts": True}),
        (
            {"sessionAffinity": "ClientIP"},
            {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}},
        ),
    ],
)
def test_services_are_completed(given, expected):
    made = service(**given)
    defaults.service(made)
    assert {key: made["spec"].get(key) for key in expected} == expected


def test_a_service_without_affinity_has_no_configuration_of_it():
    made = service(sessionAffinityConfig={"clientIP": {"timeoutSeconds": 5}})
    defaults.service(made)
    assert "sessionAffinityConfig" not in made["spec"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"completions": 1, "parallelism": 1, "backoffLimit": 6}),
        ({"parallelism": 3}, {"parallelism": 3, "completions": None}),
        ({"completions": 3}, {"parallelism": 1, "completions": 3}),
        ({"backoffLimitPerIndex": 1}, {"backoffLimit": 2**31 - 1}),
        ({"podFailurePolicy": {"rules": []}}, {"podReplacementPolicy": "Failed"}),
    ],
)
def test_a_job_without_counts_runs_one_pod_once(spec, expected):
    defaults_workloads.job_spec(spec)
    assert {key: spec.get(key) for key in expected} == expected


def test_a_stateful_set_that_updates_on_deletion_has_no_partition():
    made = {"spec": {"updateStrategy": {"type": "OnDelete"}}}
    defaults_workloads.stateful_set(made)
    assert made["spec"]["updateStrategy"] == {"type": "OnDelete"}
