"""HorizontalPodAutoscalers from version to version: nothing is lost, nonsense does no harm."""

import json

import pytest

from labkit.apiserver.convert_autoscaling import to_v1, to_v2

PREFIX = "autoscaling.alpha.kubernetes.io/"
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}
SERVICE = {"apiVersion": "v1", "kind": "Service", "name": "web"}
# v2's metric and, in the annotation, v1's.
METRICS = {
    "memory": (
        {"type": "Resource", "resource": {
            "name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
        {"name": "memory", "targetAverageValue": "1Gi"},
    ),
    "one container's cpu": (
        {"type": "ContainerResource", "containerResource": {
            "name": "cpu", "container": "app",
            "target": {"type": "Utilization", "averageUtilization": 30}}},
        {"name": "cpu", "container": "app", "targetAverageUtilization": 30},
    ),
    "of pods": (
        {"type": "Pods", "pods": {
            "metric": {"name": "rps", "selector": {"matchLabels": {"a": "b"}}},
            "target": {"type": "AverageValue", "averageValue": "10"}}},
        {"metricName": "rps", "selector": {"matchLabels": {"a": "b"}}, "targetAverageValue": "10"},
    ),
    "of an object": (
        {"type": "Object", "object": {
            "describedObject": SERVICE, "metric": {"name": "rps"},
            "target": {"type": "Value", "value": "10"}}},
        {"target": SERVICE, "metricName": "rps", "targetValue": "10"},
    ),
    "of an object, shared": (
        {"type": "Object", "object": {
            "describedObject": SERVICE, "metric": {"name": "rps"},
            "target": {"type": "AverageValue", "averageValue": "10"}}},
        {"target": SERVICE, "metricName": "rps", "targetValue": "0", "averageValue": "10"},
    ),
    "from outside": (
        {"type": "External", "external": {
            "metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}},
            "target": {"type": "AverageValue", "averageValue": "30"}}},
        {"metricName": "queue", "metricSelector": {"matchLabels": {"a": "b"}},
         "targetAverageValue": "30"},
    ),
}  # fmt: skip


def hpa(metrics=(), *, status=None, annotations=None, **spec) -> dict:
    metadata = {"name": "web", **({"annotations": annotations} if annotations else {})}
    spec = {"maxReplicas": 10, **({"metrics": list(metrics)} if metrics else {}), **spec}
    return {"kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec,
            "status": status or {}, "apiVersion": "autoscaling/v2"}  # fmt: skip


def annotation(obj: dict, name: str) -> object:
    return json.loads(obj["metadata"]["annotations"][PREFIX + name])


def test_cpu_has_a_field_of_its_own_in_v1():
    made = to_v1(hpa([CPU]))
    assert made["spec"] == {"maxReplicas": 10, "targetCPUUtilizationPercentage": 50}
    assert "annotations" not in made["metadata"]
    assert to_v2(made) == hpa([CPU])


@pytest.mark.parametrize("name", METRICS)
def test_all_other_metrics_are_in_an_annotation(name):
    metric, old = METRICS[name]
    made = to_v1(hpa([CPU, metric], annotations={"mine": "1"}))
    kind = metric["type"]
    field = kind[0].lower() + kind[1:]
    assert annotation(made, "metrics") == [{"type": kind, field: old}]
    assert made["spec"]["targetCPUUtilizationPercentage"] == 50
    back = to_v2(made)
    assert back["spec"]["metrics"] == [metric, CPU]  # as upstream: CPU comes last
    assert back["metadata"]["annotations"] == {"mine": "1"}


def test_behavior_is_written_with_the_names_of_gos_fields():
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60, "policies": [
        {"type": "Pods", "value": 1, "periodSeconds": 15}]}}  # fmt: skip
    made = to_v1(hpa([CPU], behavior=behavior))
    assert annotation(made, "behavior") == {"ScaleDown": {
        "StabilizationWindowSeconds": 60,
        "Policies": [{"Type": "Pods", "Value": 1, "PeriodSeconds": 15}]}}  # fmt: skip
    assert to_v2(made)["spec"]["behavior"] == behavior


def test_the_status_keeps_raw_values_and_conditions():
    current = {"type": "Resource", "resource": {
        "name": "cpu", "current": {"averageUtilization": 40, "averageValue": "400m"}}}  # fmt: skip
    condition = {"type": "AbleToScale", "status": "True", "reason": "Ready", "message": "ok"}
    status = {"desiredReplicas": 2, "currentMetrics": [current], "conditions": [condition]}
    made = to_v1(hpa([CPU], status=status))
    assert made["status"] == {"desiredReplicas": 2, "currentCPUUtilizationPercentage": 40}
    assert annotation(made, "current-metrics")[0]["resource"] == {
        "name": "cpu", "currentAverageUtilization": 40, "currentAverageValue": "400m"}  # fmt: skip
    assert to_v2(made)["status"] == status


@pytest.mark.parametrize(
    "text", ["", "{", "1", '"a"', "[1]", "[[]]", '[{"type": 1}]', '[{"type": 1, "pods": 1}]']
)
@pytest.mark.parametrize("name", ["metrics", "current-metrics", "conditions", "behavior"])
def test_nonsense_in_an_annotation_says_nothing(name, text):
    made = to_v2(hpa(annotations={PREFIX + name: text}))
    assert "annotations" not in made["metadata"]
    assert "behavior" not in made["spec"]
    assert made["status"] == {}
