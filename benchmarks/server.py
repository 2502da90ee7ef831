"""Our own API server, in a process of its own with a store on disk."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from labkit.apiserver.core import APIServer
from labkit.apiserver.http import HTTPServer
from labkit.apiserver.store_sqlite import SQLiteStore
from labkit.clock import Clock
from labkit.clusters import kubeconfig as writer
from labkit.clusters.pki import CertificateAuthority


@contextmanager
def own_server() -> Iterator[tuple[Path, int]]:
    """(kubeconfig, process id) of the server, until the block ends."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="labkit-") as directory:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(directory, theirs), daemon=True)
        process.start()
        theirs.close()  # so that the child's end, however it comes, is the end of the pipe
        try:
            yield Path(ours.recv()), process.pid
        finally:
            process.terminate()
            process.join(10)


def _serve(directory: str, pipe) -> None:
    """The child's main function: serve until terminated."""
    home, clock = Path(directory), Clock()
    authority = CertificateAuthority(home / "pki", clock.now())
    authority.server("apiserver", "kube-apiserver", ("127.0.0.1",))
    authority.client(writer.ADMIN, "kubernetes-admin", "system:masters")

    async def run() -> None:
        store = SQLiteStore(home / "state.db")
        api = APIServer(store, clock, service_cidr="127.96.0.0/16")
        await api.start()
        http = HTTPServer(
            api,
            ssl_context=authority.server_context("apiserver", clients=ssl.CERT_OPTIONAL),
            hosts=[("127.0.0.1", 0)],
            kubelet_client=authority.client_context(writer.ADMIN),
            clock=clock,
            audit_log=home / "audit.log",
        )
        await http.start()
        port = http.addresses[0][1]
        writer.write(home / "config", "bench", f"https://127.0.0.1:{port}", authority)
        gc.collect()
        gc.freeze()  # as a cluster's daemon does
        pipe.send(str(home / "config"))
        await asyncio.Event().wait()

    uvloop.run(run())
