"""`/metrics`: what the server tells of the requests that it has answered."""

from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from labkit.apiserver.audit import Trail
from labkit.apiserver.registry import Registry
from labkit.apiserver.telemetry import RequestMetrics

PODS = "/api/v1/namespaces/default/pods"


async def samples(http):
    """(name, labels, value) of all that is not of the process."""
    async with http.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name.startswith("apiserver_"):
                yield one


async def values(http, name, **labels):
    """The sum of the samples with this name and these labels."""
    return sum(
        [
            one.value
            async for one in samples(http)
            if one.name == name and labels.items() <= one.labels.items()
        ]
    )


async def test_requests_are_counted_by_what_they_ask_and_how_they_end(http):
    for path in (PODS, PODS, f"{PODS}/nobody"):
        async with http.get(path) as answer:
            await answer.read()
    requests = "apiserver_request_total"
    assert await values(http, requests, verb="LIST", resource="pods", code="200") == 2
    assert await values(http, requests, verb="GET", scope="resource", code="404") == 1
    took = "apiserver_request_duration_seconds_bucket"
    assert await values(http, took, verb="LIST", resource="pods", le="+Inf") == 2


async def test_what_is_not_served_makes_no_labels(http):
    for path in ("/api/v1/unheard-of", "/nowhere", "/apis/none.example.com/v1/things"):
        async with http.get(path) as answer:
            assert answer.status == 404
    assert not [one async for one in samples(http) if one.name == "apiserver_request_total"]


def test_neither_names_nor_selectors_nor_made_up_subresources_are_labels_without_end():
    state = SimpleNamespace(collections={})
    metrics = RequestMetrics(SimpleNamespace(registry=Registry(), aggregated={}, state=state))
    for number in range(2000):
        for path, selector in ((f"{PODS}/p{number}", ""), (PODS, f"metadata.name=p{number}")):
            trail = Trail("id", "GET", path, 0.0)
            trail.path, trail.params, trail.code = path, {"fieldSelector": selector}, 200
            metrics.add(trail, 0.1)
    counted = [
        line for line in metrics.text().splitlines() if line.startswith("apiserver_request_t")
    ]
    assert len(counted) <= 3
    for number in range(2000):
        trail = Trail("id", "GET", f"{PODS}/p/made-up-{number}", 0.0)
        trail.path, trail.params, trail.code = trail.uri, {}, 404
        metrics.add(trail, 0.1)
    assert metrics.text().count("apiserver_request_total{") <= 1024


async def test_a_watch_counts_while_it_lasts(http):
    name = "apiserver_longrunning_requests"
    async with http.get(PODS, params={"watch": "1"}):
        assert await values(http, name, verb="WATCH", resource="pods") == 1


async def test_stored_objects_are_counted(http):
    assert await values(http, "apiserver_storage_objects", resource="namespaces") >= 4


async def test_a_stranger_may_not_read_it(stranger):
    async with stranger.get("/metrics") as answer:
        assert answer.status == 401
