"""The shape of metrics.k8s.io/v1beta1, as kubectl and the autoscaler read it."""

import pytest

from labkit.client import ApiError
from labkit.metrics.exposition import Batch, Point
from labkit.metrics.resource_api import ResourceMetrics, amounts, duration
from labkit.metrics.storage import Storage, Usage

ROOT = "/apis/metrics.k8s.io/v1beta1"
NOW = "2026-01-31T09:30:00Z"
T = 1_700_000_000_000


def pod(namespace, name, phase="Running", **labels):
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": meta, "spec": {}, "status": {"phase": phase}}


PODS = [
    pod("default", "web-0", app="web"),
    pod("default", "web-1", app="web", canary="yes"),
    pod("default", "new", app="web"),
    pod("default", "done", "Succeeded", app="job"),
    pod("kube-system", "dns", app="dns"),
]


@pytest.fixture
def api():
    storage = Storage(15)
    measured = [("default", "web-0"), ("default", "web-1"), ("default", "done")]
    measured.append(("kube-system", "dns"))
    for tick in (0, 1):
        at = T + tick * 15_021
        points = {"b": Point(at + 500, tick * 1_853_827_161, 3 << 20)}
        points["a"] = Point(at, tick * 1_502_100_000, 12_345_678)
        storage.store(
            Batch(
                nodes={"lab-worker": Point(at, tick * 30_042_000_000, 1 << 30)},
                pods=dict.fromkeys(measured, points),
            )
        )
    known = {f"{each['metadata']['namespace']}/{each['metadata']['name']}": each for each in PODS}
    nodes = {
        name: {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}
        for name in ("lab-worker", "lab-worker2")
    }
    return ResourceMetrics(storage, known, nodes)


def names(answer):
    return [item["metadata"]["name"] for item in answer["items"]]


def test_metrics_of_a_pod(api):
    assert api.answer(f"{ROOT}/namespaces/default/pods/web-0", {}, NOW) == {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": "web-0",
            "namespace": "default",
            "creationTimestamp": NOW,
            "labels": {"app": "web"},
        },
        "timestamp": "2023-11-14T22:13:35Z",
        "window": "15.021s",
        "containers": [
            {"name": "a", "usage": {"cpu": "100m", "memory": "12345678"}},
            {"name": "b", "usage": {"cpu": "123415695n", "memory": "3Mi"}},
        ],
    }


def test_metrics_of_a_node(api):
    assert api.answer(f"{ROOT}/nodes/lab-worker", {}, NOW) == {
        "kind": "NodeMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": "lab-worker",
            "creationTimestamp": NOW,
            "labels": {"kubernetes.io/hostname": "lab-worker"},
        },
        "timestamp": "2023-11-14T22:13:35Z",
        "window": "15.021s",
        "usage": {"cpu": "2", "memory": "1Gi"},
    }


def test_lists_hold_what_has_been_measured_and_runs(api):
    everywhere = api.answer(f"{ROOT}/pods", {}, NOW)
    assert everywhere["kind"] == "PodMetricsList"
    assert names(everywhere) == ["web-0", "web-1", "dns"]
    assert names(api.answer(f"{ROOT}/namespaces/default/pods", {}, NOW)) == ["web-0", "web-1"]
    assert names(api.answer(f"{ROOT}/namespaces/def/pods", {}, NOW)) == []
    nodes = api.answer(f"{ROOT}/nodes", {}, NOW)
    assert (nodes["kind"], names(nodes)) == ("NodeMetricsList", ["lab-worker"])


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"labelSelector": "app=web"}, ["web-0", "web-1"]),
        ({"labelSelector": "app in (web),!canary"}, ["web-0"]),
        ({"labelSelector": "app=nothing"}, []),
        ({"fieldSelector": "metadata.name=web-1"}, ["web-1"]),
    ],
)
def test_lists_are_narrowed_by_selectors(api, params, expected):
    assert names(api.answer(f"{ROOT}/namespaces/default/pods", params, NOW)) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("namespaces/default/pods/gone", 'pods "default/gone" not found'),
        (
            "namespaces/default/pods/new",
            'podmetrics.metrics.k8s.io "default/new" not found',
        ),
        (
            "namespaces/default/pods/done",
            'podmetrics.metrics.k8s.io "default/done" not found',
        ),
        ("nodes/gone", 'nodes "gone" not found'),
        ("nodes/lab-worker2", 'nodemetrics.metrics.k8s.io "lab-worker2" not found'),
        ("services", "the server could not find the requested resource"),
        ("namespaces/default/nodes", "the server could not find the requested resource"),
    ],
)
def test_what_is_not_there_is_a_404(api, path, message):
    with pytest.raises(ApiError) as caught:
        api.answer(f"{ROOT}/{path}", {}, NOW)
    assert caught.value.not_found
    assert str(caught.value) == message


def test_bad_requests_are_refused(api):
    with pytest.raises(ApiError) as caught:
        api.answer(f"{ROOT}/pods", {"labelSelector": "a=(b"}, NOW)
    assert caught.value.code == 400


def test_the_group_says_what_it_serves(api):
    found = api.answer(ROOT, {}, NOW)
    assert found["groupVersion"] == "metrics.k8s.io/v1beta1"
    assert [(each["name"], each["kind"], each["namespaced"]) for each in found["resources"]] == [
        ("nodes", "NodeMetrics", False),
        ("pods", "PodMetrics", True),
    ]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (500, "500ms"),
        (2000, "2s"),
        (15021, "15.021s"),
        (60000, "1m0s"),
        (75500, "1m15.5s"),
        (3600000, "1h0m0s"),
    ],
)
def test_windows_are_spelled_as_go_spells_durations(milliseconds, text):
    assert duration(milliseconds) == text


def test_quantities_are_canonical():
    assert amounts(Usage(0, 0, 0, 0)) == {"cpu": "0", "memory": "0"}
    assert amounts(Usage(1, 1024, 0, 0)) == {"cpu": "1n", "memory": "1Ki"}
