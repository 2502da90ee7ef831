"""An API server on a free port of 127.0.0.1, for tests that come over the network.

`LABKIT_TEST_KUBECONFIG` names another cluster instead: what these tests assert of the API holds for
any Kubernetes.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvloop

from labkit.apiserver.core import APIServer
from labkit.apiserver.http import HTTPServer
from labkit.apiserver.store import MemoryStore
from labkit.clock import Clock
from labkit.clusters import kubeconfig
from labkit.clusters.pki import CertificateAuthority


class Certificates:
    """A CA of its own, with a server, an admin and a kubelet."""

    def __init__(self, directory: Path) -> None:
        self.authority = CertificateAuthority(directory, Clock().now())
        self.authority.server("apiserver", "kube-apiserver", ("127.0.0.1", "localhost"))
        self.authority.server("kubelet", "system:node:lab-worker", ("127.0.0.1",), "system:nodes")
        self.authority.client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        self.authority.client(kubeconfig.ADMIN, "kubernetes-admin", "system:masters")

    def server(self, clients: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLContext:
        """For an API server."""
        return self.authority.server_context("apiserver", clients=clients)

    def kubelet(self) -> ssl.SSLContext:
        """For a kubelet, which wants to see its clients' certificates."""
        return self.authority.server_context("kubelet", clients=ssl.CERT_REQUIRED)

    def client(self, name: str = kubeconfig.ADMIN) -> ssl.SSLContext:
        """For a client with a certificate."""
        return self.authority.client_context(name)

    def anonymous(self) -> ssl.SSLContext:
        """For a client without one."""
        return ssl.create_default_context(cafile=str(self.authority.certificate("ca")))

    def write_kubeconfig(self, path: Path, server: str) -> Path:
        """The admin's kubeconfig for a server."""
        kubeconfig.write(path, "test", server, self.authority)
        return path


@asynccontextmanager
async def serving(certificates: Certificates, api=None, audit_log: Path | None = None):
    """(APIServer, HTTPServer), both running; `api` replaces the first."""
    clock = Clock()
    own = api is None
    if own:
        api = APIServer(MemoryStore(), clock, service_cidr="127.96.0.0/16")
        await api.start()
    http = HTTPServer(
        api,
        ssl_context=certificates.server(),
        hosts=[("127.0.0.1", 0)],
        kubelet_client=certificates.client("kubelet-client"),
        clock=clock,
        audit_log=audit_log,
    )
    await http.start()
    try:
        yield api, http
    finally:
        await http.stop()
        if own:
            await api.stop()


def address(http: HTTPServer) -> str:
    """`https://127.0.0.1:port`."""
    host, port = http.addresses[0]
    return f"https://{host}:{port}"


@contextmanager
def served_in_thread(directory: Path) -> Iterator[Path]:
    """The kubeconfig of a server that runs in a thread, so that the test itself may block."""
    certificates = Certificates(directory / "pki")
    started, loops, stopping = threading.Event(), [], []

    async def run() -> None:
        stop = asyncio.Event()
        async with serving(certificates) as (_, http):
            certificates.write_kubeconfig(directory / "kubeconfig", address(http))
            loops.append(asyncio.get_running_loop())
            stopping.append(stop)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: uvloop.run(run()), daemon=True)
    thread.start()
    assert started.wait(10), "the server did not start"
    try:
        yield directory / "kubeconfig"
    finally:
        loops[0].call_soon_threadsafe(stopping[0].set)
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


def until(condition, seconds: float, what: str):
    """The first true answer of `condition`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return answer
