"""Services as a Pod sees them: names and addresses that lead to the Pods that are ready."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api import pods
from tests.api.conftest import Wire, until
from tests.api.pods import Kubectl, container

# Says at /... who it is and who asks, at two ports; takes its time to end.
PROGRAM = """
import http.server, os, signal, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = f"{os.environ['NAME']} {self.server.server_port} {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_): pass
host = os.environ.get("HOST", "0.0.0.0")
for port in (7000, 7001):
    server = http.server.ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(15), sys.exit()))
while True: signal.pause()
"""
PORTS = [{"name": "http", "containerPort": 7000}, {"name": "other", "containerPort": 7001}]
PROBE = {"tcpSocket": {"port": 7001}, "periodSeconds": 1}


def server(name: str, app: str, probe: dict = PROBE, **spec: object) -> dict:
    one = container(
        "server",
        ["python3", "-c", PROGRAM],
        env=[{"name": "NAME", "value": name}],
        ports=PORTS,
        readinessProbe=probe,
    )
    return pods.pod(name, one, labels={"app": app}, **spec)


@pytest.fixture(scope="module")
def ns(wire: Wire) -> Iterator[str]:
    with pods.room(wire) as path:
        yield path


@pytest.fixture(scope="module")
def client(wire: Wire, kubeconfig: Path, ns: str) -> Client:
    """A Pod that asks, beside `one` and `two`, which answer."""
    for made in (server("one", "web"), server("two", "web"), pods.pod("client", container("c"))):
        wire.ok("POST", f"{ns}/pods", made)
    for name in ("one", "two", "client"):
        path = f"{ns}/pods/{name}"
        until(lambda path=path: pods.is_ready(wire.ok("GET", path)), 60, "the Pods are ready")
    return Client(Kubectl("kubectl", kubeconfig, ns))


class Client:
    """Asks from inside of a Pod."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl

    def ask(self, place: str) -> list[str]:
        """What `http://PLACE/` says, in words; none where it does not answer."""
        done = self.run("wget", "-q", "-T", "5", "-O", "-", f"http://{place}/")
        return done.stdout.decode().split() if done.returncode == 0 else []

    def run(self, *words: str):
        return self.kubectl("exec", "client", "--", *words)

    def names(self, place: str, count: int) -> set[str]:
        """Who has answered so many requests."""
        loop = f"for i in $(seq {count}); do wget -q -T 5 -O - http://{place}/; echo; done"
        lines = self.run("sh", "-c", loop).stdout.decode().splitlines()
        assert len(lines) == count
        return {line.split()[0] for line in lines}


def service(wire: Wire, ns: str, name: str, **spec: object) -> dict:
    """A Service for the Pods of the app `web`, or others."""
    spec = {"selector": {"app": "web"}, "ports": [{"port": 8000, "targetPort": 7000}], **spec}
    spec = {field: value for field, value in spec.items() if value is not None}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    return wire.ok("POST", f"{ns}/services", made)


def slices(wire: Wire, ns: str, name: str) -> list[dict]:
    path = ns.replace("/api/v1/", "/apis/discovery.k8s.io/v1/") + "/endpointslices"
    return wire.ok("GET", path, labelSelector=f"kubernetes.io/service-name={name}")["items"]


def endpoints(wire: Wire, ns: str, name: str) -> list[dict]:
    return [one for found in slices(wire, ns, name) for one in found.get("endpoints") or ()]


def test_a_name_leads_to_every_ready_pod(wire: Wire, ns: str, client: Client):
    made = service(wire, ns, "web")
    until(lambda: client.ask("web:8000"), what="the Service answers")
    assert client.names("web:8000", 40) == {"one", "two"}
    assert client.ask(f"{made['spec']['clusterIP']}:8000")
    full = f"web.{ns.rsplit('/', 1)[1]}.svc.cluster.local"
    assert client.ask(f"{full}:8000")


def test_each_port_has_its_own_target_by_name_or_number(wire: Wire, ns: str, client: Client):
    ports = [
        {"name": "a", "port": 8000, "targetPort": "http"},
        {"name": "b", "port": 8001, "targetPort": "other"},
        {"name": "c", "port": 7001},
    ]
    service(wire, ns, "ports", ports=ports)
    until(lambda: client.ask("ports:8000"), what="the Service answers")
    assert [client.ask(f"ports:{port}")[1] for port in (8000, 8001, 7001)] == [
        "7000",
        "7001",
        "7001",
    ]


def test_a_client_keeps_its_pod_where_the_service_says_so(wire: Wire, ns: str, client: Client):
    service(wire, ns, "sticky", sessionAffinity="ClientIP")
    until(lambda: client.ask("sticky:8000"), what="the Service answers")
    assert len(client.names("sticky:8000", 20)) == 1


def test_a_service_without_ready_pods_refuses(wire: Wire, ns: str, client: Client):
    made = service(wire, ns, "nobody", selector={"app": "nobody"})
    address = f"{made['spec']['clusterIP']}:8000"
    until(lambda: b"refused" in client.run("wget", "-O", "-", f"http://{address}/").stderr)


def test_only_ready_pods_are_asked_unless_all_shall_be(wire: Wire, ns: str, client: Client):
    never = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    wire.ok("POST", f"{ns}/pods", server("unready", "starting", never))
    service(wire, ns, "careful", selector={"app": "starting"})
    service(wire, ns, "eager", selector={"app": "starting"}, publishNotReadyAddresses=True)
    until(lambda: client.ask("eager:8000")[:1] == ["unready"], what="it is asked all the same")
    (one,) = endpoints(wire, ns, "careful")
    assert one["conditions"] == {"ready": False, "serving": False, "terminating": False}
    (one,) = endpoints(wire, ns, "eager")
    assert one["conditions"]["ready"] is True
    assert client.ask("careful:8000") == []
    wire.delete(f"{ns}/pods/unready", gracePeriodSeconds=0)


def test_pods_that_end_are_asked_when_there_are_no_others(wire: Wire, ns: str, client: Client):
    made = server("leaving", "leaving", terminationGracePeriodSeconds=20)
    pods.running(wire, ns, made)
    service(wire, ns, "last", selector={"app": "leaving"})
    until(lambda: client.ask("last:8000"), what="the Service answers")
    wire.delete(f"{ns}/pods/leaving")

    def leaving() -> bool:
        (one,) = endpoints(wire, ns, "last")
        return one["conditions"] == {"ready": False, "serving": True, "terminating": True}

    until(leaving, what="the endpoint terminates")
    assert client.ask("last:8000")[:1] == ["leaving"]
    wire.delete(f"{ns}/pods/leaving", gracePeriodSeconds=0)


def test_a_headless_service_gives_each_pod_a_name(wire: Wire, ns: str, client: Client):
    service(wire, ns, "db", selector={"app": "db"}, clusterIP="None")
    made = server("db-0", "db", hostname="first", subdomain="db")
    pods.running(wire, ns, made)
    until(lambda: client.ask("first.db:7000"), what="the Pod has a name")
    assert client.ask("db:7001")[:2] == ["db-0", "7001"]
    assert endpoints(wire, ns, "db")[0]["hostname"] == "first"
    wire.delete(f"{ns}/pods/db-0", gracePeriodSeconds=0)


def test_an_external_name_is_another_name(wire: Wire, ns: str, client: Client):
    target = f"target.{ns.rsplit('/', 1)[1]}.svc.cluster.local"
    service(wire, ns, "target")
    service(wire, ns, "alias", type="ExternalName", externalName=target, selector=None, ports=None)
    until(lambda: client.ask("alias:8000"), what="the alias leads there")


def test_endpoints_of_a_service_without_selector_are_given_by_hand(
    wire: Wire, ns: str, client: Client
):
    address = wire.ok("GET", f"{ns}/pods/one")["status"]["podIP"]
    service(wire, ns, "manual", selector=None)
    group = ns.replace("/api/v1/", "/apis/discovery.k8s.io/v1/")
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "manual-1", "labels": {"kubernetes.io/service-name": "manual"}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 7000, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address]}],
    }
    wire.ok("POST", f"{group}/endpointslices", slice_)
    until(lambda: client.ask("manual:8000")[:1] == ["one"], what="the Service answers")


def test_endpoints_are_mirrored_into_slices(wire: Wire, ns: str, client: Client):
    address = wire.ok("GET", f"{ns}/pods/two")["status"]["podIP"]
    service(wire, ns, "older", selector=None)
    subsets = [{"addresses": [{"ip": address}], "ports": [{"port": 7001}]}]
    made = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "older"}}
    wire.ok("POST", f"{ns}/endpoints", {**made, "subsets": subsets})
    until(lambda: client.ask("older:8000")[:2] == ["two", "7001"], what="the Service answers")
    (mirror,) = slices(wire, ns, "older")
    label = "endpointslice.kubernetes.io/managed-by"
    assert mirror["metadata"]["labels"][label] == "endpointslicemirroring-controller.k8s.io"
    assert mirror["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
    wire.delete(f"{ns}/endpoints/older")
    until(lambda: not slices(wire, ns, "older"), what="the mirror goes")
