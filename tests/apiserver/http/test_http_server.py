"""HTTP's own business: who asks, in which form, and what refusals look like."""

import asyncio
import contextlib
import json
import ssl
from typing import ClassVar

import orjson
import pytest
import yaml

from labkit.apiserver import auth
from labkit.apiserver.http import MAX_BODY
from labkit.apiserver.registry import Registry
from labkit.apiserver.request import Encoded, Result, Watch, WatchEvent
from tests.serving import Certificates, address, serving

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def refusal(response):
    """The Status of an answer, with its code checked."""
    status = await response.json()
    assert status["kind"] == "Status"
    assert status["code"] == response.status
    return response.status, status["reason"]


# -- who -------------------------------------------------------------------------------------------


async def test_strangers_see_only_whether_the_server_is_well(stranger):
    for path in ("/healthz", "/livez/ping", "/readyz?verbose", "/version"):
        assert (await stranger.get(path)).status == 200
    for path in ("/", "/api", "/apis", "/api/v1/pods", "/openapi/v2", "/healthzz/../api/v1"):
        assert await refusal(await stranger.get(path)) in ((401, "Unauthorized"), (404, "NotFound"))
    assert await refusal(await stranger.get("/api/v1/pods")) == (401, "Unauthorized")


async def test_another_servers_name_is_refused(http):
    answer = await http.get("/api", headers={"Host": "evil.example:443"})
    assert await refusal(answer) == (403, "Forbidden")


async def test_any_of_the_certificates_names_is_welcome_with_any_port(http):
    for name in ("localhost", "127.0.0.1:1", "LOCALHOST:6443"):
        assert (await http.get("/api", headers={"Host": name})).status == 200


async def test_a_certificate_of_another_ca_is_no_identity(server, tmp_path):
    others = Certificates(tmp_path)
    context = others.client()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, port = server[1].addresses[0]
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.write(b"GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    ("certificate", "user", "groups"),
    [
        (None, "system:anonymous", ("system:unauthenticated",)),
        ({}, "system:anonymous", ("system:unauthenticated",)),
        (
            {"subject": ((("organizationName", "a"),), (("commonName", "me"),))},
            "me",
            ("a", "system:authenticated"),
        ),
        (
            {"subject": ((("organizationName", "a"), ("organizationName", "b")),)},
            "system:anonymous",
            ("system:unauthenticated",),
        ),
    ],
)
def test_a_client_certificate_is_an_identity(certificate, user, groups):
    found = auth.user_of(certificate)
    assert (found.name, found.groups) == (user, groups)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:6443", "localhost"),
        ("127.0.0.1:6443", "127.0.0.1"),
        ("[::1]:6443", "::1"),
        ("[::1]", "::1"),
        ("", ""),
    ],
)
def test_a_host_header_names_a_host(header, name):
    assert auth.host_name(header) == name


def test_a_server_knows_the_names_in_its_certificate(certificates):
    assert auth.server_names(certificates.server()) == {"127.0.0.1", "localhost"}


# -- refusals --------------------------------------------------------------------------------------


async def test_unknown_paths_and_methods_are_statuses(http):
    assert await refusal(await http.get("/api/v1/nonsenses")) == (404, "NotFound")
    assert await refusal(await http.options(CONFIG_MAPS)) == (405, "MethodNotAllowed")
    assert await refusal(await http.post("/api/v1", json={})) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("path", ["/nonsense", "/openapi/v3/nonsense", "/healthz/nonsense"])
async def test_where_no_api_is_there_is_a_page_that_says_so(http, path):
    answer = await http.get(path)
    assert (answer.status, await answer.text()) == (404, "404 page not found\n")


async def test_bodies_that_cannot_be_read_are_bad_requests(http):
    for kind in ("json", "yaml"):
        headers = {"Content-Type": f"application/{kind}"}
        answer = await http.post(CONFIG_MAPS, data=b'{"a": [', headers=headers)
        assert await refusal(answer) == (400, "BadRequest")


async def test_bodies_of_other_types_are_refused(http):
    answer = await http.post(CONFIG_MAPS, data=b"a", headers={"Content-Type": "text/plain"})
    assert await refusal(answer) == (415, "UnsupportedMediaType")
    answer = await http.patch(f"{CONFIG_MAPS}/x", json={})
    assert await refusal(answer) == (415, "UnsupportedMediaType")


async def test_too_large_bodies_are_refused_whether_announced_or_not(http):
    large = b"x" * (MAX_BODY + 1)
    json_type = {"Content-Type": "application/json"}
    answer = await http.post(CONFIG_MAPS, data=large, headers=json_type)
    assert await refusal(answer) == (413, "RequestEntityTooLarge")

    async def pieces():
        for start in range(0, len(large), 1 << 20):
            yield large[start : start + (1 << 20)]

    answer = await http.post(CONFIG_MAPS, data=pieces(), headers=json_type)
    assert await refusal(answer) == (413, "RequestEntityTooLarge")


async def test_unknown_answers_are_not_acceptable(http):
    for accept in ("text/html", "application/json;as=Nonsense;v=v1;g=meta.k8s.io"):
        answer = await http.get(CONFIG_MAPS, headers={"Accept": accept})
        assert await refusal(answer) == (406, "NotAcceptable")
    answer = await http.get("/openapi/v2", headers={"Accept": "application/x-protobuf"})
    assert await refusal(answer) == (406, "NotAcceptable")


async def test_a_fault_of_the_server_is_a_status_too(certificates, caplog):
    class Broken:
        aggregated: ClassVar = {}
        registry = Registry()

        async def handle(self, request):
            raise KeyError("oh")

    async with serving(certificates, Broken()) as (_, http), session(certificates, http) as client:
        assert await refusal(await client.get("/api/v1/pods")) == (500, "InternalError")
    assert "request failed" in caplog.text


async def test_what_is_not_http_is_refused_by_a_status(server, certificates):
    host, port = server[1].addresses[0]
    reader, writer = await asyncio.open_connection(host, port, ssl=certificates.client())
    writer.write(b"GET\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400") or head.startswith(b"HTTP/1.0 400")
    assert json.loads(body)["reason"] == "BadRequest"


async def test_a_body_for_nothing_is_not_found_whatever_it_is(http):
    path = "/apis/example.com/v1/things"
    answer = await http.post(path, data=b"[")
    assert (answer.status, await answer.text()) == (404, "404 page not found\n")


async def test_selectors_may_be_long(http):
    names = ",".join(f"name-{number}" for number in range(1500))
    answer = await http.get(CONFIG_MAPS, params={"labelSelector": f"app in ({names})"})
    assert answer.status == 200


# -- forms -----------------------------------------------------------------------------------------


async def test_yaml_goes_in_and_out(http):
    body = yaml.safe_dump(config_map("x", when="2026-01-31", n="1"))
    headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}
    answer = await http.post(CONFIG_MAPS, data=body, headers=headers)
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(await answer.text())["data"] == {"when": "2026-01-31", "n": "1"}


async def test_yamls_timestamps_are_texts_and_its_keys_are_names(http):
    body = b"metadata: {name: x}\ndata: {2: a, true: b, d: 2026-01-31}\n"
    answer = await http.post(CONFIG_MAPS, data=body, headers={"Content-Type": "application/yaml"})
    assert (await answer.json())["data"] == {"2": "a", "true": "b", "d": "2026-01-31"}


async def test_a_table_is_made_of_objects_and_lists(http):
    await http.post(CONFIG_MAPS, json=config_map("x", a="b"))
    answer = await http.get(f"{CONFIG_MAPS}/x", headers={"Accept": TABLE})
    table = await answer.json()
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"][:2] == ["x", 1]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    answer = await http.get(
        CONFIG_MAPS, params={"includeObject": "None"}, headers={"Accept": TABLE}
    )
    table = await answer.json()
    assert table["metadata"]["resourceVersion"]
    assert [row["object"] for row in table["rows"]] == [None] * len(table["rows"])
    answer = await http.get(CONFIG_MAPS, params={"includeObject": "X"}, headers={"Accept": TABLE})
    assert await refusal(answer) == (400, "BadRequest")


async def test_metadata_alone_can_be_asked_for(http):
    await http.post(CONFIG_MAPS, json=config_map("x", a="b"))
    form = "application/json;as={};v=v1;g=meta.k8s.io"
    one, many = form.format("PartialObjectMetadata"), form.format("PartialObjectMetadataList")
    found = await (await http.get(f"{CONFIG_MAPS}/x", headers={"Accept": one})).json()
    assert found["kind"] == "PartialObjectMetadata"
    assert found.keys() == {"kind", "apiVersion", "metadata"}
    listed = await (await http.get(CONFIG_MAPS, headers={"Accept": many})).json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert "x" in [item["metadata"]["name"] for item in listed["items"]]
    answer = await http.get(CONFIG_MAPS, headers={"Accept": one})
    assert await refusal(answer) == (406, "NotAcceptable")


async def test_answers_carry_an_audit_id_and_warnings(certificates):
    class Warning:
        aggregated: ClassVar = {}
        registry = Registry()

        async def handle(self, request):
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": {}}
            return Result(200, Encoded(body, orjson.dumps(body)), ('a "b"', "c"))

    async with serving(certificates, Warning()) as (_, http), session(certificates, http) as client:
        answer = await client.get("/api/v1/namespaces/d/pods/x")
    assert answer.headers.getall("Warning") == ['299 - "a \\"b\\""', '299 - "c"']
    assert answer.headers["Audit-Id"]


# -- watches ---------------------------------------------------------------------------------------


async def events(response, count):
    return [json.loads(await response.content.readline()) for _ in range(count)]


async def test_a_watch_is_a_stream_of_lines(http):
    version = (await (await http.get(CONFIG_MAPS)).json())["metadata"]["resourceVersion"]
    params = {"watch": "1", "resourceVersion": version}
    async with http.get(CONFIG_MAPS, params=params) as watch:
        assert watch.headers["Transfer-Encoding"] == "chunked"
        await http.post(CONFIG_MAPS, json=config_map("x"))
        await http.delete(f"{CONFIG_MAPS}/x")
        added, deleted = await events(watch, 2)
    assert (added["type"], deleted["type"]) == ("ADDED", "DELETED")
    assert added["object"]["metadata"]["name"] == "x"


async def test_a_watch_of_tables_names_its_columns_once(http):
    version = (await (await http.get(CONFIG_MAPS)).json())["metadata"]["resourceVersion"]
    params = {"watch": "true", "resourceVersion": version, "includeObject": "Object"}
    async with http.get(CONFIG_MAPS, params=params, headers={"Accept": TABLE}) as watch:
        await http.post(CONFIG_MAPS, json=config_map("x"))
        await http.post(CONFIG_MAPS, json=config_map("y"))
        first, second = await events(watch, 2)
    assert first["object"]["columnDefinitions"]
    assert not second["object"]["columnDefinitions"]
    assert second["object"]["rows"][0]["object"]["kind"] == "ConfigMap"


async def test_a_watch_ends_when_its_time_is_over(http):
    params = {"watch": "true", "timeoutSeconds": "1"}
    async with http.get("/api/v1/namespaces/default/secrets", params=params) as watch:
        assert await asyncio.wait_for(watch.read(), 30) == b""
    answer = await http.get(CONFIG_MAPS, params={"watch": "true", "timeoutSeconds": "soon"})
    assert await refusal(answer) == (400, "BadRequest")


class Slow:
    """An API whose watch tells when it was closed, and has as many events as are put."""

    aggregated: ClassVar = {}
    registry = Registry()

    def __init__(self, *events):
        self.queue: asyncio.Queue = asyncio.Queue()
        for event in events:
            self.queue.put_nowait(event)
        self.closed = asyncio.Event()

    async def handle(self, request):
        return Watch(self)

    def __aiter__(self):
        return self

    async def __anext__(self):
        event = await self.queue.get()
        if isinstance(event, Exception):
            raise event
        return event

    async def batch(self, most):
        return [await anext(self)]

    async def aclose(self):
        self.closed.set()


def added(name):
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
    return WatchEvent("ADDED", Encoded(obj, orjson.dumps(obj)))


async def test_a_client_that_goes_ends_its_watch(certificates):
    api = Slow(added("a"))
    async with serving(certificates, api) as (_, http), session(certificates, http) as client:
        watch = await client.get("/api/v1/pods", params={"watch": "1"})
        await events(watch, 1)
        watch.close()
        await asyncio.wait_for(api.closed.wait(), 10)


async def test_a_server_that_stops_ends_all_watches(certificates):
    api = Slow()
    async with serving(certificates, api) as (_, http), session(certificates, http) as client:
        await client.get("/api/v1/pods", params={"watch": "1"})
        await asyncio.wait_for(http.stop(), 10)
        assert api.closed.is_set()
        await http.stop()


async def test_a_burst_of_events_arrives_whole(certificates):
    api = Slow(*(added(f"pod-{number}") for number in range(3000)))
    async with serving(certificates, api) as (_, http), session(certificates, http) as client:
        watch = await client.get("/api/v1/pods", params={"watch": "1"})
        seen = await events(watch, 3000)
    assert [event["object"]["metadata"]["name"] for event in seen][::999] == [
        "pod-0", "pod-999", "pod-1998", "pod-2997",
    ]  # fmt: skip


async def test_a_client_that_does_not_read_is_not_read_ahead_for(certificates):
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x" * 100_000}}
    large = WatchEvent("ADDED", Encoded(obj, orjson.dumps(obj)))
    api = Slow(*[large] * 1000)
    async with serving(certificates, api) as (_, http):
        port = http.addresses[0][1]
        tls = certificates.client()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(b"GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        waiting = -1
        while waiting != api.queue.qsize():
            waiting = api.queue.qsize()
            await asyncio.sleep(0.2)
        assert waiting > 0
        writer.close()
        await asyncio.wait_for(api.closed.wait(), 10)


def session(certificates, http):
    import aiohttp

    connector = aiohttp.TCPConnector(ssl=certificates.client())
    return aiohttp.ClientSession(address(http), connector=connector)
