"""Defaults: what the server writes into objects that leave it open."""

import pytest

from labkit.apiserver import defaults, defaults_pod
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
