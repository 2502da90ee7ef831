"""What is wrong with Pods, in the words of Kubernetes."""

from __future__ import annotations

import uuid

import pytest

from tests.api.conftest import Wire, refused

IMAGE = {"name": "main", "image": "example.com/main:1"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def pod(container: dict | None = None, **spec: object) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": {"containers": [{**IMAGE, **(container or {})}], **spec},
    }


def node_affinity(**requirement: object) -> dict:
    terms = [{"matchExpressions": [requirement]}]
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}


IN_CONTAINERS = [
    ({"image": ""}, "spec.containers[0].image: Required value"),
    ({"image": " a"}, "must not have leading or trailing whitespace"),
    ({"terminationMessagePolicy": "Odd"}, "spec.containers[0].terminationMessagePolicy: Unsupp"),
    ({"lifecycle": {"preStop": {}}}, "lifecycle.preStop: Required value: must specify a handler"),
    ({"lifecycle": {"preStop": {"exec": {}}}}, "lifecycle.preStop.exec.command: Required value"),
    ({"livenessProbe": {"periodSeconds": 1}}, "livenessProbe: Required value: must spec"),
    ({"livenessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}},
     "livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"),
    ({"livenessProbe": {"tcpSocket": {"port": 0}}}, "must be between 1 and 65535, inclusive"),
    ({"envFrom": [{"prefix": "A_"}]}, "must specify one of: `configMapRef` or `secretRef`"),
    ({"envFrom": [{"secretRef": {}}]}, "envFrom[0].secretRef.name: Required value"),
    ({"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]},
     "may not be specified when `value` is not empty"),
    ({"volumeMounts": [{"name": "none", "mountPath": "/a"}]}, 'name: Not found: "none"'),
    ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
     "must be less than or equal to cpu limit"),
    ({"securityContext": {"privileged": True, "allowPrivilegeEscalation": False}},
     "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"),
    ({"ports": [{"containerPort": 80, "name": "Web!"}]}, "must contain only alpha-numeric"),
]  # fmt: skip

IN_SPECS = [
    ({"affinity": node_affinity(key="a", operator="In")},
     "must be specified when `operator` is 'In' or 'NotIn'"),
    ({"affinity": node_affinity(key="a", operator="Gt", values=["1", "2"])},
     "must be specified single value when `operator` is 'Lt' or 'Gt'"),
    ({"affinity": node_affinity(key="a", operator="Like")}, "not a valid selector operator"),
    ({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": []}}}},
     "must have at least one node selector term"),
    ({"affinity": {"nodeAffinity": {PREFERRED: [{"weight": 0, "preference": {}}]}}},
     "must be in the range 1-100"),
    ({"affinity": {"podAntiAffinity": {REQUIRED: [{"labelSelector": {}}]}}},
     f"podAntiAffinity.{REQUIRED}[0].topologyKey: Required value: can not be empty"),
    ({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "a"}]},
     "spec.topologySpreadConstraints[0].whenUnsatisfiable: "),
    ({"dnsPolicy": "None"}, "when `dnsPolicy` is None"),
    ({"hostAliases": [{"ip": "nowhere", "hostnames": ["a"]}]}, "spec.hostAliases[0].ip: Invalid"),
    ({"restartPolicy": "Sometimes"}, "spec.restartPolicy: Unsupported value: \"Sometimes\""),
    ({"tolerations": [{"operator": "Exists", "value": "a", "key": "b"}]},
     "value must be empty when `operator` is 'Exists'"),
    ({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]},
     "may not specify more than 1 volume type"),
    ({"volumes": [{"name": "v", "secret": {}}]}, "spec.volumes[0].secret.secretName: Required"),
    ({"activeDeadlineSeconds": 0}, "must be between 1 and 2147483647, inclusive"),
    ({"initContainers": [{"name": "main", "image": "a"}]}, "Duplicate value: \"main\""),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), IN_CONTAINERS, ids=lambda value: str(value)[:50])
def test_a_container_that_could_not_run_is_refused(wire: Wire, ns: str, change: dict, words: str):
    refused(wire.post(f"{ns}/pods", pod(change), dryRun="All"), 422, "Invalid", words)


@pytest.mark.parametrize(("change", "words"), IN_SPECS, ids=lambda value: str(value)[:50])
def test_a_pod_that_could_not_run_is_refused(wire: Wire, ns: str, change: dict, words: str):
    refused(wire.post(f"{ns}/pods", pod(**change), dryRun="All"), 422, "Invalid", words)


def test_a_pod_without_a_spec_lacks_containers(wire: Wire, ns: str):
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}}
    refused(wire.post(f"{ns}/pods", body), 422, "Invalid", "spec.containers: Required value")


def test_a_pod_may_come_right_after_its_namespace(wire: Wire):
    name = f"test-{uuid.uuid4().hex[:8]}"
    wire.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    body = {**pod(), "metadata": {"name": "early"}}
    made = wire.ok("POST", f"/api/v1/namespaces/{name}/pods", body, dryRun="All")
    assert made["spec"]["serviceAccountName"] == "default"
    wire.delete(f"/api/v1/namespaces/{name}")
