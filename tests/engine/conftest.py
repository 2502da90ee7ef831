"""Engines to test: the embedded one, and a real dockerd where there is one, behind one face.

The same tests run against both, so that the embedded engine cannot drift from what it imitates.
`LABKIT_TEST_DOCKER_HOST` names the real one (default: /var/run/docker.sock).  Everything made
there carries the label `labkit-test` and is removed.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from tests.conftest import DOCKER_SOCKET, missing

LABEL = "labkit-test"
REAL_IMAGE = f"labkit-test/busybox-{os.getpid()}"  # others may test here at the same time
DOCKERFILE = f"""FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENV PATH=/bin
LABEL labkit-test=image run={os.getpid()}
CMD ["sh"]
""".encode()
numbers = itertools.count()


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> object:
    """The first true answer of `condition`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)


class Lab:
    """One engine: its docker SDK client, and an image with a shell."""

    def __init__(self, kind: str, url: str, image: str) -> None:
        self.kind, self.url, self.image = kind, url, image
        self.client = docker.DockerClient(base_url=url)
        self.api = self.client.api
        self.prefix = f"labkit-test-{os.getpid()}-{next(numbers)}"

    def create(self, command: str | list[str], *, shell: bool = True, **options) -> Container:
        """A container that runs a shell `command`, labelled for the clean-up."""
        words = ["sh", "-c", command] if shell else command
        labels = {LABEL: self.prefix, **options.pop("labels", {})}
        return self.client.containers.create(self.image, words, labels=labels, **options)

    def run(self, command: str | list[str], **options) -> Container:
        """`create`, and start."""
        container = self.create(command, **options)
        container.start()
        return container

    def clean(self) -> None:
        """Remove what was made."""
        mine = {"label": f"{LABEL}={self.prefix}"}
        for container in self.client.containers.list(all=True, filters=mine):
            container.remove(force=True)
        for network in self.client.networks.list(filters=mine):
            network.remove()


@contextmanager
def serving(directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An embedded engine in a process of its own: the process, and the URL of its socket."""
    socket = directory / "docker.sock"
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit.engine", f"--state-dir={directory}/s", f"--socket={socket}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "DOCKER_HOST" in process.stdout.readline()
        yield process, f"unix://{socket}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


def build_real_image(client: docker.DockerClient) -> None:
    """An image of the static busybox alone, for nothing can be pulled where tests run."""
    busybox = shutil.which("busybox")
    if busybox is None:
        missing("docker", "no busybox to build an image from")
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(busybox, "busybox")
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(DOCKERFILE)
        tar.addfile(info, io.BytesIO(DOCKERFILE))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=REAL_IMAGE, rm=True)


@contextmanager
def real_engine() -> Iterator[Lab]:
    """The real dockerd with an image to run, removed afterwards."""
    url = os.environ.get("LABKIT_TEST_DOCKER_HOST", f"unix://{DOCKER_SOCKET}")
    try:
        client = docker.DockerClient(base_url=url)
        client.ping()
    except docker.errors.DockerException as error:
        missing("docker", f"no Docker daemon answers at {url}: {error}")
    build_real_image(client)
    try:
        yield Lab("dockerd", url, REAL_IMAGE)
    finally:
        client.images.remove(REAL_IMAGE, force=True)
        client.images.prune(filters={"label": "labkit-test=image"})
        client.close()


@contextmanager
def embedded_engine() -> Iterator[Lab]:
    """The embedded engine with its busybox pulled."""
    directory = Path(tempfile.mkdtemp(prefix="labkit-"))
    try:
        with serving(directory) as (_, url):
            lab = Lab("embedded", url, "busybox")
            lab.client.images.pull("busybox")
            yield lab
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module", params=["embedded", "dockerd"])
def engine(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Each of the two engines in turn."""
    opened = embedded_engine() if request.param == "embedded" else real_engine()
    with opened as lab:
        yield lab
        lab.client.close()


@pytest.fixture
def lab(engine: Lab) -> Iterator[Lab]:
    """An engine, clean again after each test."""
    engine.prefix = f"labkit-test-{os.getpid()}-{next(numbers)}"
    yield engine
    engine.clean()


@pytest.fixture(scope="module")
def own_engine() -> Iterator[Lab]:
    """The embedded engine alone, for what only it has."""
    with embedded_engine() as lab:
        yield lab
        lab.client.close()


@pytest.fixture
def embedded(own_engine: Lab) -> Iterator[Lab]:
    """The embedded engine, clean again after each test."""
    own_engine.prefix = f"labkit-test-{os.getpid()}-{next(numbers)}"
    yield own_engine
    own_engine.clean()
