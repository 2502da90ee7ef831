"""Autoscaling by every type of metric, each measured on real requests."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster.conftest import Kubectl, until

RATE = {"name": "http_requests_per_second"}
WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def deployment() -> dict:
    container = {
        "name": "web",
        "image": "todolist",
        "ports": [{"containerPort": 3001}],
        "env": [{"name": "REQUEST_CPU_MS", "value": "10"}],
        "resources": {"requests": {"cpu": "100m"}},
    }
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": "3001"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": notes},
                "spec": {"containers": [container]},
            },
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 3001}]},
}


def autoscaler(metric: dict) -> dict:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": WEB, "maxReplicas": 3, "metrics": [metric]},
    }


def average(value: str) -> dict:
    return {"type": "AverageValue", "averageValue": value}


METRICS = {
    "Resource": {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 20}},
    },
    "ContainerResource": {
        "type": "ContainerResource",
        "containerResource": {"name": "cpu", "container": "web", "target": average("20m")},
    },
    "Pods": {"type": "Pods", "pods": {"metric": RATE, "target": average("2")}},
    "Object": {
        "type": "Object",
        "object": {
            "metric": RATE,
            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"},
            "target": {"type": "Value", "value": "2"},
        },
    },
    "External": {
        "type": "External",
        "external": {
            "metric": {**RATE, "selector": {"matchLabels": {"method": "GET"}}},
            "target": average("2"),
        },
    },
}


@pytest.fixture(scope="module")
def load(k: Kubectl) -> Iterator[None]:
    """About ten requests a second, through the Service."""
    k("apply", "-f", "-", input=yaml.safe_dump_all([deployment(), SERVICE]))
    k("rollout", "status", "deployment/web", "--timeout=60s")
    port = k("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
    enough = threading.Event()

    def ask() -> None:
        while not enough.wait(0.1):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/rule", timeout=5) as one:
                    one.read()
            except (OSError, urllib.error.URLError):
                pass  # a Pod that is being removed

    asking = threading.Thread(target=ask)
    asking.start()
    yield
    enough.set()
    asking.join()


@pytest.mark.parametrize("type", METRICS)
def test_load_scales_out_by_a_metric_of_each_type(k: Kubectl, load: None, type: str):
    k("scale", "deployment/web", "--replicas=1")
    k("rollout", "status", "deployment/web", "--timeout=60s")
    k("apply", "-f", "-", input=yaml.safe_dump(autoscaler(METRICS[type])))
    try:
        until(
            lambda: k.json("get", "deployment", "web")["status"].get("readyReplicas") == 3,
            60,
            f"3 replicas by a metric of type {type}: {k('describe', 'hpa', 'web')}",
        )
        current = k.json("get", "hpa", "web")["status"]["currentMetrics"]
        assert [one["type"] for one in current] == [type]
    finally:
        k("delete", "hpa", "web")


def test_the_metrics_can_be_read_with_kubectl(k: Kubectl, load: None):
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/http_requests_per_second"
    assert '"kind":"MetricValueList"' in k("get", "--raw", path)
    assert "v1beta2.custom.metrics.k8s.io" in k("get", "apiservices")
