"""What a server refuses to carry, and clients that would hold it up."""

from __future__ import annotations

import concurrent.futures
import socket
import ssl
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import kubernetes
import pytest

from tests.api.conftest import MERGE, Wire, refused

LIMIT = 3 * 1024 * 1024


@pytest.fixture
def maps(ns: str) -> str:
    return f"{ns}/configmaps"


@pytest.fixture
def connect(configuration: kubernetes.client.Configuration):
    """Opens connections to the server, as the administrator."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    url = urlsplit(configuration.host)

    def connect() -> ssl.SSLSocket:
        plain = socket.create_connection((url.hostname, url.port or 443), timeout=20)
        return context.wrap_socket(plain, server_hostname=url.hostname)

    return connect


def head(wire: Wire, method: str, path: str, **headers: object) -> bytes:
    """A request's beginning."""
    all_headers = {"Host": urlsplit(wire.base).netloc, **headers}
    if token := wire.http.headers.get("Authorization"):
        all_headers["Authorization"] = token
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {v}" for name, v in all_headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_body_has_at_most_three_mebibytes(wire: Wire, maps: str):
    body = {"metadata": {"name": "big"}, "data": {"a": "x" * LIMIT}}
    for answer in (wire.post(maps, body), wire.patch(f"{maps}/big", body, MERGE)):
        words = f"Request entity too large: limit is {LIMIT}"
        refused(answer, 413, "RequestEntityTooLarge", words)


def test_a_body_whose_length_nobody_told_has_the_same_limit(wire: Wire, maps: str):
    def chunks():
        yield b'{"metadata": {"name": "big"}, "data": {"a": "'
        for _ in range(4):
            yield b"x" * 1024 * 1024

    answer = wire.http.post(maps, content=chunks(), headers={"Content-Type": "application/json"})
    refused(answer, 413, "RequestEntityTooLarge", f"limit is {LIMIT}")


def test_a_configmap_has_at_most_one_mebibyte(wire: Wire, maps: str):
    body = {"metadata": {"name": "big"}, "data": {"a": "x" * 1024 * 1024, "b": "y"}}
    refused(wire.post(maps, body), 422, "Invalid", "Too long: ")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/pods/x"),
        ("PUT", "/pods"),
        ("PATCH", "/pods"),
        ("DELETE", "/pods/x/status"),
        ("GET", "/pods/x/binding"),
        ("POST", "/pods/x/status"),
    ],
)
def test_a_method_that_a_resource_does_not_have_is_not_allowed(
    wire: Wire, ns: str, method: str, path: str
):
    type = MERGE if method == "PATCH" else "application/json"
    answer = wire.request(method, ns + path, {}, type=type)
    words = "the server does not allow this method on the requested resource"
    refused(answer, 405, "MethodNotAllowed", words)


@pytest.mark.parametrize("path", ["/api/v1/nothings", "/apis/apps/v2/deployments", "/nothing"])
def test_nothing_is_where_nothing_is_served(wire: Wire, path: str):
    assert wire.get(path).status_code == 404


def test_a_slash_at_the_end_changes_nothing(wire: Wire, maps: str):
    assert wire.get(f"{maps}/").status_code in (200, 404)


def test_a_client_that_sends_its_body_slowly_holds_up_nobody(wire: Wire, maps: str, connect):
    with ExitStack() as stack:
        slow = []
        for _ in range(20):
            one = stack.enter_context(closing(connect()))
            one.sendall(head(wire, "POST", maps, **{"Content-Length": 1000}) + b'{"metadata"')
            slow.append(one)
        wire.ok("POST", maps, {"metadata": {"name": "quick"}})
        for one in slow:
            one.sendall(b":")


def test_many_idle_connections_hold_up_nobody(wire: Wire, maps: str, connect):
    with ExitStack() as stack:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for one in pool.map(lambda _: connect(), range(100)):
                stack.enter_context(closing(one))
        wire.ok("POST", maps, {"metadata": {"name": "quick"}})


def test_a_watch_that_is_not_read_holds_up_nobody(wire: Wire, maps: str, connect):
    with closing(connect()) as deaf:
        deaf.sendall(head(wire, "GET", f"{maps}?watch=true"))
        wire.ok("POST", maps, {"metadata": {"name": "big"}, "data": {"a": "x" * 200_000}})
        for turn in range(100):
            change = {"data": {"turn": str(turn)}}
            wire.ok("PATCH", f"{maps}/big", change, type=MERGE)
        assert wire.ok("GET", f"{maps}/big")["data"]["turn"] == "99"


def test_a_header_that_does_not_end_is_refused(wire: Wire, connect):
    with closing(connect()) as one:
        try:
            one.sendall(head(wire, "GET", "/version")[:-2] + b"X: " + b"x" * 2_000_000)
            answer = one.recv(4096)
        except OSError:
            answer = b""  # hung up
    assert not answer or answer.split()[1] in (b"400", b"431")
    assert wire.get("/version").status_code == 200


def test_what_is_not_http_is_refused(wire: Wire, connect):
    with closing(connect()) as one:
        one.sendall(b"what is this\r\n\r\n")
        assert b" 400 " in one.recv(4096).split(b"\r\n")[0] + b" "
    assert wire.get("/version").status_code == 200


def test_a_long_selector_is_understood(wire: Wire, maps: str):
    values = ",".join(f"value-{number}" for number in range(3000))
    assert wire.ok("GET", maps, labelSelector=f"a in ({values})")["items"] == []
