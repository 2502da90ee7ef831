"""No request is lost while a Deployment rolls, nor, through an Ingress, when a container is killed.

The load is labkit's own, from outside of the cluster, as a learner sends it.
A busy machine may answer late; late is not lost.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import urllib.error
import urllib.request
from typing import NamedTuple

import docker
import pytest

import labkit
from labkit import load
from labkit.clusters import engines, manage
from labkit.errors import UsageError
from tests.cluster.conftest import Kubectl, until

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: PODS
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: todolist
        env:
        - {name: REQUEST_CPU_MS, value: "1"}
        - {name: COLOUR, value: blue}
        ports: [{name: http, containerPort: 3001}]
        # On a machine that is busy with other things, slow shall not mean unready.
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1, timeoutSeconds: 10}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{name: http, port: 8080, targetPort: http}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations: {nginx.ingress.kubernetes.io/rewrite-target: /api/$2}
spec:
  tls: [{hosts: [shop.localhost]}]
  rules:
  - host: todo.localhost
    http:
      paths:
      - path: /v1(/|$)(.*)
        pathType: ImplementationSpecific
        backend: {service: {name: web, port: {name: http}}}
  - host: shop.localhost
    http:
      paths:
      - path: /v1(/|$)(.*)
        pathType: ImplementationSpecific
        backend: {service: {name: web, port: {number: 8080}}}
"""


class Size(NamedTuple):
    """How many Pods, how many requests a second, for how many seconds."""

    pods: int
    rate: int
    seconds: int


# A Docker daemon takes a second of CPU for each Pod, of which there is less for requests then.
SIZES = {engines.EMBEDDED: Size(10, 200, 8), engines.DOCKER: Size(4, 50, 4)}
PATIENT = {"timeout": 30.0, "connections": 4096}


@pytest.fixture(scope="module")
def size(cluster: manage.ClusterInfo) -> Size:
    return SIZES[cluster.engine]


@pytest.fixture(scope="module")
def web(k: Kubectl, size: Size) -> Kubectl:
    """Pods behind a Service and an Ingress."""
    k("apply", "-f", "-", input=WEB.replace("PODS", str(size.pods)))
    k("rollout", "status", "deployment/web", "--timeout=80s")
    return k


def service_url(k: Kubectl) -> str:
    spec = k.json("get", "service", "web")["spec"]
    return f"http://{spec['clusterIP']}:8080/api/rule"


def ingress_port(k: Kubectl, name: str = "http") -> int:
    """The node port of the Ingress controller."""
    ports = k.json("get", "service", "-n", "kube-system", "ingress-controller")["spec"]["ports"]
    return next(port["nodePort"] for port in ports if port["name"] == name)


@pytest.fixture(scope="module")
def any_host(web: Kubectl) -> str:
    """The URL of an Ingress for any host, which nobody's resolver has to know."""
    backend = {"service": {"name": "web", "port": {"number": 8080}}}
    path = {"path": "/api", "pathType": "Prefix", "backend": backend}
    made = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "any"},
        "spec": {"rules": [{"http": {"paths": [path]}}]},
    }
    web("apply", "-f", "-", input=json.dumps(made))
    url = f"http://127.0.0.1:{ingress_port(web)}/api/rule"
    until(lambda: ask(url)[0] == 200, 10, "the Ingress is served")
    return url


def ask(url: str, host: str = "") -> tuple[int, str]:
    """(status, body) of a GET; certificates are not looked at."""
    context = ssl._create_unverified_context()
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def names(k: Kubectl) -> set[str]:
    return {pod["metadata"]["name"] for pod in k.json("get", "pods", "-l", "app=web")["items"]}


@pytest.mark.parametrize(
    ("way", "keep_alive"),
    [("service", False), ("service", True), ("ingress", False)],
    ids=["service, a connection each", "service, kept connections", "ingress"],
)
def test_rolling_a_deployment_loses_no_request(
    web: Kubectl, cluster: manage.ClusterInfo, any_host: str, way: str, keep_alive: bool
):
    size = SIZES[cluster.engine]
    url, before = any_host if way == "ingress" else service_url(web), names(web)
    profile = load.step(size.rate, size.seconds)
    with load.start(url, profile, keep_alive=keep_alive, **PATIENT) as running:
        rows = running.follow()
        next(rows)
        web("set", "env", "deployment/web", f"COLOUR={way}{keep_alive}")
        web("rollout", "status", "deployment/web", "--timeout=80s")
        assert list(rows), "the load has outlasted the rollout"
    summary, served = running.summary, set(running.summary["served_by"])
    assert (summary["errors_by_kind"], summary["completed"]) == ({}, profile.requests)
    # A connection that is kept is to one Pod, and there are few at a time.
    least = 1 if keep_alive and way == "service" else size.pods - 2
    assert len(served & before) >= least
    assert len(served & names(web)) >= least


@pytest.mark.parametrize("way", ["service", "ingress"])
def test_a_killed_container_costs_no_more_than_the_requests_in_flight(
    web: Kubectl, size: Size, cluster: manage.ClusterInfo, any_host: str, way: str
):
    url = any_host if way == "ingress" else service_url(web)
    with load.start(url, load.step(size.rate, 4), **PATIENT) as running:
        rows = running.follow()
        next(rows)
        for pid in app_pids(cluster)[:2]:
            os.kill(pid, signal.SIGKILL)
        list(rows)
    # Of so many a second that take some milliseconds each, a few are with two of the Pods; through
    # the Ingress even those are asked for again.
    errors = running.summary["errors_by_kind"]
    assert set(errors) <= {"closed"}
    assert sum(errors.values()) <= (10 if way == "service" else 0)
    web("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    until(lambda: restarts(web) >= 2, 20, "the containers were started again")


def app_pids(cluster: manage.ClusterInfo) -> list[int]:
    """The processes of all running containers that serve, as Docker tells them."""
    engine = docker.DockerClient(base_url=cluster.docker_host)
    try:
        found = engine.containers.list(filters={"label": "io.kubernetes.container.name=web"})
        return [one.attrs["State"]["Pid"] for one in found]
    finally:
        engine.close()


def restarts(k: Kubectl) -> int:
    pods = k.json("get", "pods", "-l", "app=web")["items"]
    return sum(one["restartCount"] for pod in pods for one in pod["status"]["containerStatuses"])


def test_an_ingress_is_shown_with_its_address_and_leads_by_host_and_path(web: Kubectl):
    row = web("get", "ingress", "web", "--no-headers").split()
    address = row[3]
    assert row[:3] == ["web", "nginx", "todo.localhost,shop.localhost"]
    assert address.endswith(".0.80")
    told = web("describe", "ingress", "web")
    assert "Scheduled for sync" in told
    plain, secure = (ingress_port(web, name) for name in ("http", "https"))
    status, body = ask(f"http://127.0.0.1:{plain}/v1/rule", "todo.localhost")
    assert (status, json.loads(body)[0]["id"]) == (200, 1)
    assert ask(f"http://127.0.0.1:{plain}/v2", "todo.localhost")[0] == 404
    assert ask(f"http://127.0.0.1:{plain}/v1/rule", "unknown.localhost")[0] == 404
    assert ask(f"https://127.0.0.1:{secure}/v1/rule", "shop.localhost")[0] == 200
    metrics = ask(f"http://{address}:10254/metrics")[1]
    assert 'host="todo.localhost",ingress="web",method="GET",namespace="default"' in metrics


def test_a_notebook_gets_the_url_of_an_ingress(
    web: Kubectl, cluster: manage.ClusterInfo, any_host: str, monkeypatch: pytest.MonkeyPatch
):
    for name in cluster.environment():
        monkeypatch.setenv(name, "")  # what a Lab sets is taken back afterwards
    lab = labkit.Lab(name=cluster.name)
    assert lab.url("ingress/any") == any_host.removesuffix("api/rule")
    assert lab.url("ingress/web") == f"http://todo.localhost:{ingress_port(web)}/"
    patch = [{"op": "replace", "path": "/spec/rules/0/host", "value": "todo.example.org"}]
    web("patch", "ingress", "web", "--type=json", "-p", json.dumps(patch))
    with pytest.raises(UsageError, match=r"curl -H 'Host: todo\.example\.org'"):
        lab.url("ingress/web")
