"""A real Docker daemon as a cluster's container engine: what it needs besides the daemon.

The nodes' kubelets speak to dockerd as they speak to the embedded engine.  Two things are wanting:

- **Addresses.**  Pods of all nodes are on one Docker network, whose bridge is on this machine, so
  that every Pod's address is reached from here.  The other way, containers reach
  this machine at any address that it takes for its own; so the ranges of Services and nodes are
  made its own, and Service proxy, DNS and API server listen there as they do on loopback addresses.
- **An end.**  Containers are children of dockerd and outlive the cluster's daemon.

Both are done by the guard (`labkit/apps/guard`), a container with the host's network that is
connected to us: it makes the routes, binds sockets to ports that an ordinary user may not have, and
removes every container, the network and the routes when the connection closes, however we died.
Should the guard itself be killed, the next `labkit up` or `labkit down` starts it again.

What that asks for: a dockerd on this very machine, on a unix socket, that is not rootless.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from labkit.clusters import docker_images
from labkit.clusters.addresses import API_PORT, Addresses, is_free
from labkit.clusters.paths import ClusterDir
from labkit.errors import ClusterError

_GUARD_LABEL = "io.labkit.guard"
_SOCKET = "guard.sock"
_GUARD_SECONDS = 60.0  # until the guard has removed what was left, and is ready
_ANSWER_SECONDS = 5.0
_SWEEP_SECONDS = 60.0
_FAILED = 1  # the exit code of a guard that could not remove everything
_PACKET = 4096
_ERRORS = (DockerError, aiohttp.ClientError, OSError)


class DockerEngine:
    """A cluster's part of the Docker daemon at `url`, with `network` for its Pods."""

    def __init__(
        self,
        directory: ClusterDir,
        addresses: Addresses,
        network: str,
        url: str,
        report: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._directory, self._addresses, self._url = directory, addresses, url
        self._network = network
        self._report = report
        self._guard: socket.socket | None = None

    async def start(self) -> None:
        """Have images, addresses and a network.  Raises ClusterError."""
        async with connected(self._url) as docker:
            try:
                await docker_images.ensure(docker, self._report)
                await self._start_guard(docker)
                self._check_addresses()
                await self._make_network(docker)
            except _ERRORS as error:
                raise _refused(self._url, error) from error

    async def stop(self) -> None:
        """Let the guard remove everything.  Safe to repeat."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def bind(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """Bind a socket, also to a port that is root's alone.  Raises OSError."""
        try:
            sock.bind(address)
        except PermissionError:
            if self._guard is None:
                raise
            _have_bound(self._guard, sock, address)

    async def _start_guard(self, docker: Docker) -> None:
        with _listening(self._directory) as listener:
            container = await run_guard(docker, self._directory, self._addresses, self._url)
            try:
                async with asyncio.timeout(_GUARD_SECONDS):
                    self._guard = await _accepted(listener, container)
            except TimeoutError:
                raise _guard_failed("it took too long") from None

    def _check_addresses(self) -> None:
        if not is_free(self._addresses.api_server, API_PORT):
            raise ClusterError(
                f"The address {self._addresses.api_server} is not this machine's.",
                "The Docker daemon runs on another machine, in a virtual machine, or without root.",
                "Use the embedded engine: labkit up --engine embedded",
            )

    async def _make_network(self, docker: Docker) -> None:
        own = self._addresses
        # What is started by hand in the network gets an address that is no node's.
        subnet = {"Subnet": own.cluster_cidr, "IPRange": own.bridge_cidr}
        config = {
            "Name": self._network,
            "CheckDuplicate": True,
            "Labels": self._directory.docker_labels,
            "IPAM": {"Config": [subnet]},
        }
        await docker.networks.create(config)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Docker]:
    """The daemon at `url`, seen to answer.  Raises ClusterError."""
    if not url.startswith("unix://"):
        raise ClusterError(
            f"The Docker daemon at {url} is not on this machine.",
            "A cluster needs the containers' addresses, which only the machine of the daemon has.",
            "Name its socket: export DOCKER_HOST=unix:///var/run/docker.sock",
        )
    docker = Docker(url=url)
    try:
        try:
            info = await docker.system.info()
        except _ERRORS as error:
            raise _no_answer(url, error) from error
        if info.get("OperatingSystem") == "labkit":
            raise ClusterError(
                f"{url} is an embedded engine, not a Docker daemon.",
                "DOCKER_HOST names the engine of a cluster that is up, as after `labkit env`.",
                "Take the variable away: unset DOCKER_HOST",
            )
        yield docker
    finally:
        await docker.close()


async def build_images(url: str, report: Callable[[str], None]) -> None:
    """Have the images that chapters deploy on the daemon at `url`.  Raises ClusterError."""
    async with connected(url) as docker:
        try:
            await docker_images.ensure(docker, report, docker_images.COURSE)
        except _ERRORS as error:
            raise _no_answer(url, error) from error


def _no_answer(url: str, error: Exception) -> ClusterError:
    return ClusterError(
        f"The Docker daemon at {url} does not answer: {_words(error)}.",
        "It does not run, or this user may not use it.",
        f"Ask it yourself: docker -H {url} info (or do without: labkit up --engine embedded)",
    )


def _refused(url: str, error: Exception) -> ClusterError:
    return ClusterError(
        f"The Docker daemon at {url} refused what a cluster needs: {_words(error)}",
        "It has less rights than a daemon of root, or its addresses are used otherwise.",
        "Use the embedded engine: labkit up --engine embedded",
    )


def _words(error: Exception) -> str:
    return error.message if isinstance(error, DockerError) else str(error)


# The guard


async def run_guard(docker: Docker, directory: ClusterDir, addresses: Addresses, url: str):
    """Start the cluster's guard, in the place of an older one."""
    await _remove_guards(docker, directory)
    (label,) = directory.docker_labels.items()
    wanted = {
        "label": "=".join(label),
        "self": f"{_GUARD_LABEL}={directory.root}",
        "number": addresses.number,
        "ranges": [addresses.service_cidr, addresses.node_cidr],
    }
    config = {
        "Image": docker_images.GUARD,
        "Env": [f"LABKIT_GUARD={json.dumps(wanted)}"],
        "Labels": {_GUARD_LABEL: str(directory.root)},
        "HostConfig": {
            "NetworkMode": "host",
            "CapAdd": ["NET_ADMIN"],
            # Without it SELinux keeps containers from the two sockets.
            "SecurityOpt": ["label=disable"],
            "Binds": [
                f"{directory.root}:/cluster",
                f"{url.removeprefix('unix://')}:/var/run/docker.sock",
            ],
        },
    }
    container = await docker.containers.create(config)
    await container.start()
    return container


async def _guards(docker: Docker, directory: ClusterDir) -> list:
    mine = json.dumps({"label": [f"{_GUARD_LABEL}={directory.root}"]})
    return await docker.containers.list(all="true", filters=mine)


async def _remove_guards(docker: Docker, directory: ClusterDir) -> None:
    for old in await _guards(docker, directory):
        try:
            await old.delete(force=True)
        except DockerError as error:
            if error.status not in (404, 409):  # 409: its removal is under way
                raise


async def sweep(directory: ClusterDir, addresses: Addresses, url: str) -> None:
    """Return when nothing of a cluster without a daemon is left.  Raises ClusterError."""
    async with connected(url) as docker:
        try:
            guards = await _guards(docker, directory)
            if not guards:
                guards = [await run_guard(docker, directory, addresses, url)]
            async with asyncio.timeout(_SWEEP_SECONDS):
                for guard in guards:
                    await _gone(guard)
        except (*_ERRORS, TimeoutError) as error:
            raise _refused(url, error) from error


async def _gone(guard) -> None:
    """Return when the guard has ended, which removes itself as its last act."""
    try:
        if (await guard.wait())["StatusCode"] == _FAILED:
            await guard.delete(force=True)
        await guard.wait(condition="removed")
    except DockerError as error:
        if error.status != 404:
            raise


@contextmanager
def _listening(directory: ClusterDir):
    """The socket that the guard connects to; a directory's path may be too long for its name."""
    place = os.open(directory.root, os.O_PATH | os.O_DIRECTORY)
    name = f"/proc/self/fd/{place}/{_SOCKET}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        (directory.root / _SOCKET).unlink(missing_ok=True)
        listener.bind(name)
        listener.listen(1)
        listener.setblocking(False)
        yield listener
    finally:
        listener.close()
        (directory.root / _SOCKET).unlink(missing_ok=True)
        os.close(place)


async def _accepted(listener: socket.socket, container) -> socket.socket:
    """The connection of the guard once it is ready.  Raises ClusterError if it ends before."""
    loop = asyncio.get_running_loop()
    ended = asyncio.create_task(container.wait())
    ready = asyncio.create_task(_ready(loop, listener))
    try:
        await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
        if ready.done() and (guard := ready.result()):
            return guard
        raise _guard_failed("".join(await container.log(stdout=True, stderr=True))[-500:].strip())
    finally:
        for task in (ended, ready):
            task.cancel()


async def _ready(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> socket.socket | None:
    guard, _ = await loop.sock_accept(listener)
    if await loop.sock_recv(guard, _PACKET):
        guard.settimeout(_ANSWER_SECONDS)
        return guard
    guard.close()
    return None


def _guard_failed(why: str) -> ClusterError:
    return ClusterError(
        f"The cluster's guard on the Docker daemon ended: {why}.",
        "It makes the addresses of Services known to this machine, which needs a daemon of root.",
        "Use the embedded engine: labkit up --engine embedded",
    )


def _have_bound(guard: socket.socket, sock: socket.socket, address: tuple[str, int]) -> None:
    """Pass the guard our socket; what it does to it is done to ours."""
    socket.send_fds(guard, [json.dumps(address).encode()], [sock.fileno()])
    answer = guard.recv(_PACKET)
    code = json.loads(answer)["errno"] if answer else errno.EACCES
    if code:
        raise OSError(code, os.strerror(code))
