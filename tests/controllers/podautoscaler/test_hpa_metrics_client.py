"""Which paths are asked for samples and scales, and what is made of the answers."""

import pytest

from labkit.client.errors import status_error
from labkit.controllers.podautoscaler.metrics import MetricError, PodMetric
from labkit.controllers.podautoscaler.metrics_client import RestMetricsClient, sample
from labkit.controllers.podautoscaler.scale_target import NoMatchError, ScaleTargets
from labkit.kube import times
from labkit.kube.resources import DEPLOYMENTS
from tests.controllers.podautoscaler.hpa_vectors import NOW
from tests.controllers.podautoscaler.hpa_world import (
    NAMESPACE,
    StillClock,
    World,
    custom_metrics,
    external_metrics,
    pod_metrics,
    scale,
)

METRIC = {"name": "qps", "selector": {"matchLabels": {"verb": "GET"}}}
SOME_DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "some-deployment"}
RESOURCE_METRICS = f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"
CUSTOM_METRICS = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}"


@pytest.fixture
async def world() -> World:
    return World([], [], scale(1, 1, "app=web"))


@pytest.fixture
def targets(world) -> ScaleTargets:
    return ScaleTargets(world.client(), StillClock())


@pytest.fixture
def ask(world, targets):
    client = RestMetricsClient(world.client(), targets)

    async def ask(**spec):
        return await sample(client, spec, NAMESPACE, "app=web")

    return ask


async def test_resource_metrics_are_summed_over_the_containers_of_a_pod(world, ask):
    world.answers = {RESOURCE_METRICS: pod_metrics([300, 500], {})}
    found = await ask(type="Resource", resource={"name": "cpu"})
    assert found == {
        "test-pod-0": PodMetric(300, NOW, 60.0),
        "test-pod-1": PodMetric(500, NOW, 60.0),
    }
    assert world.requests == [("GET", RESOURCE_METRICS, {"labelSelector": "app=web"})]


async def test_container_metrics_are_those_of_the_named_container(world, ask):
    world.answers = {RESOURCE_METRICS: pod_metrics([300], {})}
    part = {"name": "cpu", "container": "container2"}
    found = await ask(type="ContainerResource", containerResource=part)
    assert found == {"test-pod-0": PodMetric(150, NOW, 60.0)}
    absent = await ask(type="ContainerResource", containerResource=part | {"container": "x"})
    assert absent == {}


async def test_a_pod_with_a_container_without_a_sample_is_left_out(world, ask):
    answer = pod_metrics([300, 500], {})
    del answer["items"][0]["containers"][1]["usage"]["cpu"]
    world.answers = {RESOURCE_METRICS: answer}
    assert set(await ask(type="Resource", resource={"name": "cpu"})) == {"test-pod-1"}


async def test_pods_metrics_are_asked_for_all_pods_of_the_selector(world, ask):
    world.answers = custom_metrics([1500])
    found = await ask(type="Pods", pods={"metric": METRIC})
    assert found == {"test-pod-0": PodMetric(1500, NOW, 60.0)}
    selectors = {"labelSelector": "app=web", "metricLabelSelector": "verb=GET"}
    assert world.requests == [("GET", f"{CUSTOM_METRICS}/pods/*/qps", selectors)]


async def test_an_object_metric_is_asked_under_the_resource_of_its_kind(world, ask):
    world.answers = custom_metrics([1500])
    found = await ask(type="Object", object={"metric": METRIC, "describedObject": SOME_DEPLOYMENT})
    assert found == 1500
    path = f"{CUSTOM_METRICS}/deployments.apps/some-deployment/qps"
    assert world.requests == [("GET", path, {"metricLabelSelector": "verb=GET"})]


async def test_a_metric_of_a_namespace_is_that_of_the_hpas_own(world, ask):
    item = {"value": "7", "timestamp": times.rfc3339(NOW)}
    world.answers = {f"{CUSTOM_METRICS}/metrics/qps": {"items": [item]}}
    elsewhere = {"apiVersion": "v1", "kind": "Namespace", "name": "kube-system"}
    found = await ask(
        type="Object", object={"metric": {"name": "qps"}, "describedObject": elsewhere}
    )
    assert found == 7000


async def test_external_metrics_are_all_series_of_the_selector(world, ask):
    world.answers = external_metrics([1000, 500])
    found = await ask(type="External", external={"metric": METRIC})
    assert found == [1000, 500]
    assert world.requests[0][2] == {"labelSelector": "verb=GET"}


@pytest.mark.parametrize(
    ("spec", "path", "api"),
    [
        ({"type": "Resource", "resource": {"name": "cpu"}}, RESOURCE_METRICS, "resource"),
        ({"type": "Pods", "pods": {"metric": METRIC}}, CUSTOM_METRICS, "custom"),
        (
            {"type": "External", "external": {"metric": METRIC}},
            "/apis/external.metrics.k8s.io",
            "external",
        ),
    ],
    ids=["resource", "custom", "external"],
)
async def test_a_missing_api_and_an_empty_answer_are_told_apart(world, ask, spec, path, api):
    world.answers = {path: status_error(404, "NotFound", "not served")}
    refused = await ask(**spec)
    assert isinstance(refused, MetricError)
    assert str(refused) == f"unable to fetch metrics from {api} metrics API: not served"
    world.answers = {path: {"items": []}}
    assert str(await ask(**spec)) == f"no metrics returned from {api} metrics API"


async def test_an_object_metric_with_two_answers_is_refused(world, ask):
    item = {"value": "7", "timestamp": times.rfc3339(NOW)}
    world.answers = {CUSTOM_METRICS: {"items": [item, item]}}
    found = await ask(type="Object", object={"metric": METRIC, "describedObject": SOME_DEPLOYMENT})
    assert str(found).endswith("returned 2 results when we asked for exactly one")


async def test_an_object_of_an_unknown_kind_has_no_metric(ask):
    unknown = {"apiVersion": "apps/v1", "kind": "Deplyment", "name": "web"}
    found = await ask(type="Object", object={"metric": METRIC, "describedObject": unknown})
    assert str(found).endswith('no matches for kind "Deplyment" in group "apps"')


async def test_a_metric_selector_with_an_unknown_operator_is_refused_by_that_name(ask):
    need = {"key": "verb", "operator": "Is", "values": ["GET"]}
    metric = {"name": "qps", "selector": {"matchExpressions": [need]}}
    found = await ask(type="Pods", pods={"metric": metric})
    assert str(found) == "'Is' is not a valid label selector operator"


async def test_a_kind_is_looked_up_once(world, targets):
    for _ in range(2):
        found = await targets.resource("v1", "ReplicationController")
        assert found.path("shop", "web", "scale") == (
            "/api/v1/namespaces/shop/replicationcontrollers/web/scale"
        )
    assert len(world.requests) == 1


async def test_a_deployment_needs_no_look_up(world, targets):
    assert await targets.resource("apps/v1", "Deployment") == DEPLOYMENTS
    assert world.requests == []


@pytest.mark.parametrize(
    ("api_version", "message"),
    [
        ("", 'no matches for kind "Deployment" in group ""'),
        ("apps/v9", 'no matches for kind "Deployment" in group "apps"'),
        ("apps/v1/x", "unexpected GroupVersion string: apps/v1/x"),
    ],
)
async def test_a_reference_that_nothing_serves_is_refused(targets, api_version, message):
    with pytest.raises(NoMatchError) as refusal:
        await targets.resource(api_version, "Deployment")
    assert str(refusal.value) == message


async def test_a_scale_in_conflict_is_read_again_and_written_again(world, targets):
    world.scale_errors = [status_error(409, "Conflict", "changed")] * 4
    await targets.update(DEPLOYMENTS, world.scale, 5)
    assert world.scale["spec"] == {"replicas": 5}
    assert [method for method, _, _ in world.requests] == ["PUT", "GET"] * 4 + ["PUT"]
