"""What an API server says on the wire: ours, or the one of `LABKIT_TEST_KUBECONFIG`.

Every test here holds for any conformant Kubernetes, and looks only at requests and answers.  The
cluster is a whole one, with controllers and nodes, brought up once for all of these tests.
"""

from __future__ import annotations

import json
import os
import ssl
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import httpx
import kubernetes
import pytest

from labkit.clusters import manage
from tests.conftest import take_down
from tests.kubectl.conftest import Kubectl

MERGE, JSON_PATCH, STRATEGIC, APPLY = (
    f"application/{kind}"
    for kind in (
        "merge-patch+json",
        "json-patch+json",
        "strategic-merge-patch+json",
        "apply-patch+yaml",
    )
)


class Wire:
    """Requests to one server as one user, and answers as they come.

    Parameters of the query are keyword arguments; `None` leaves one out.
    """

    def __init__(self, base: str, **options: object) -> None:
        self.base = base
        self.http = httpx.Client(base_url=base, timeout=30, trust_env=False, **options)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        **params: object,
    ) -> httpx.Response:
        """The answer, whatever its code."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {**({"Content-Type": type} if content is not None else {}), **(headers or {})}
        query = {name: _text(value) for name, value in params.items() if value is not None}
        return self.http.request(method, path, content=content, headers=sent, params=query)

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, body: object, **options: object) -> httpx.Response:
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: object, **options: object) -> httpx.Response:
        return self.request("PUT", path, body, **options)

    def patch(
        self, path: str, body: object, type: str = MERGE, **options: object
    ) -> httpx.Response:
        return self.request("PATCH", path, body, type=type, **options)

    def delete(self, path: str, body: object = None, **options: object) -> httpx.Response:
        return self.request("DELETE", path, body, **options)

    def ok(self, method: str, path: str, body: object = None, **options: object) -> dict:
        """The object in an answer that must be success."""
        answer = self.request(method, path, body, **options)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    @contextmanager
    def watch(self, path: str, seconds: int = 20, **params: object) -> Iterator[Iterator[dict]]:
        """The events of a watch, which ends after `seconds`."""
        query = {"watch": "true", "timeoutSeconds": str(seconds)}
        query |= {name: _text(value) for name, value in params.items() if value is not None}
        with self.http.stream("GET", path, params=query) as answer:
            if answer.status_code != 200:
                answer.read()
            assert answer.status_code == 200, answer.text
            yield (json.loads(line) for line in answer.iter_lines() if line)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def until(condition: Callable[[], object], seconds: float = 20, what: str = "it holds") -> object:
    """The first true answer of `condition`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def refused(answer: httpx.Response, code: int, reason: str, *parts: str) -> dict:
    """The Status of an answer that must be this refusal, with these parts in its message."""
    status = answer.json()
    assert (answer.status_code, status["kind"], status["status"]) == (code, "Status", "Failure")
    assert (status["code"], status.get("reason")) == (code, reason), status
    for part in parts:
        assert part in status["message"]
    return status


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """The kubeconfig of a cluster's administrator."""
    if given := os.environ.get("LABKIT_TEST_KUBECONFIG"):
        yield Path(given)
        return
    home = Path(tempfile.mkdtemp(prefix="labkit-"))
    try:
        # The home of what is tested later, until the end of the session, is another.
        with mock.patch.dict(os.environ, LABKIT_HOME=str(home)):
            # A node looks every minute whether a ConfigMap has changed; tests shall not wait long.
            cluster = manage.up("api", 2, {"sync-frequency": "2s"})
        yield Path(cluster.environment()["KUBECONFIG"])
    finally:
        take_down(home)


@pytest.fixture(scope="session")
def configuration(kubeconfig: Path) -> kubernetes.client.Configuration:
    """What the official client makes of the kubeconfig: host, ssl_ca_cert, cert_file, key_file."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    return configuration


@pytest.fixture(scope="session")
def wire(configuration: kubernetes.client.Configuration) -> Iterator[Wire]:
    """The administrator's requests."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    token = configuration.api_key.get("authorization")
    headers = {"Authorization": token} if token else {}
    wire = Wire(configuration.host, verify=context, headers=headers)
    yield wire
    wire.http.close()


@pytest.fixture(scope="session")
def stranger(configuration: kubernetes.client.Configuration) -> Iterator[Wire]:
    """Requests without an identity; give one with headers={"Authorization": "Bearer TOKEN"}."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    wire = Wire(configuration.host, verify=context)
    yield wire
    wire.http.close()


@pytest.fixture
def ns(wire: Wire) -> Iterator[str]:
    """The path of a fresh namespace: /api/v1/namespaces/NAME."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    wire.ok("POST", "/api/v1/namespaces", body)
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    until(lambda: wire.get(accounts).status_code == 200, what="the default ServiceAccount")
    yield f"/api/v1/namespaces/{name}"
    wire.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def k(kubectl: str, kubeconfig: Path, ns: str, tmp_path: Path) -> Kubectl:
    """kubectl in the same namespace."""
    # A home of its own: kubectl keeps discovery on disk, by the server's address.
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}
    return Kubectl(kubectl, environment, ns.rpartition("/")[2])


@pytest.fixture
def in_group(ns: str) -> Callable[[str], str]:
    """The same namespace in another group: in_group("apps/v1") → /apis/apps/v1/namespaces/NAME."""
    return lambda group: ns.replace("/api/v1/", f"/apis/{group}/")
