"""What one metric asks for, in Kubernetes' words: names, statuses and nested errors."""

from fractions import Fraction

import pytest

from labkit.controllers.podautoscaler.metrics import MetricError, PodMetric
from labkit.controllers.podautoscaler.proposal import (
    build_quantity,
    label_selector_words,
    propose,
)
from labkit.controllers.podautoscaler.replica_calculator import Tolerances, Workload
from labkit.kube import times
from labkit.kube.quantity import format_quantity, milli_value
from tests.controllers.podautoscaler import hpa_vectors as vectors
from tests.controllers.podautoscaler.hpa_vectors import NOW, SETTINGS

STAMP = times.rfc3339(NOW - 3600)
POD = {
    "metadata": {"name": "web-0"},
    "spec": {
        "containers": [
            {"name": "web", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}},
        ]
    },
    "status": {
        "phase": "Running",
        "startTime": STAMP,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": STAMP}],
    },
}
WORKLOAD = Workload(1, 1, [POD], Tolerances(0.1, 0.1), SETTINGS, NOW)
UNREACHABLE = MetricError("unable to fetch metrics from somewhere: no route")
SELECTOR = {"matchLabels": {"queue": "work", "app": "web"}}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def usage(milli: int) -> dict[str, PodMetric]:
    return {"web-0": PodMetric(milli, NOW, 30.0)}


def resource(name: str = "cpu", **target) -> dict:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def container(**target) -> dict:
    part = {"name": "cpu", "container": "web", "target": target}
    return {"type": "ContainerResource", "containerResource": part}


def pods(**target) -> dict:
    return {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": target}}


def described(**target) -> dict:
    part = {"metric": {"name": "qps"}, "describedObject": DEPLOYMENT, "target": target}
    return {"type": "Object", "object": part}


def external(**target) -> dict:
    part = {"metric": {"name": "jobs", "selector": SELECTOR}, "target": target}
    return {"type": "External", "external": part}


JOBS = (
    "external metric jobs(&LabelSelector{MatchLabels:map[string]string{app: web,queue: work,},"
    "MatchExpressions:[]LabelSelectorRequirement{},})"
)


@pytest.mark.parametrize(
    ("spec", "sample", "replicas", "metric", "current"),
    [
        pytest.param(
            resource(type="Utilization", averageUtilization=50),
            usage(171),
            4,
            "cpu resource utilization (percentage of request)",
            {"averageValue": "171m", "averageUtilization": 171},
            id="resource utilization",
        ),
        pytest.param(
            resource("memory", type="AverageValue", averageValue="32Mi"),
            usage(milli_value("48Mi")),
            2,
            "memory resource",
            {"averageValue": "48Mi"},
            id="resource value",
        ),
        pytest.param(
            container(type="Utilization", averageUtilization=50),
            usage(60),
            2,
            "cpu container resource utilization (percentage of request)",
            {"averageValue": "60m", "averageUtilization": 60},
            id="container resource",
        ),
        pytest.param(
            pods(type="AverageValue", averageValue="10"),
            usage(25_000),
            3,
            "pods metric qps",
            {"averageValue": "25"},
            id="pods",
        ),
        pytest.param(
            described(type="Value", value="10"),
            25_000,
            3,
            "Deployment metric qps",
            {"value": "25"},
            id="object value",
        ),
        pytest.param(
            described(type="AverageValue", averageValue="10"),
            25_000,
            3,
            "external metric qps(nil)",
            {"averageValue": "25"},
            id="object average",
        ),
        pytest.param(
            external(type="Value", value="10"), [15_000, 10_000], 3, JOBS, {"value": "25"},
            id="external value",
        ),
        pytest.param(
            external(type="AverageValue", averageValue="10"), [25_000], 3, JOBS,
            {"averageValue": "25"},
            id="external average",
        ),
    ],
)  # fmt: skip
def test_a_metric_proposes_a_count_under_its_name(spec, sample, replicas, metric, current):
    found = propose(spec, WORKLOAD, sample, "shop")
    assert (found.replicas, found.metric, found.error) == (replicas, metric, "")
    (part,) = [value for key, value in found.status.items() if key != "type"]
    (asked,) = [value for key, value in spec.items() if key != "type"]
    assert found.status["type"] == spec["type"]
    assert part["current"] == current
    named = {key: value for key, value in asked.items() if key != "target"}
    assert {key: value for key, value in part.items() if key != "current"} == named


@pytest.mark.parametrize(
    ("spec", "reason", "error"),
    [
        pytest.param(
            resource(type="Utilization", averageUtilization=50),
            "FailedGetResourceMetric",
            "failed to get cpu resource metric value: failed to get cpu utilization: "
            "unable to get metrics for resource cpu: ",
            id="resource utilization",
        ),
        pytest.param(
            resource(type="AverageValue", averageValue="1"),
            "FailedGetResourceMetric",
            "failed to get cpu resource metric value: failed to get cpu usage: "
            "unable to get metrics for resource cpu: ",
            id="resource value",
        ),
        pytest.param(
            container(type="Utilization", averageUtilization=50),
            "FailedGetContainerResourceMetric",
            "failed to get web container metric value: failed to get cpu utilization: "
            "unable to get metrics for resource cpu: ",
            id="container resource",
        ),
        pytest.param(
            pods(type="AverageValue", averageValue="1"),
            "FailedGetPodsMetric",
            "failed to get pods metric value: unable to get metric qps: ",
            id="pods",
        ),
        pytest.param(
            described(type="Value", value="1"),
            "FailedGetObjectMetric",
            "failed to get object metric value: unable to get metric qps on Deployment shop/web: ",
            id="object value",
        ),
        pytest.param(
            described(type="AverageValue", averageValue="1"),
            "FailedGetObjectMetric",
            "failed to get object metric value: failed to get qps object metric: "
            "unable to get metric qps on Deployment shop/web: ",
            id="object average",
        ),
        pytest.param(
            external(type="Value", value="1"),
            "FailedGetExternalMetric",
            "failed to get jobs external metric value: failed to get external metric jobs: "
            f"unable to get external metric shop/jobs/{label_selector_words(SELECTOR)}: ",
            id="external value",
        ),
        pytest.param(
            external(type="AverageValue", averageValue="1"),
            "FailedGetExternalMetric",
            "failed to get jobs external metric value: failed to get jobs external metric: "
            f"unable to get external metric shop/jobs/{label_selector_words(SELECTOR)}: ",
            id="external average",
        ),
    ],
)
def test_a_metric_that_cannot_be_had_says_on_which_way_it_failed(spec, reason, error):
    found = propose(spec, WORKLOAD, UNREACHABLE, "shop")
    assert (found.replicas, found.reason) == (None, reason)
    assert found.error == f"{error}{UNREACHABLE}"
    # The event and the condition leave out the outermost words.
    assert found.error.endswith(f": {found.cause}")
    assert found.status == {"type": ""}


@pytest.mark.parametrize("spec", [resource(), container(), pods(), described(), external()])
def test_a_metric_without_a_target_is_refused(spec):
    found = propose(spec, WORKLOAD, {}, "shop")
    assert found.cause.startswith("invalid ")
    assert found.replicas is None


def test_a_metric_of_an_unknown_type_is_refused_by_that_name():
    found = propose({"type": "CheddarCheese"}, WORKLOAD, {}, "shop")
    assert found.reason == "InvalidMetricSourceType"
    assert found.error == 'unknown metric source type "CheddarCheese"'


def test_a_label_selector_is_written_as_go_prints_it():
    need = {"key": "tier", "operator": "In", "values": ["a", "b"]}
    assert label_selector_words({"matchExpressions": [need]}) == (
        "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:"
        "[]LabelSelectorRequirement{LabelSelectorRequirement"
        "{Key:tier,Operator:In,Values:[a b],},},}"
    )


@vectors.cases("fn_buildQuantity")
def test_a_usage_is_written_as_metrics_server_writes_its_resource(case):
    text, expected = build_quantity(case["resource"], case["rawMilli"]), case["expected"]
    assert milli_value(text) == expected["milli"]
    number = Fraction(expected["milli"], 1000)
    assert text == format_quantity(number, expected["format"])
