"""The replica arithmetic against the cases of Kubernetes' replica_calculator_test.go."""

from dataclasses import replace

import pytest

from labkit.controllers.podautoscaler import metrics, replica_calculator
from labkit.controllers.podautoscaler.metrics import MetricError, PodMetric
from labkit.controllers.podautoscaler.pods import calculate_requests, group_pods
from labkit.controllers.podautoscaler.replica_calculator import Tolerances, Workload
from tests.controllers.podautoscaler import hpa_vectors as vectors
from tests.controllers.podautoscaler.hpa_vectors import NOW, SETTINGS


def workload(case: dict) -> Workload:
    tolerances = Tolerances(case["tolerances"]["scaleDown"], case["tolerances"]["scaleUp"])
    count, pods = case["currentReplicas"], [vectors.pod(pod) for pod in case["pods"]]
    return Workload(count, count, pods, tolerances, SETTINGS, NOW)


def resource_metrics(case: dict) -> dict[str, PodMetric]:
    items = [vectors.pod_metrics(item) for item in case["podMetrics"]]
    if not items:
        raise MetricError(
            "unable to get metrics for resource cpu: no metrics returned from resource metrics API"
        )
    if case["container"]:
        return metrics.container_metrics(items, case["resource"], case["container"])
    return metrics.pod_metrics(items, case["resource"])


def calculate(case: dict) -> replica_calculator.Replicas:
    """The function that upstream's test calls for the case's kind of metric."""
    seen, target = workload(case), case.get("targetValueMilli")
    average, levels = case.get("targetAverageValueMilli"), case.get("metricLevelsMilli")
    match case["metricType"]:
        case "resource" | "containerResource" if "targetUtilizationPercent" in case:
            return replica_calculator.get_resource_replicas(
                seen,
                resource_metrics(case),
                case["resource"],
                case["targetUtilizationPercent"],
                case["container"],
            )
        case "resource" | "containerResource":
            return replica_calculator.get_raw_resource_replicas(
                seen, resource_metrics(case), case["resource"], target
            )
        case "pods":
            by_pod = {
                f"test-pod-{number}": PodMetric(level, NOW, 60.0)
                for number, level in enumerate(levels)
            }
            return replica_calculator.get_metric_replicas(seen, by_pod, target or average)
        case "object":
            return replica_calculator.get_object_metric_replicas(seen, levels[0], target)
        case "objectPerPod":
            return replica_calculator.get_object_per_pod_metric_replicas(seen, levels[0], average)
        case "external":
            return replica_calculator.get_external_metric_replicas(seen, levels, target)
    return replica_calculator.get_external_per_pod_metric_replicas(seen, levels, average)


@vectors.cases("replicaCalculator")
def test_replicas_are_those_that_kubernetes_computes(case):
    expected = case["expected"]
    if "errorContains" in expected:
        with pytest.raises(MetricError, match=expected["errorContains"]):
            calculate(case)
        return
    found = calculate(case)
    assert found.replicas == expected["replicas"]
    if "utilizationPercent" in expected:
        assert found.utilization == expected["utilizationPercent"]
    usage = expected.get("rawValueMilli", expected.get("usageMilli"))
    assert usage is None or found.usage == usage
    assert str(found.replicas) in found.words


@vectors.cases("groupPods")
def test_pods_are_grouped_by_what_their_samples_are_worth(case):
    expected, pods = case["expected"], [vectors.pod(pod) for pod in case["pods"]]
    found = group_pods(pods, vectors.samples(case["metrics"]), case["resource"], SETTINGS, NOW)
    assert found.ready == expected["readyPodCount"]
    assert found.unready == set(expected["unready"])
    assert found.missing == set(expected["missing"])
    assert found.ignored == set(expected["ignored"])


@vectors.cases("calculateRequests")
def test_requests_are_summed_over_what_runs_beside_each_other(case):
    pods, expected = [vectors.pod(pod) for pod in case["pods"]], case["expected"]
    arguments = pods, case["container"], case["resource"], case["podLevelResourcesEnabled"]
    if "error" in expected:
        with pytest.raises(MetricError) as refusal:
            calculate_requests(*arguments)
        assert str(refusal.value) == expected["error"]
    else:
        assert calculate_requests(*arguments) == expected["requestsMilli"]


@vectors.cases("utilizationRatios")
def test_ratios_are_taken_from_averages_cut_to_whole_numbers(case):
    expected = case["expected"]
    if case["kind"] == "metricUsageRatio":
        found = metrics.get_metric_usage_ratio(case["metrics"], case["targetUsage"])
        assert found == (expected["ratio"], expected["usage"])
        return
    arguments = case["metrics"], case["requests"], case["targetUtilization"]
    if "errorContains" in expected:
        with pytest.raises(MetricError, match=expected["errorContains"]):
            metrics.get_resource_utilization_ratio(*arguments)
        return
    found = metrics.get_resource_utilization_ratio(*arguments)
    assert found == (expected["ratio"], expected["utilization"], expected["rawAverage"])


def ready_pods(count: int, request: str = "100m", started: float = NOW - 3600) -> list[dict]:
    stamp = vectors.times.rfc3339(started)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp}
    return [
        {
            "metadata": {"name": f"web-{number}"},
            "spec": {"containers": [{"name": "web", "resources": {"requests": {"cpu": request}}}]},
            "status": {"phase": "Running", "startTime": stamp, "conditions": [ready]},
        }
        for number in range(count)
    ]


def seen(pods: list[dict], status_replicas: int | None = None) -> Workload:
    running = len(pods) if status_replicas is None else status_replicas
    return Workload(len(pods), running, pods, Tolerances(0.1, 0.1), SETTINGS, NOW)


def usage(**values: int) -> dict[str, PodMetric]:
    return {name.replace("_", "-"): PodMetric(value, NOW, 30.0) for name, value in values.items()}


def test_a_derivation_names_the_pods_the_usage_and_the_target():
    found = replica_calculator.get_resource_replicas(
        seen(ready_pods(2)), usage(web_0=171, web_1=171), "cpu", 90
    )
    assert found.words == "4 replicas = ceil(2 × 171 % / 90 %)"


def test_a_derivation_says_that_the_tolerance_kept_the_count():
    found = replica_calculator.get_resource_replicas(
        seen(ready_pods(2)), usage(web_0=95, web_1=95), "cpu", 90
    )
    assert found.words == "2 replicas stay: 95 % / 90 % = 1.06 is within 0.9 to 1.1"


def test_a_derivation_names_the_pods_that_were_counted_at_an_assumed_value():
    found = replica_calculator.get_resource_replicas(
        seen(ready_pods(3)), usage(web_0=200, web_1=200), "cpu", 90
    )
    assert found.words == (
        "5 replicas = ceil(3 × 133 % / 90 %), 1 Pod without a sample counted as idle"
    )


def test_a_derivation_says_that_caution_would_reverse_the_direction():
    found = replica_calculator.get_resource_replicas(
        seen(ready_pods(3)), usage(web_0=110), "cpu", 90
    )
    assert found.words == (
        "3 replicas stay: 110 % / 90 % asks for more, "
        "but ceil(3 × 36 % / 90 %) = 2, 2 Pods without a sample counted as idle"
    )


def test_a_shared_metric_of_a_workload_at_zero_counts_as_one_pods_share():
    found = replica_calculator.get_external_per_pod_metric_replicas(seen([]), [2500], 1000)
    assert (found.replicas, found.usage) == (3, 2500)


def test_an_external_metric_of_a_workload_at_zero_is_the_ratio_itself():
    found = replica_calculator.get_external_metric_replicas(seen([]), [1001], 1000)
    assert found.replicas == 2


def test_negative_averages_are_cut_towards_zero_as_go_cuts_them():
    assert metrics.get_metric_usage_ratio({"a": -5, "b": 0}, 10) == (-0.2, -2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("1m0s", 60.0), ("1m30.5s", 90.5), ("250ms", 0.25), ("1h", 3600.0), ("0", 0.0)],
)
def test_windows_are_durations_as_go_writes_them(text, seconds):
    assert metrics.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "1m 30s", "-"])
def test_a_window_that_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not of the form 1m30s"):
        metrics.parse_duration(text)


def test_a_pod_level_request_is_what_the_scheduler_reserves():
    pod = {
        "metadata": {"name": "web"},
        "spec": {
            "resources": {"requests": {"memory": "64Mi"}},
            "overhead": {"cpu": "10m"},
            "containers": [{"name": "web", "resources": {"requests": {"cpu": "100m"}}}],
            "initContainers": [
                {
                    "name": "mesh",
                    "restartPolicy": "Always",
                    "resources": {"requests": {"cpu": "50m"}},
                },
                {"name": "load", "resources": {"requests": {"cpu": "400m"}}},
            ],
        },
    }
    assert calculate_requests([pod], "", "cpu") == {"web": 460}
    assert calculate_requests([pod], "", "memory") == {"web": 64 * 1024 * 1024 * 1000}


@pytest.mark.parametrize(
    ("utilization", "replicas"), [(89, 9), (90, 10), (110, 10), (111, 12)], ids=str
)
def test_a_ratio_at_the_very_edge_of_the_tolerance_changes_nothing(utilization, replicas):
    samples = {f"web-{number}": PodMetric(utilization, NOW, 30.0) for number in range(10)}
    found = replica_calculator.get_resource_replicas(seen(ready_pods(10)), samples, "cpu", 100)
    assert found.replicas == replicas


def test_a_usage_at_the_target_gives_no_direction_in_which_to_guess():
    found = replica_calculator.get_resource_replicas(
        seen(ready_pods(4)), usage(web_0=50, web_1=50), "cpu", 50
    )
    assert found.replicas == 4


def test_a_pod_exactly_as_old_as_the_initialization_period_is_no_longer_starting():
    """The sample's window reaches back over the last change, which no longer matters then."""
    pods = ready_pods(1, started=NOW - 120)
    assert group_pods(pods, usage(web_0=1), "cpu", SETTINGS, NOW).ready == 1
    stale = {"web-0": PodMetric(1, NOW - 119, 30.0)}
    assert group_pods(pods, stale, "cpu", SETTINGS, NOW).ready == 1
    assert group_pods(pods, stale, "cpu", SETTINGS, NOW - 1).unready == {"web-0"}


def test_pod_level_requests_count_only_while_their_feature_gate_is_on():
    pods = ready_pods(1)
    pods[0]["spec"]["resources"] = {"requests": {"cpu": "200m"}}
    before = seen(pods)
    found = replica_calculator.get_resource_replicas(before, usage(web_0=100), "cpu", 50)
    assert found.utilization == 50
    off = replace(before, settings=replace(SETTINGS, feature_gates=frozenset()))
    found = replica_calculator.get_resource_replicas(off, usage(web_0=100), "cpu", 50)
    assert found.utilization == 100


def test_a_pod_level_request_for_something_else_needs_a_request_of_a_container():
    pod = {
        "metadata": {"name": "web"},
        "spec": {
            "resources": {"requests": {"memory": "64Mi"}},
            "containers": [{"name": "web"}],
            "initContainers": [{"name": "load", "resources": {"requests": {"cpu": "400m"}}}],
        },
    }
    assert calculate_requests([pod], "", "cpu") == {"web": 400}
    del pod["spec"]["initContainers"]
    with pytest.raises(MetricError, match="missing pod-level request for cpu in Pod web"):
        calculate_requests([pod], "", "cpu")
