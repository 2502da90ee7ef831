"""An API server in a process of its own, on one store and one port, which can be killed.

`python -m tests.durability.server DIRECTORY PORT WINDOW` is that process: it says `ready` and
serves until it is ended.  SIGTERM ends it in order, SIGKILL does not.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import uvloop

from labkit.apiserver import core
from labkit.apiserver.collection import WINDOW
from labkit.apiserver.http import HTTPServer
from labkit.apiserver.state import State
from labkit.apiserver.store_sqlite import SQLiteStore
from labkit.clock import Clock
from labkit.clusters.pki import CertificateAuthority
from tests.serving import Certificates

ROOT = Path(__file__).parents[2]


class ServerProcess:
    """A server over the store `directory`/state.db; `kill` and `start` as often as one likes."""

    def __init__(self, directory: Path, window: int = WINDOW) -> None:
        """`window` is how many events of a resource are kept for watches that resume."""
        self.directory, self._window = directory, window
        self.certificates = Certificates(directory / "pki")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = self.certificates.write_kubeconfig(directory / "kubeconfig", self.url)
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start; return when it answers."""
        arguments = [str(self.directory), str(self.port), str(self._window)]
        command = [sys.executable, "-m", __name__, *arguments]
        log = open(self.directory / "log", "ab")  # noqa: SIM115 (the child's from now on)
        with log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout.readline() == "ready\n", self.log()

    def kill(self) -> None:
        """End it as a power cut would end it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, if it runs.  Safe to repeat."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.communicate(timeout=30)
            self.process = None

    def log(self) -> str:
        """What it has said on stderr, in all of its lives."""
        return (self.directory / "log").read_text()

    def http(self, **options: object) -> httpx.Client:
        """Requests as the administrator."""
        context = self.certificates.client()
        return httpx.Client(base_url=self.url, verify=context, trust_env=False, **options)


async def _serve(directory: Path, port: int, window: int) -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    core.State = partial(State, window=window)
    clock = Clock()
    authority = CertificateAuthority(directory / "pki", clock.now())
    api = core.APIServer(SQLiteStore(directory / "state.db"), clock, service_cidr="127.96.0.0/16")
    await api.start()
    http = HTTPServer(
        api,
        ssl_context=authority.server_context("apiserver", clients=ssl.CERT_OPTIONAL),
        hosts=[("127.0.0.1", port)],
        kubelet_client=authority.client_context("kubelet-client"),
        clock=clock,
    )
    await http.start()
    print("ready", flush=True)
    await ended.wait()
    await http.stop()
    await api.stop()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
