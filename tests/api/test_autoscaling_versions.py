"""HorizontalPodAutoscalers are one thing in two versions: what one cannot say, annotations keep."""

from __future__ import annotations

import json

import pytest

from tests.api.conftest import MERGE, Wire, refused

PREFIX = "autoscaling.alpha.kubernetes.io/"
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}


def cpu(percent: int) -> dict:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
}
BEHAVIOR = {
    "scaleDown": {
        "stabilizationWindowSeconds": 60,
        "selectPolicy": "Min",
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}],
    }
}


class Both:
    """The same HorizontalPodAutoscaler as v1 and as v2."""

    def __init__(self, wire: Wire, in_group) -> None:
        self.wire = wire
        self.v1, self.v2 = (
            f"{in_group(f'autoscaling/{version}')}/horizontalpodautoscalers"
            for version in ("v1", "v2")
        )

    def create(self, version: str, **spec: object) -> dict:
        body = {
            "apiVersion": f"autoscaling/{version}",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "annotations": {"mine": "1"}},
            "spec": {"scaleTargetRef": TARGET, "maxReplicas": 5, **spec},
        }
        return self.wire.ok("POST", getattr(self, version), body)

    def get(self, version: str) -> dict:
        return self.wire.ok("GET", f"{getattr(self, version)}/web")

    def change(self, version: str, patch: dict, subresource: str = "") -> dict:
        path = f"{getattr(self, version)}/web{subresource}"
        return self.wire.ok("PATCH", path, patch, type=MERGE)


@pytest.fixture
def both(wire: Wire, in_group) -> Both:
    return Both(wire, in_group)


def annotation(obj: dict, name: str) -> object:
    return json.loads(obj["metadata"]["annotations"][PREFIX + name])


def test_a_percentage_of_cpu_in_v1_is_a_metric_in_v2(both: Both):
    made = both.create("v1", targetCPUUtilizationPercentage=50)
    assert made["apiVersion"] == "autoscaling/v1"
    assert made["spec"]["minReplicas"] == 1
    found = both.get("v2")
    assert found["apiVersion"] == "autoscaling/v2"
    assert found["spec"]["metrics"] == [cpu(50)]
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


def test_without_a_metric_both_versions_aim_at_80_percent_of_cpu(both: Both):
    assert both.create("v1")["spec"]["targetCPUUtilizationPercentage"] == 80
    assert both.get("v2")["spec"]["metrics"] == [cpu(80)]


def test_v1_shows_other_metrics_and_the_behavior_as_annotations(both: Both):
    both.create("v2", metrics=[cpu(50), MEMORY], behavior=BEHAVIOR)
    found = both.get("v1")
    assert found["spec"]["targetCPUUtilizationPercentage"] == 50
    assert annotation(found, "metrics") == [
        {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}
    ]
    down = annotation(found, "behavior")["ScaleDown"]
    assert (down["StabilizationWindowSeconds"], down["SelectPolicy"]) == (60, "Min")
    assert down["Policies"] == [{"Type": "Pods", "Value": 2, "PeriodSeconds": 30}]
    assert found["metadata"]["annotations"]["mine"] == "1"


def test_a_write_through_v1_loses_nothing_of_v2(both: Both):
    both.create("v2", metrics=[MEMORY, cpu(50)], behavior=BEHAVIOR)
    changed = both.get("v1")
    del changed["metadata"]["resourceVersion"]  # its controller writes too
    changed["spec"] |= {"maxReplicas": 7, "targetCPUUtilizationPercentage": 60}
    both.wire.ok("PUT", f"{both.v1}/web", changed)
    found = both.get("v2")
    assert found["spec"]["maxReplicas"] == 7
    assert found["spec"]["metrics"] == [MEMORY, cpu(60)]
    for name, value in BEHAVIOR["scaleDown"].items():
        assert found["spec"]["behavior"]["scaleDown"][name] == value
    kept = found["metadata"]["annotations"]  # its controller may have added some
    assert kept["mine"] == "1"
    assert not [name for name in kept if name.startswith(PREFIX)]


def test_metrics_can_be_written_as_annotations_of_v1(both: Both):
    both.create("v1", targetCPUUtilizationPercentage=50)
    pods = {"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "10"}}
    change = {"metadata": {"annotations": {PREFIX + "metrics": json.dumps([pods])}}}
    both.change("v1", change)
    target = {"type": "AverageValue", "averageValue": "10"}
    metric = {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": target}}
    assert both.get("v2")["spec"]["metrics"] == [metric, cpu(50)]


def test_the_defaults_of_behavior_are_filled_in(both: Both):
    both.create("v2", behavior={"scaleUp": {"stabilizationWindowSeconds": 5}})
    behavior = both.get("v2")["spec"]["behavior"]
    assert behavior["scaleUp"] == {
        "stabilizationWindowSeconds": 5,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    }
    assert behavior["scaleDown"] == {
        "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }


def test_rules_are_the_same_in_both_versions(both: Both):
    both.create("v2", metrics=[cpu(50)])
    path, change = f"{both.v1}/web", {"spec": {"minReplicas": 9}}
    why = "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"
    refused(both.wire.patch(path, change), 422, "Invalid", why)
    change = {"spec": {"metrics": [{"type": "Pods"}]}}
    why = "must populate information for the given metric source"
    refused(both.wire.patch(f"{both.v2}/web", change), 422, "Invalid", why)


def test_a_watch_of_v1_tells_of_writes_through_v2(both: Both):
    version = both.create("v2", metrics=[MEMORY])["metadata"]["resourceVersion"]
    both.change("v2", {"spec": {"maxReplicas": 6}})
    with both.wire.watch(both.v1, resourceVersion=version) as events:
        event = next(one for one in events if one["object"]["spec"]["maxReplicas"] == 6)
    assert event["object"]["apiVersion"] == "autoscaling/v1"
    assert annotation(event["object"], "metrics")
