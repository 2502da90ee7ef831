"""What programs say of themselves, and what becomes of it."""

import pytest

from labkit.client import ApiError
from labkit.metrics.custom_api import ProgramMetrics
from labkit.metrics.scraper import Target, target
from labkit.metrics.series import Series, scrape, series

PAGE = """
# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{{method="GET",code="200"}} {gets}
http_requests_total{{method="PUT",code="200"}} {puts}
# TYPE queue_depth gauge
queue_depth 7
# TYPE took_seconds histogram
took_seconds_bucket{{le="+Inf"}} {gets}
took_seconds_sum {gets}
"""
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
INGRESSES = "ingresses.networking.k8s.io"


def page(gets, puts=0):
    return PAGE.format(gets=gets, puts=puts)


def test_a_gauge_is_what_it_is_and_a_counter_becomes_a_rate():
    found = set(series(scrape(page(10), 100.0), scrape(page(40), 110.0)))
    assert found == {
        Series("queue_depth", (), 7.0, 110.0),
        Series("http_requests_per_second", (("code", "200"), ("method", "GET")), 3.0, 110.0, 10.0),
        Series("http_requests_per_second", (("code", "200"), ("method", "PUT")), 0.0, 110.0, 10.0),
        Series("took_seconds_sum_per_second", (), 3.0, 110.0, 10.0),
    }


def test_one_scrape_makes_no_rate():
    assert [one.metric for one in series(None, scrape(page(10), 100.0))] == ["queue_depth"]


def test_a_counter_that_went_back_has_begun_anew():
    (rate, *_) = (
        one.value
        for one in series(scrape(page(1000), 100.0), scrape(page(20), 110.0))
        if one.metric == "http_requests_per_second"
    )
    assert rate == 2.0


def pod(name="web-0", labels=None, **annotations):
    notes = {f"prometheus.io/{key}": value for key, value in annotations.items()}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": labels or {"app": "web"},
            "annotations": notes,
        },
        "spec": {"containers": [{"ports": [{"containerPort": 3001}]}]},
        "status": {"phase": "Running", "podIP": "127.244.1.2"},
    }


@pytest.mark.parametrize(
    ("annotations", "url"),
    [
        ({"scrape": "true"}, "http://127.244.1.2:3001/metrics"),
        ({"scrape": "true", "port": "9", "path": "stats"}, "http://127.244.1.2:9/stats"),
        ({"scrape": "false"}, None),
        ({}, None),
    ],
)
def test_a_pod_says_by_annotations_where_its_metrics_are(annotations, url):
    found = target(pod(**annotations))
    assert (found and found.url) == url


def test_a_pod_that_does_not_run_is_not_asked():
    waiting = pod(scrape="true")
    waiting["status"]["phase"] = "Pending"
    assert target(waiting) is None


@pytest.fixture
def answer():
    """Two web Pods with 3 and 4 requests a second, a queue, and an Ingress controller."""
    pods = {f"shop/{name}": pod(name) for name in ("web-0", "web-1")}
    pods["shop/queue"] = pod("queue", {"app": "queue"})
    services = {"shop/web": {"metadata": {}, "spec": {"selector": {"app": "web"}}}}
    gets = (("method", "GET"),)
    ingress = (("ingress", "front"), ("namespace", "shop"), ("status", "200"))
    found = {
        Target("a", "shop", "web-0"): [Series("rps", gets, 3.0, 100.0, 10.0)],
        Target("b", "shop", "web-1"): [
            Series("rps", gets, 3.5, 101.0, 10.0),
            Series("rps", (("method", "PUT"),), 0.5, 101.0, 10.0),
        ],
        Target("c", "shop", "queue"): [
            Series("depth", (("queue", "mail"),), 12.0, 100.0),
            Series("depth", (("queue", "print"),), 3.0, 100.0),
        ],
        Target("d"): [Series("rps", ingress, 8.25, 100.0, 10.0)],
    }
    api = ProgramMetrics(pods, services)
    return lambda path, **params: api.answer(path, params, found)


def values(answer):
    return {item["describedObject"]["name"]: item["value"] for item in answer["items"]}


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("pods/*/rps", {}, {"web-0": "3", "web-1": "4"}),
        ("pods/*/rps", {"labelSelector": "app=web"}, {"web-0": "3", "web-1": "4"}),
        ("pods/*/rps", {"metricLabelSelector": "method=PUT"}, {"web-1": "500m"}),
        ("pods/web-1/rps", {}, {"web-1": "4"}),
        ("services/web/rps", {}, {"web": "7"}),
        (f"{INGRESSES}/front/rps", {}, {"front": "8250m"}),
        ("metrics/depth", {}, {"shop": "15"}),
    ],
)
def test_a_custom_metric_belongs_to_an_object(answer, path, params, expected):
    assert values(answer(f"{CUSTOM}/namespaces/shop/{path}", **params)) == expected


def test_a_value_says_of_what_it_is_and_when_it_was_measured(answer):
    found = answer(f"{CUSTOM}/namespaces/shop/services/web/rps")
    assert found["kind"] == "MetricValueList"
    assert found["items"] == [
        {
            "describedObject": {
                "kind": "Service",
                "namespace": "shop",
                "name": "web",
                "apiVersion": "/v1",
            },
            "metric": {"name": "rps", "selector": None},
            "timestamp": "1970-01-01T00:01:40Z",
            "windowSeconds": 10,
            "value": "7",
        }
    ]


def test_an_external_metric_is_every_series_with_its_labels(answer):
    found = answer(f"{EXTERNAL}/namespaces/shop/depth", labelSelector="queue=mail")
    assert [(item["metricLabels"], item["value"]) for item in found["items"]] == [
        ({"queue": "mail"}, "12")
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{CUSTOM}/namespaces/shop/pods/*/hum", "the metric hum for pods"),
        (f"{CUSTOM}/namespaces/shop/services/web/depth", "the metric depth for services web"),
        (f"{CUSTOM}/namespaces/shop/roles/web/rps", "the metric rps for roles web"),
        (f"{EXTERNAL}/namespaces/shop/hum", "the metric hum for namespaces shop"),
        (f"{EXTERNAL}/namespaces/away/depth", "the metric depth for namespaces away"),
    ],
)
def test_what_nobody_shows_is_a_404(answer, path, message):
    with pytest.raises(ApiError) as caught:
        answer(path)
    assert caught.value.not_found
    assert str(caught.value) == f"the server could not find {message}"


def test_both_groups_say_what_there_is(answer):
    names = {one["name"] for one in answer(CUSTOM)["resources"]}
    assert {"pods/rps", "services/rps", f"{INGRESSES}/rps", "namespaces/depth"} <= names
    assert {one["name"] for one in answer(EXTERNAL)["resources"]} == {"rps", "depth"}
