"""Classes that objects name, or get named: of priority, storage, ingress and runtime."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.api.conftest import MERGE, Wire, refused

SCHEDULING, STORAGE = "/apis/scheduling.k8s.io/v1", "/apis/storage.k8s.io/v1"
NETWORKING, NODE = "/apis/networking.k8s.io/v1", "/apis/node.k8s.io/v1"
# On no node, so that Pods stay as they were made.
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "pod"},
    "spec": {
        "containers": [{"name": "main", "image": "example.com/main:1"}],
        "nodeSelector": {"example.com/nowhere": "true"},
    },
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "claim"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}

Make = Callable[..., str]


@pytest.fixture
def make(wire: Wire) -> Iterator[Make]:
    """Creates a class with a name of its own, for as long as the test runs; its name."""
    made: list[str] = []

    def make_one(group: str, kind: str, plural: str, *, annotations=None, **fields) -> str:
        name = f"test-{uuid.uuid4().hex[:8]}"
        metadata = {"name": name, "annotations": annotations or {}}
        version = group.removeprefix("/apis/")
        body = {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}
        wire.ok("POST", f"{group}/{plural}", body)
        made.append(f"{group}/{plural}/{name}")
        return name

    yield make_one
    for path in made:
        wire.delete(path)


def pod(**spec: object) -> dict:
    return {**POD, "spec": {**POD["spec"], **spec}}


def test_a_cluster_has_the_two_priorities_of_the_system(wire: Wire):
    for name, value in (
        ("system-node-critical", 2000001000),
        ("system-cluster-critical", 2000000000),
    ):
        found = wire.ok("GET", f"{SCHEDULING}/priorityclasses/{name}")
        assert (found["value"], found["preemptionPolicy"]) == (value, "PreemptLowerPriority")


def test_the_priorities_of_the_system_stay(wire: Wire):
    answer = wire.delete(f"{SCHEDULING}/priorityclasses/system-node-critical", dryRun="All")
    refused(answer, 403, "Forbidden", "this is a system priority class and cannot be deleted")


def test_a_pod_gets_the_priority_of_its_class(wire: Wire, ns: str, make: Make):
    name = make(SCHEDULING, "PriorityClass", "priorityclasses", value=7, preemptionPolicy="Never")
    made = wire.ok("POST", f"{ns}/pods", pod(priorityClassName=name))
    assert (made["spec"]["priority"], made["spec"]["preemptionPolicy"]) == (7, "Never")


def test_a_pod_without_a_class_has_priority_0(wire: Wire, ns: str):
    spec = wire.ok("POST", f"{ns}/pods", POD)["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert "priorityClassName" not in spec


def test_priorities_come_from_classes_alone(wire: Wire, ns: str):
    answer = wire.post(f"{ns}/pods", pod(priority=5))
    why = "the integer value of priority (5) must not be provided in pod spec"
    refused(answer, 403, "Forbidden", why)
    answer = wire.post(f"{ns}/pods", pod(priorityClassName="missing"))
    why = 'pods "pod" is forbidden: no PriorityClass with name missing was found'
    refused(answer, 403, "Forbidden", why)


def test_one_priority_class_is_the_default_at_most(wire: Wire, ns: str, make: Make):
    options = {"value": 3, "globalDefault": True}
    name = make(SCHEDULING, "PriorityClass", "priorityclasses", **options)
    spec = wire.ok("POST", f"{ns}/pods", POD)["spec"]
    assert (spec["priorityClassName"], spec["priority"]) == (name, 3)
    body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", **options}
    answer = wire.post(f"{SCHEDULING}/priorityclasses", {**body, "metadata": {"name": "second"}})
    why = f"PriorityClass {name} is already marked as default. Only one default can exist"
    refused(answer, 403, "Forbidden", why)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("system-mine", 5, "priority class names with 'system-' prefix are reserved"),
        ("too-high", 1_000_000_001, "maximum allowed value of a user defined priority is"),
    ],
)
def test_the_highest_priorities_are_the_systems(wire: Wire, name, value, words):
    body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": value}
    answer = wire.post(f"{SCHEDULING}/priorityclasses", {**body, "metadata": {"name": name}})
    refused(answer, 422, "Invalid", words)


def test_a_claim_gets_the_default_storage_class_if_it_names_none(wire: Wire, ns: str, make: Make):
    mark = {"storageclass.kubernetes.io/is-default-class": "true"}
    provisioner = {"provisioner": "example.com/none"}
    name = make(STORAGE, "StorageClass", "storageclasses", annotations=mark, **provisioner)
    path = f"{ns}/persistentvolumeclaims"
    assert wire.ok("POST", path, CLAIM)["spec"]["storageClassName"] == name
    none = {
        **CLAIM,
        "metadata": {"name": "none"},
        "spec": {**CLAIM["spec"], "storageClassName": ""},
    }
    assert wire.ok("POST", path, none)["spec"]["storageClassName"] == ""


@pytest.mark.parametrize("allowed", [True, False])
def test_a_bound_claim_grows_if_its_class_allows_it(wire: Wire, ns: str, make: Make, allowed):
    fields = {"provisioner": "example.com/none", "allowVolumeExpansion": allowed}
    name = make(STORAGE, "StorageClass", "storageclasses", **fields)
    path = f"{ns}/persistentvolumeclaims"
    wire.ok("POST", path, {**CLAIM, "spec": {**CLAIM["spec"], "storageClassName": name}})
    growth = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    wire.ok("PATCH", f"{path}/claim/status", {"status": {"phase": "Bound"}}, type=MERGE)
    answer = wire.patch(f"{path}/claim", growth)
    if allowed:
        assert answer.json()["spec"]["resources"]["requests"]["storage"] == "2Gi"
    else:
        refused(answer, 403, "Forbidden", "only dynamically provisioned pvc can be resized")


def test_an_ingress_gets_the_default_class_if_it_names_none(wire: Wire, in_group, make: Make):
    mark = {"ingressclass.kubernetes.io/is-default-class": "true"}
    controller = {"spec": {"controller": "example.com/none"}}
    name = make(NETWORKING, "IngressClass", "ingressclasses", annotations=mark, **controller)
    path = f"{in_group('networking.k8s.io/v1')}/ingresses"
    backend = {"service": {"name": "web", "port": {"name": "http"}}}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}
    body |= {"metadata": {"name": "web"}, "spec": {"defaultBackend": backend}}
    assert wire.ok("POST", path, body)["spec"]["ingressClassName"] == name


def test_a_pod_gets_the_overhead_of_its_runtime_class(wire: Wire, ns: str, make: Make):
    fields = {
        "handler": "odd",
        "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"example.com/odd": "true"}},
    }
    name = make(NODE, "RuntimeClass", "runtimeclasses", **fields)
    spec = wire.ok("POST", f"{ns}/pods", pod(runtimeClassName=name))["spec"]
    assert spec["overhead"] == {"cpu": "250m"}
    assert spec["nodeSelector"].keys() == {"example.com/nowhere", "example.com/odd"}
    answer = wire.post(f"{ns}/pods", pod(runtimeClassName="missing"))
    why = 'pod rejected: RuntimeClass "missing" not found'
    refused(answer, 403, "Forbidden", why)
