"""The Ingress controller with a real API server in memory: from Ingress objects to answers."""

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import ssl

import aiohttp
import pytest
from aiohttp import web

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import MemoryStore
from labkit.client import Client
from labkit.clock import Clock
from labkit.kube.resources import (
    ENDPOINT_SLICES,
    EVENTS,
    INGRESS_CLASSES,
    INGRESSES,
    SECRETS,
    SERVICES,
)
from labkit.proxy import rules
from labkit.proxy.ingress import IngressController, Ports, certificates
from tests.proxy.loopback import fresh_ip, service_cidr, service_ip


@pytest.fixture
async def client():
    server = APIServer(MemoryStore(), Clock(), service_cidr=service_cidr())
    await server.start()
    yield Client(server.transport(User("system:ingress-controller", ("system:masters",))))
    await server.stop()


@pytest.fixture
async def controller(client):
    made = IngressController(
        client, Clock(), address=service_ip(9), ports=Ports(http=0, https=0, status=0)
    )
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def backend(client):
    """`await backend("web", handler, ...)` makes a Service and an HTTP server for each handler."""
    runners = []

    async def start(name, *handlers):
        addresses, port = [fresh_ip() for _ in handlers], 8000
        for address, handler in zip(addresses, handlers, strict=True):
            runner = web.ServerRunner(web.Server(handler))
            await runner.setup()
            await web.TCPSite(runner, address, port).start()
            runners.append(runner)
        await make_service(client, name, addresses, port)
        return runners[-len(handlers) :]

    yield start
    for runner in runners:
        await runner.cleanup()


async def make_service(client, name, addresses, port=8000, **spec):
    meta = {"name": name, "namespace": "default"}
    spec = {"ports": [{"name": "http", "port": 80}], **spec}
    await client.create(SERVICES, {"metadata": meta, "spec": spec})
    slice_ = {
        "metadata": {**meta, "labels": {rules.SERVICE_NAME: name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
    }
    await client.create(ENDPOINT_SLICES, slice_)


async def make_ingress(client, service="web", name="web", host=None, annotations=None, **options):
    path = {
        "path": options.pop("path", "/"),
        "pathType": options.pop("kind", "Prefix"),
        "backend": {"service": {"name": service, "port": {"number": 80}}},
    }
    rule = {"http": {"paths": [path]}} | ({"host": host} if host else {})
    meta = {"name": name, "namespace": "default", "annotations": annotations or {}}
    return await client.create(INGRESSES, {"metadata": meta, "spec": {"rules": [rule], **options}})


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body


async def ask(controller, path="/", method="GET", secure=False, ssl=None, **options):
    """One request over a connection of its own."""
    port = controller.ports.https if secure else controller.ports.http
    url = f"http{'s' if secure else ''}://{controller.address}:{port}{path}"
    options.setdefault("allow_redirects", False)
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.request(method, url, ssl=ssl or False, **options) as response,
    ):
        return Answer(response, await response.read())


async def until(condition):
    """The first true answer of `await condition()`."""
    async with asyncio.timeout(10):
        while True:
            if answer := await condition():
                return answer
            await asyncio.sleep(0.01)


async def becomes(controller, status, path="/", **options):
    """Wait until an answer has this status."""

    async def answered():
        answer = await ask(controller, path, **options)
        return answer if answer.status == status else None

    return await until(answered)


async def echo(request):
    """What came: method, path and query, headers, body."""
    body = await request.read()
    told = dict(request.headers.items())
    return web.json_response(
        {"what": f"{request.method} {request.path_qs}", "headers": told, "body": body.decode()}
    )


def says(text):
    async def handler(request):
        return web.Response(text=text, headers={"X-From": text})

    return handler


async def test_an_ingress_leads_to_its_service_and_says_where(client, controller, backend):
    await backend("web", says("hello"))
    await make_ingress(client)
    answer = await becomes(controller, 200)
    assert (answer.body, answer.headers["X-From"]) == (b"hello", "hello")

    async def placed():
        found = await client.get(INGRESSES, "web", "default")
        return found if found["status"]["loadBalancer"] else None

    seen = await until(placed)
    point = seen["status"]["loadBalancer"]["ingress"][0]
    assert point["ip"] == controller.address
    assert [one["port"] for one in point["ports"]] == [
        controller.ports.http,
        controller.ports.https,
    ]
    assert seen["spec"]["ingressClassName"] == "nginx"  # the default class

    async def events():
        return (await client.list(EVENTS))["items"]

    told = await until(events)
    assert [(one["type"], one["reason"], one["message"]) for one in told] == [
        ("Normal", "Sync", "Scheduled for sync")
    ]


async def test_the_endpoint_learns_who_asks_for_what(client, controller, backend):
    await backend("web", echo)
    await make_ingress(client)
    await becomes(controller, 200)
    headers = {"Host": "shop.org:1234", "X-Forwarded-For": "192.0.2.7", "X-Mine": "ä"}
    answer = await ask(controller, "/a%2Fb?c=d%20e", "POST", headers=headers, data=b"body")
    seen = json.loads(answer.body)
    assert (seen["what"], seen["body"]) == ("POST /a%2Fb?c=d%20e", "body")
    got = seen["headers"]
    assert got["Host"] == got["X-Forwarded-Host"] == "shop.org:1234"
    assert got["X-Forwarded-For"] == got["X-Real-IP"] == "127.0.0.1"
    assert got["X-Original-Forwarded-For"] == "192.0.2.7"
    assert got["X-Forwarded-Proto"] == got["X-Scheme"] == "http"
    assert got["X-Forwarded-Port"] == str(controller.ports.http)
    assert (got["X-Mine"], len(got["X-Request-ID"])) == ("ä", 32)
    assert got["Content-Length"] == "4"


async def test_pages_say_what_is_missing(client, controller):
    answer = await ask(controller, "/nothing", headers={"Host": "shop.org:80"})
    assert answer.status == 404
    assert b"No Ingress has a rule for the host shop.org and the path /nothing." in answer.body
    await make_ingress(client)
    answer = await becomes(controller, 503)
    assert b"The Service default/web has no ready endpoint for its port 80." in answer.body
    await make_service(client, "web", [fresh_ip()])
    answer = await becomes(controller, 502)
    assert b"No endpoint of the Service default/web has answered." in answer.body


async def test_requests_go_to_the_endpoints_in_turn_and_pass_over_the_dead(
    client, controller, backend
):
    runners = await backend("web", says("a"), says("b"), says("c"))
    await make_ingress(client)
    await becomes(controller, 200)
    said = [(await ask(controller)).body for _ in range(9)]
    assert sorted(said) == [b"a"] * 3 + [b"b"] * 3 + [b"c"] * 3
    await runners[0].cleanup()
    said = [(await ask(controller, method="POST", data=b"x")).body for _ in range(9)]
    assert set(said) == {b"b", b"c"}


async def test_a_request_that_may_be_repeated_survives_its_endpoint(client, controller, backend):
    seen = []

    async def dies(request):
        seen.append(request.method)
        request.transport.abort()
        return web.Response()

    await backend("web", dies, says("alive"))
    await make_ingress(client)
    await becomes(controller, 200)
    for method in ("GET", "HEAD", "DELETE"):
        assert {(await ask(controller, method=method)).status for _ in range(6)} == {200}
    posts = [(await ask(controller, method="POST", data=b"x")).status for _ in range(6)]
    assert sorted(posts) == [200] * 3 + [502] * 3
    assert seen.count("POST") == 3  # each once


async def test_paths_are_rewritten_and_the_query_stays(client, controller, backend):
    await backend("web", echo)
    annotations = {"nginx.ingress.kubernetes.io/rewrite-target": "/$2"}
    await make_ingress(
        client, path="/api(/|$)(.*)", kind="ImplementationSpecific", annotations=annotations
    )
    await becomes(controller, 200, "/api/")
    answer = await ask(controller, "/api/rule/a%20b?x=1")
    assert b'"GET /rule/a%20b?x=1"' in answer.body


async def test_bodies_stream_in_both_directions(client, controller, backend):
    got, go_on = asyncio.Queue(), asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begin")
        async for chunk in request.content.iter_any():
            await got.put(chunk)
        await go_on.wait()
        await response.write(b"end")
        return response

    await backend("web", handler)
    await make_ingress(client)
    arrived = asyncio.Event()

    async def body():
        yield b"first"
        await arrived.wait()
        yield b"second"

    go_on.set()
    await becomes(controller, 200)
    go_on.clear()
    url = f"http://{controller.address}:{controller.ports.http}/"
    async with (
        asyncio.timeout(10),
        aiohttp.ClientSession() as session,
        session.post(url, data=body()) as response,
    ):
        assert await response.content.readany() == b"begin"
        assert await got.get() == b"first"
        arrived.set()
        assert await got.get() == b"second"
        go_on.set()
        assert await response.content.read() == b"end"


async def test_compressed_bodies_pass_as_they_are(client, controller, backend):
    packed = gzip.compress(b"x" * 1000)

    async def handler(request):
        assert await request.read() in (b"", b"x" * 1000)
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    await backend("web", handler)
    await make_ingress(client)
    await becomes(controller, 200)
    answer = await ask(controller, method="POST", data=packed, headers={"Content-Encoding": "gzip"})
    assert answer.body == packed


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(client, controller, backend):
    await backend("web", echo)
    await make_ingress(client)
    await becomes(controller, 200)
    answer = await ask(controller, method="PUT", data=b"big", expect100=True)
    assert b'"body": "big"' in answer.body


async def test_websockets_pass(client, controller, backend):
    async def handler(request):
        if request.path != "/ws":
            return web.Response(status=403, text="not here")
        socket = web.WebSocketResponse(protocols=("chat",))
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"{message.data} from {request.headers['X-Real-IP']}")
        return socket

    await backend("web", handler)
    await make_ingress(client)
    await becomes(controller, 403)
    url = f"http://{controller.address}:{controller.ports.http}"
    async with asyncio.timeout(10), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/ws", protocols=("chat",)) as link:
            assert link.protocol == "chat"
            await link.send_str("hello")
            assert await link.receive_str() == "hello from 127.0.0.1"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/elsewhere")
        assert refused.value.status == 403


async def certificate_of(controller, name):
    """The certificate (DER) that a client is shown which asks for `name`."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(
        controller.address, controller.ports.https, ssl=context, server_hostname=name
    )
    with contextlib.closing(writer):
        return writer.get_extra_info("ssl_object").getpeercert(binary_form=True)


async def test_a_name_has_the_certificate_of_its_secret_and_else_the_fake_one(
    client, controller, backend
):
    certificate, key = certificates.fake(Clock().now())
    data = {"tls.crt": certificate, "tls.key": key}
    secret = {
        "metadata": {"name": "shop-tls", "namespace": "default"},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }
    await client.create(SECRETS, secret)
    await backend("web", echo)
    tls = [{"hosts": ["shop.org"], "secretName": "shop-tls"}, {"hosts": ["x.org"]}]
    await make_ingress(client, host="shop.org", tls=tls)
    der = ssl.PEM_cert_to_DER_cert(certificate.decode())

    async def shown():
        return await certificate_of(controller, "shop.org") == der

    await until(shown)
    other = await certificate_of(controller, "x.org")
    assert other != der
    assert certificates.FAKE.encode() in other
    assert await certificate_of(controller, None) == other
    trusting = ssl.create_default_context(cadata=certificate.decode())
    trusting.check_hostname = False
    answer = await ask(controller, secure=True, ssl=trusting, headers={"Host": "shop.org"},
                       server_hostname="shop.org")  # fmt: skip
    assert b'"X-Forwarded-Proto": "https"' in answer.body


async def test_plain_http_is_sent_to_https_where_there_is_tls(client, controller, backend):
    await backend("web", echo)
    await make_ingress(client, host="shop.org", tls=[{"hosts": ["shop.org"]}])
    port = controller.ports
    answer = await becomes(controller, 308, "/a?b", headers={"Host": f"shop.org:{port.http}"})
    assert answer.headers["Location"] == f"https://shop.org:{port.https}/a?b"
    answer = await ask(controller, "/a?b", headers={"Host": "shop.org"})
    assert answer.headers["Location"] == "https://shop.org/a?b"
    answer = await ask(controller, secure=True, headers={"Host": "shop.org"})
    assert answer.status == 200


async def test_ingresses_of_other_classes_are_left_alone(client, controller, backend):
    await backend("web", echo)
    await client.create(
        INGRESS_CLASSES, {"metadata": {"name": "other"}, "spec": {"controller": "example.org/x"}}
    )
    await make_ingress(client, ingressClassName="other")
    await make_ingress(client, name="ours", path="/ours")
    await becomes(controller, 200, "/ours")
    assert (await ask(controller, "/")).status == 404
    assert (await client.get(INGRESSES, "web", "default"))["status"] == {"loadBalancer": {}}


async def test_requests_are_counted_as_prometheus_reads_them(client, controller, backend):
    await backend("web", echo)
    await make_ingress(client, host="*.shop.org", path="/a")
    await becomes(controller, 200, "/a/1", headers={"Host": "x.shop.org"})
    await ask(controller, "/a/2", "POST", headers={"Host": "y.shop.org"})
    url = f"http://{controller.address}:{controller.ports.status}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/metrics") as response:
            text = await response.text()
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        async with session.get(f"{url}/healthz") as response:
            assert await response.text() == "ok"
    labels = (
        'canary="",controller_class="labkit/ingress-controller",'
        'controller_namespace="kube-system",controller_pod="ingress-controller",'
        'host="*.shop.org",ingress="web",method="POST",namespace="default",path="/a",'
        'service="web",status="200"'
    )
    name = "nginx_ingress_controller_request_duration_seconds"
    assert f"nginx_ingress_controller_requests{{{labels}}} 1\n" in text
    assert f"{name}_count{{{labels}}} 1\n" in text
    assert f'{name}_bucket{{{labels},le="+Inf"}} 1\n' in text


async def test_a_port_that_is_refused_gives_way_to_the_other(client):
    address = service_ip(8)
    with socket.socket() as taken:
        taken.bind((address, 0))
        taken.listen()
        ports = Ports(http=taken.getsockname()[1], https=0, status=0, fallbacks=(0, 0))
        made = IngressController(client, Clock(), address=address, ports=ports)
        await made.start()
        assert made.ports.http not in (0, ports.http)
        await made.stop()
        await made.stop()
