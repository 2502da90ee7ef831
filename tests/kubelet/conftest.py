"""A kubelet with an API server in memory, on the embedded engine or on a real dockerd.

Tests that take `lab` run on both engines: what they assert holds for any Docker engine.  The real
one is skipped where there is no daemon, or its fixture image cannot be made (it is made from a
static busybox, for no image can be pulled offline).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import ssl
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import MemoryStore
from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.engine import Engine
from labkit.kube.resources import CONFIG_MAPS, EVENTS, NODES, PODS
from labkit.kubelet import Kubelet, KubeletSettings
from tests.conftest import DOCKER_SOCKET, missing

IMAGE = "busybox:1.36"  # a shell, on either engine
NODE_IP = "127.0.0.1"
_DOCKERFILE = """
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]
CMD ["/bin/sleep", "1000000"]
"""


class SteppedClock(Clock):
    """The wall clock, which a test can set forward; sleepers notice at once."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stepped = asyncio.Event()

    def now(self) -> float:
        return super().now() + self._ahead

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        due = self.monotonic() + max(0.0, seconds)
        await asyncio.sleep(0)
        while (left := due - self.monotonic()) > 0:
            # Not wait_for, which may swallow a cancellation that comes with a step.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stepped.wait()

    def step(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._ahead += seconds
        self._stepped.set()
        self._stepped = asyncio.Event()


class Lab:
    """One API server, one engine, and as many kubelets as a test starts."""

    def __init__(
        self, client: Client, clock: SteppedClock, docker_url: str, directory: Path, cidr: str
    ) -> None:
        self.client, self.clock, self.docker_url = client, clock, docker_url
        self.directory, self.cidr = directory, cidr
        self.node = f"node-{uuid.uuid4().hex[:8]}"
        self.kubelets: list[Kubelet] = []

    async def kubelet(
        self,
        client: Client | None = None,
        serving_ssl: ssl.SSLContext | None = None,
        **settings: object,
    ) -> Kubelet:
        """A running kubelet of the lab's node."""
        kubelet = Kubelet(
            client or self.client,
            self.clock,
            node_name=self.node,
            node_ip=NODE_IP,
            docker_url=self.docker_url,
            cluster_dns="127.96.0.10",
            cluster_dns_port=1053,
            root_dir=self.directory / "kubelet",
            serving_ssl=serving_ssl,
            settings=KubeletSettings(**{"port": 0, "pod_cidr": self.cidr, **settings}),
        )
        self.kubelets.append(kubelet)
        await kubelet.start()
        return kubelet

    async def create(self, spec: Mapping, name: str = "web", **meta: object) -> dict:
        """A Pod, bound to the lab's node."""
        body = {
            "metadata": {"name": name, "namespace": "default", **meta},
            "spec": {"nodeName": self.node, **spec},
        }
        return await self.client.create(PODS, body)

    async def pod(self, name: str = "web") -> dict | None:
        """The Pod, or None."""
        try:
            return await self.client.get(PODS, name, "default")
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def until(
        self, test: Callable[[dict | None], object], name: str = "web", seconds: float = 20
    ) -> dict | None:
        """The Pod as soon as `test` is true of it."""
        try:
            async with asyncio.timeout(seconds):
                while not test(pod := await self.pod(name)):  # noqa: ASYNC110 (bounded)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            status = pod and pod.get("status")
            pytest.fail(f"not within {seconds:g} s; status: {status}; {await self.events()}")
        return pod

    async def settle(self, unsettled: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
        """Return when `unsettled()` is no longer true."""
        async with asyncio.timeout(seconds):
            while await unsettled():  # noqa: ASYNC110 (bounded)
                await asyncio.sleep(0.01)

    async def said(self, word: str, name: str = "web") -> None:
        """Return when the first container of the Pod has written `word`."""
        from aiodocker import Docker

        pod = await self.until(lambda pod: container(pod).get("containerID"), name)
        async with Docker(url=self.docker_url) as docker:
            own = docker.containers.container(container(pod)["containerID"].partition("://")[2])

            async def silent() -> bool:
                return word not in "".join(await own.log(stdout=True))

            await self.settle(silent)

    async def events(self) -> list[str]:
        """The Events of all Pods, as `reason: message`, in order."""
        await asyncio.sleep(0.05)  # they are sent in the background
        items = (await self.client.list(EVENTS, "default"))["items"]
        items = [one for one in items if one["involvedObject"]["kind"] == "Pod"]
        items.sort(key=lambda one: one["metadata"]["name"].rsplit(".", 1)[1])
        return [f"{one['reason']}: {one['message']}" for one in items]

    async def node_object(self) -> dict:
        """The lab's Node."""
        return await self.client.get(NODES, self.node)

    async def clean(self) -> None:
        """Stop the kubelets and remove the node's containers and network."""
        from aiodocker import Docker

        for kubelet in self.kubelets:
            await kubelet.stop()
        async with Docker(url=self.docker_url) as docker:
            mine = {"filters": f'{{"label": ["io.labkit.node={self.node}"]}}', "all": "true"}
            for container in await docker.containers.list(**mine):
                await container.delete(force=True)
            for network in await docker.networks.list(filters={"name": [self.node]}):
                await (await docker.networks.get(network["Id"])).delete()


def shell(script: str, **fields: object) -> dict:
    """A container that runs `script` with sh."""
    return {"name": "app", "image": IMAGE, "command": ["/bin/sh", "-c", script], **fields}


RUNS_ON = "trap 'exit 0' TERM; while :; do sleep 0.1; done"  # until it is asked to end
DEAF = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"  # until it is killed


def is_ready(pod: Mapping | None) -> bool:
    """Whether the Pod is Ready."""
    return condition(pod, "Ready") == "True"


def condition(pod: Mapping | None, kind: str) -> str:
    """The status of one condition."""
    for one in ((pod or {}).get("status") or {}).get("conditions") or ():
        if one["type"] == kind:
            return one["status"]
    return ""


def container(pod: Mapping | None, name: str = "app") -> dict:
    """The status of one container; empty before there is one."""
    status = (pod or {}).get("status") or {}
    every = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return next((one for one in every if one["name"] == name), {"state": {}, "restartCount": 0})


def waits_for(reason: str, name: str = "app") -> Callable[[Mapping | None], bool]:
    """Whether a container waits, for that reason."""
    return lambda pod: container(pod, name)["state"].get("waiting", {}).get("reason") == reason


@pytest.fixture(scope="session")
def dockerd() -> str:
    """The URL of a real Docker daemon that has the test's images."""
    docker = shutil.which("docker")
    if docker is None or not Path(DOCKER_SOCKET).exists():
        missing("docker", "there is no Docker daemon")
    if subprocess.run([docker, "info"], capture_output=True).returncode:
        missing("docker", "the Docker daemon does not answer")
    busybox = shutil.which("busybox")
    if busybox is None:
        missing("docker", "there is no busybox to make the test's image from")
    with tempfile.TemporaryDirectory() as place:
        shutil.copy(busybox, place)
        (Path(place) / "Dockerfile").write_text(_DOCKERFILE)
        for tag in (IMAGE, "registry.k8s.io/pause:3.10"):
            if subprocess.run([docker, "image", "inspect", tag], capture_output=True).returncode:
                build = ["docker", "build", "-q", "-t", tag, place]
                subprocess.run(build, check=True, capture_output=True)
    return f"unix://{DOCKER_SOCKET}"


@pytest.fixture
def clock() -> SteppedClock:
    """The clock of everything in a test."""
    return SteppedClock()


@pytest.fixture
async def client(clock: SteppedClock) -> AsyncIterator[Client]:
    """A client of an API server in memory."""
    server = APIServer(MemoryStore(), clock, service_cidr="127.96.0.0/16")
    await server.start()
    client = Client(server.transport(User("system:admin", ("system:masters",))))
    # A controller makes it where there is one; every Pod has it in a volume.
    meta = {"name": "kube-root-ca.crt", "namespace": "default"}
    await client.create(CONFIG_MAPS, {"metadata": meta, "data": {"ca.crt": ""}})
    yield client
    await server.stop()


class EmbeddedLab(Lab):
    """A Lab with an embedded engine of its own."""

    engine: Engine

    @classmethod
    async def start(cls, client: Client, clock: SteppedClock, directory: Path) -> EmbeddedLab:
        # A unix socket's path must be short.
        place = Path(tempfile.mkdtemp(prefix="labkit-"))
        lab = cls(client, clock, f"unix://{place / 'engine.sock'}", directory, "127.249.1.0/24")
        lab.engine = Engine(place / "engine", place / "engine.sock", clock)
        await lab.engine.start()
        return lab

    async def restart_engine(self) -> None:
        """A new engine in the place of the stopped one."""
        self.engine = Engine(self.engine.state_dir, self.engine.socket_path, self.clock)
        await self.engine.start()

    async def clean(self) -> None:
        await super().clean()
        await self.engine.stop()
        shutil.rmtree(self.engine.state_dir.parent, ignore_errors=True)


@pytest.fixture
async def embedded(client: Client, clock: SteppedClock, tmp_path: Path):
    """A Lab on the embedded engine, whose time a test may set forward."""
    lab = await EmbeddedLab.start(client, clock, tmp_path)
    yield lab
    await lab.clean()


@pytest.fixture(params=["embedded", "dockerd"])
async def lab(request: pytest.FixtureRequest, client: Client, clock: SteppedClock, tmp_path: Path):
    """A Lab on either engine."""
    if request.param == "embedded":
        lab = await EmbeddedLab.start(client, clock, tmp_path)
    else:
        # A random subnet, for others may use the daemon too, outside of what it assigns by itself.
        cidr = f"10.{random.randrange(220, 240)}.{random.randrange(256)}.0/24"
        lab = Lab(client, clock, request.getfixturevalue("dockerd"), tmp_path, cidr)
    yield lab
    await lab.clean()
