"""Port-forward: kubectl through a WebSocket and over SPDY, and the official client's channels."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import kubernetes
import pytest
from kubernetes.stream import portforward

from tests.api import pods
from tests.api.conftest import Wire, refused, until
from tests.api.pods import Kubectl, container

NOISE = bytes(range(256)) * 8192  # 2 MiB
# Answers with the length of what came before the end of input, and then with that itself.
ECHO = """
import os, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        data = self.rfile.read()
        self.wfile.write(b"%d\\n" % len(data) + data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server((os.environ.get("HOST", "0.0.0.0"), 7000), Handler).serve_forever()
"""
GREET = ECHO.replace("self.rfile.read()", 'b"hello " + self.rfile.readline()')


@pytest.fixture(scope="module")
def ns(wire: Wire) -> Iterator[str]:
    """A namespace with the Pod and Service `echo`, and the Pod `greet`."""
    with pods.room(wire) as path:
        ready = {"tcpSocket": {"port": 7000}, "periodSeconds": 1}
        for name, program in (("echo", ECHO), ("greet", GREET)):
            one = container("main", ["python3", "-c", program], readinessProbe=ready)
            pods.running(wire, path, pods.pod(name, one, labels={"app": name}))
        spec = {"selector": {"app": "echo"}, "ports": [{"port": 70, "targetPort": 7000}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}}
        wire.ok("POST", f"{path}/services", {**service, "spec": spec})
        yield path


@pytest.fixture(params=pods.programs(), ids=lambda path: Path(path).name)
def kubectl(request: pytest.FixtureRequest, kubeconfig: Path, ns: str) -> Kubectl:
    return Kubectl(request.param, kubeconfig, ns)


@contextmanager
def forwarded(kubectl: Kubectl, what: str, port: int) -> Iterator[tuple[str, int]]:
    """The local end of `kubectl port-forward`."""
    with kubectl.start("port-forward", what, f":{port}", stdout=-1, stderr=-1) as process:
        try:
            line = process.stdout.readline().decode()
            found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
            assert found, line + process.stderr.read().decode()
            yield "127.0.0.1", int(found[1])
        finally:
            process.terminate()


def asked(address: tuple[str, int], data: bytes) -> bytes:
    """The answer to all of `data`."""
    with socket.create_connection(address, timeout=20) as connection:
        sender = threading.Thread(target=sends, args=(connection, data))
        sender.start()
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        sender.join()
    return answer


def sends(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("what", "port"), [("pod/echo", 7000), ("svc/echo", 70)])
def test_kubectl_forwards_a_port(kubectl: Kubectl, what: str, port: int) -> None:
    with forwarded(kubectl, what, port) as address:
        assert asked(address, b"hello") == b"5\nhello"
        answer = asked(address, NOISE)
    assert hashlib.sha256(answer).digest() == hashlib.sha256(b"2097152\n" + NOISE).digest()


def test_connections_do_not_mix(kubectl: Kubectl) -> None:
    answers: dict[int, bytes] = {}
    with forwarded(kubectl, "pod/echo", 7000) as address:

        def ask(number: int) -> None:
            answers[number] = asked(address, b"%d" % number * 50_000)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: b"50000\n" + b"%d" % n * 50_000 for n in range(10)}


def test_a_port_where_nothing_listens_is_an_error(kubectl: Kubectl) -> None:
    with kubectl.start("port-forward", "pod/echo", ":7999", stdout=-1, stderr=-1) as process:
        port = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline().decode())[1]
        assert asked(("127.0.0.1", int(port)), b"") == b""
        line = process.stderr.readline().decode()
        assert "error forwarding port 7999 to pod" in line
        assert "connection refused" in line
        process.terminate()


@pytest.fixture
def official(configuration: kubernetes.client.Configuration, ns: str) -> Callable:
    """Forward ports of a Pod with the official client."""

    def call(name: str, *ports: int) -> portforward:
        api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
        return portforward(
            api.connect_get_namespaced_pod_portforward,
            name,
            ns.rsplit("/", 1)[1],
            ports=",".join(map(str, ports)),
        )

    return call


def test_the_official_client_forwards_a_port(official: Callable) -> None:
    forward = official("greet", 7000)
    connection = forward.socket(7000)
    connection.settimeout(20)
    connection.sendall(b"you\n")
    assert b"".join(iter(lambda: connection.recv(4096), b"")) == b"10\nhello you\n"
    assert forward.error(7000) is None
    forward.close()


def test_the_official_client_hears_of_a_port_where_nothing_listens(official: Callable) -> None:
    forward = official("greet", 7000, 7999)
    connection = forward.socket(7999)
    connection.settimeout(20)
    until(lambda: forward.error(7999), what="the error has come")
    assert "error forwarding port 7999 to pod" in forward.error(7999)
    forward.close()


def test_port_forward_is_no_ordinary_request(wire: Wire, ns: str) -> None:
    answer = wire.get(f"{ns}/pods/echo/portforward", ports=7000)
    refused(answer, 400, "BadRequest", "Upgrade request required")
