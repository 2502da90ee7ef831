"""`proxy` of Pods, Services and nodes: requests that reach a program in the cluster."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api import pods
from tests.api.conftest import Wire, refused, until
from tests.api.pods import Kubectl, container

# Tells what it was asked, redirects, sends pages, and streams.
PROGRAM = """
import http.server, json, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        size = self.headers.get("Content-Length")
        body = self.rfile.read(int(size)) if size else b""
        where = self.path.partition("?")[0]
        if where == "/away":
            return self.reply(302, b"", Location="/elsewhere?a=b")
        if where == "/page":
            html = b'<a href="/root">r</a> <a href="near">n</a> <img src=/pic.png> <p id="/x">'
            return self.reply(200, html, **{"Content-Type": "text/html; charset=utf-8"})
        if where == "/teapot":
            return self.reply(418, b"short and stout")
        if where == "/length":
            return self.reply(200, b"%d" % len(body))
        if where == "/slow":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(3):
                self.wfile.write(b"5\\r\\nstep%d\\r\\n" % number)
                self.wfile.flush()
                time.sleep(0.3)
            return self.wfile.write(b"0\\r\\n\\r\\n")
        said = {"method": self.command, "path": self.path, "headers": dict(self.headers),
                "body": body.decode("latin-1")}
        self.reply(200, json.dumps(said).encode(), **{"Content-Type": "application/json"})
    def reply(self, code, body, **headers):
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer
    def log_message(self, *_): pass
host = os.environ.get("HOST", "0.0.0.0")
http.server.ThreadingHTTPServer((host, 7000), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def ns(wire: Wire) -> Iterator[str]:
    """A namespace with the Pod and the Service `web`, and the Service `none` without a Pod."""
    with pods.room(wire) as path:
        ready = {"tcpSocket": {"port": 7000}, "periodSeconds": 1}
        ports = [{"containerPort": 7000}]
        one = container("main", ["python3", "-c", PROGRAM], readinessProbe=ready, ports=ports)
        pods.running(wire, path, pods.pod("web", one, labels={"app": "web"}))
        for name in ("web", "none"):
            ports = [{"name": "http", "port": 80, "targetPort": 7000}]
            ports.append({"name": "closed", "port": 81, "targetPort": 7001})
            service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
            spec = {"selector": {"app": name}, "ports": ports}
            wire.ok("POST", f"{path}/services", {**service, "spec": spec})
        ready_service = f"{path}/services/web:http/proxy/"
        until(lambda: wire.get(ready_service).status_code == 200, what="the endpoint is ready")
        yield path


@pytest.fixture(params=["pods/web", "pods/web:7000", "services/web:http", "services/web:80"])
def base(request: pytest.FixtureRequest, ns: str) -> str:
    return f"{ns}/{request.param}/proxy"


def test_path_and_query_arrive_as_they_were(wire: Wire, base: str) -> None:
    said = wire.http.get(f"{base}/a%2Fb/c%20d/?x=1&x=2&y=%26").json()
    assert (said["method"], said["path"]) == ("GET", "/a%2Fb/c%20d/?x=1&x=2&y=%26")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_method_passes_with_its_body(wire: Wire, ns: str, method: str) -> None:
    base = f"{ns}/services/web:http/proxy"
    said = wire.request(method, f"{base}/it", b"\x00\xff", type="application/x-own").json()
    assert (said["method"], said["path"], said["body"]) == (method, "/it", "\x00\xff")
    assert said["headers"]["Content-Type"] == "application/x-own"


def test_headers_pass_but_for_those_of_the_connection(wire: Wire, ns: str) -> None:
    headers = {"X-Own": "1", "Authorization": "Bearer secret", "Keep-Alive": "timeout=5"}
    if "Authorization" in wire.http.headers:
        del headers["Authorization"]
    said = wire.get(f"{ns}/pods/web/proxy/", headers=headers).json()["headers"]
    assert said["X-Own"] == "1"
    assert not {"Authorization", "Keep-Alive"} & said.keys()
    assert said["X-Forwarded-Uri"] == f"{ns}/pods/web/proxy/"


def test_the_answer_comes_back_as_it_is(wire: Wire, base: str) -> None:
    answer = wire.get(f"{base}/teapot")
    assert (answer.status_code, answer.content) == (418, b"short and stout")


def test_head_has_no_body(wire: Wire, base: str) -> None:
    answer = wire.request("HEAD", f"{base}/teapot")
    assert (answer.status_code, answer.content) == (418, b"")


def test_a_body_may_be_larger_than_an_object(wire: Wire, base: str) -> None:
    answer = wire.post(f"{base}/length", os.urandom(10_000_000), type="application/octet-stream")
    assert (answer.status_code, answer.content) == (200, b"10000000")


def test_an_answer_comes_as_it_is_written(wire: Wire, base: str) -> None:
    with wire.http.stream("GET", f"{base}/slow") as answer:
        assert next(answer.iter_raw()) == b"step0"


def test_without_a_slash_one_is_sent_to_it(wire: Wire, base: str) -> None:
    answer = wire.get(base, a="b")
    assert (answer.status_code, answer.headers["Location"]) == (301, f"{base}/?a=b")


def test_redirects_stay_behind_the_proxy(wire: Wire, base: str) -> None:
    answer = wire.get(f"{base}/away")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{base}/elsewhere?a=b")


def test_links_of_pages_stay_behind_the_proxy(wire: Wire, base: str) -> None:
    text = wire.get(f"{base}/page").text
    assert f'<a href="{base}/root">r</a> <a href="near">n</a>' in text
    assert f"{base}/pic.png" in text
    assert '<p id="/x">' in text


# Refusals


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("services/none:http/proxy/", 'no endpoints available for service "none"'),
        ("services/web/proxy/", 'no endpoints available for service "web"'),
        ("services/web:other/proxy/", 'no endpoints available for service "web:other"'),
        ("services/web:82/proxy/", 'no service port 82 found for service "web"'),
        ("services/web:closed/proxy/", "error trying to reach service: dial tcp"),
        ("pods/web:7001/proxy/", "connect: connection refused"),
    ],
)
def test_what_cannot_be_reached_is_unavailable(
    wire: Wire, ns: str, path: str, message: str
) -> None:
    refused(wire.get(f"{ns}/{path}"), 503, "ServiceUnavailable", message)


def test_what_is_not_there_is_not_found(wire: Wire, ns: str) -> None:
    refused(wire.get(f"{ns}/pods/nobody/proxy/"), 404, "NotFound", 'pods "nobody" not found')
    answer = wire.get(f"{ns}/services/nobody:80/proxy/")
    refused(answer, 404, "NotFound", 'services "nobody" not found')
    answer = wire.get("/api/v1/nodes/nobody/proxy/healthz")
    refused(answer, 404, "NotFound", 'nodes "nobody" not found')


@pytest.mark.parametrize("name", ["ftp:web:7000", "a:b:c:d"])
def test_a_name_must_be_one(wire: Wire, ns: str, name: str) -> None:
    answer = wire.get(f"{ns}/pods/{name}/proxy/")
    refused(answer, 400, "BadRequest", f'invalid pod request "{name}"')
    answer = wire.get(f"{ns}/services/{name}/proxy/")
    refused(answer, 400, "BadRequest", f'invalid service request "{name}"')


# Nodes and kubectl


def test_a_nodes_proxy_reaches_its_kubelet(wire: Wire) -> None:
    node = wire.ok("GET", "/api/v1/nodes")["items"][0]["metadata"]["name"]
    answer = wire.get(f"/api/v1/nodes/{node}/proxy/healthz")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert wire.get(f"/api/v1/nodes/{node}/proxy/pods").json()["kind"] == "PodList"


def test_kubectl_gets_raw_answers(kubeconfig: Path, ns: str) -> None:
    kubectl = Kubectl("kubectl", kubeconfig, ns)
    done = kubectl("get", "--raw", f"{ns}/services/web:80/proxy/it?a=b")
    assert json.loads(done.stdout)["path"] == "/it?a=b"


def test_kubectl_proxy_shows_a_service_to_a_browser(kubeconfig: Path, ns: str) -> None:
    kubectl = Kubectl("kubectl", kubeconfig, ns)
    with kubectl.start("proxy", "--port=0", stdout=-1) as process:
        try:
            where = process.stdout.readline().decode().split()[-1]
            data = os.urandom(1_000_000)
            request = urllib.request.Request(
                f"http://{where}{ns}/services/web:http/proxy/it", data, method="PUT"
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                said = json.load(answer)
        finally:
            process.terminate()
    assert said["method"] == "PUT"
    assert hashlib.sha256(said["body"].encode("latin-1")).digest() == hashlib.sha256(data).digest()
