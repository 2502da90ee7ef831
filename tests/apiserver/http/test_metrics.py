"""`/metrics`: what the server tells of the requests that it has answered."""

from prometheus_client.parser import text_string_to_metric_families

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


async def test_a_watch_counts_while_it_lasts(http):
    name = "apiserver_longrunning_requests"
    async with http.get(PODS, params={"watch": "1"}):
        assert await values(http, name, verb="WATCH", resource="pods") == 1


async def test_stored_objects_are_counted(http):
    assert await values(http, "apiserver_storage_objects", resource="namespaces") >= 4


async def test_a_stranger_may_not_read_it(stranger):
    async with stranger.get("/metrics") as answer:
        assert answer.status == 401
