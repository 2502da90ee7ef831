"""The lab's images on a real Docker daemon, built there from `labkit/apps`.

The Dockerfiles begin with `FROM python:3-slim`.  Where that image is neither on the daemon nor
to be had over the network, `base_image` takes its place: the interpreter that runs the lab, with
its libraries and a shell.  Then everything works offline; otherwise `busybox` and `pause` are
pulled, being the real ones.

What was built carries the hash of its sources in a label.  An image whose sources have changed is
built anew; an image of the same name without the label is the user's, and left alone.
"""

from __future__ import annotations

import hashlib
import io
import logging
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiodocker import Docker
from aiodocker.exceptions import DockerError

import labkit.apps
from labkit.clusters import base_image
from labkit.errors import ClusterError
from labkit.kubelet.runtime import BUILT

log = logging.getLogger(__name__)

APPS = Path(labkit.apps.__file__).parent
PYTHON = "python:3-slim"
OWN_BASE = "labkit/base:latest"
GUARD = "labkit/guard:latest"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image of the lab: its directory in `labkit/apps`, its names; `public` ones are pulled."""

    app: str
    names: tuple[str, ...]
    public: bool = False


WANTED = (
    Wanted("guard", (GUARD,)),
    Wanted("todolist", ("todolist:latest", "todolist:v1")),
    Wanted("busybox", ("busybox:latest", "busybox:1.36"), public=True),
    Wanted("pause", ("registry.k8s.io/pause:3.10", "pause:3.10"), public=True),
)


async def ensure(docker: Docker, report: Callable[[str], None]) -> None:
    """Have all images that a cluster needs.  Raises ClusterError, DockerError."""
    base = await _base(docker, report)
    online = base == PYTHON
    for image in WANTED:
        missing = [name for name in image.names if not await _is_current(docker, image, name, base)]
        if not missing:
            continue
        if image.public and online and await _pulled(docker, image.names[0]):
            await _tag(docker, image.names[0], missing)
        elif _is_base(image.app, base):
            await _tag(docker, base, missing)
        else:
            await _build(docker, image, base, missing)
        report(f"image {image.names[0]}")


async def _base(docker: Docker, report: Callable[[str], None]) -> str:
    """The image from which the lab's are built."""
    if await _inspect(docker, PYTHON) or await _pulled(docker, PYTHON):
        return PYTHON
    found = await _inspect(docker, OWN_BASE)
    source = base_image.source()
    if found is None or _built_from(found) != source:
        await _import(docker, source)
        report("image labkit/base, from this Python")
    return OWN_BASE


async def _is_current(docker: Docker, image: Wanted, name: str, base: str) -> bool:
    found = await _inspect(docker, name)
    if found is None:
        return False
    built = _built_from(found)
    return built is None or built == source_of(image.app, base)


def _built_from(found: dict) -> str | None:
    return (found["Config"].get("Labels") or {}).get(BUILT)


async def _inspect(docker: Docker, name: str) -> dict | None:
    try:
        return await docker.images.inspect(name)
    except DockerError as error:
        if error.status == 404:
            return None
        raise


async def _pulled(docker: Docker, name: str) -> bool:
    try:
        await docker.images.pull(name)
    except DockerError as error:
        log.info("not pulled image=%s error=%s", name, error.message)
        return False
    return await _inspect(docker, name) is not None


async def _tag(docker: Docker, name: str, others: list[str]) -> None:
    for other in others:
        repository, _, tag = other.rpartition(":")
        await docker.images.tag(name, repository, tag=tag)


async def _build(docker: Docker, image: Wanted, base: str, names: list[str]) -> None:
    labels = {BUILT: source_of(image.app, base)}
    said = await docker.images.build(
        fileobj=context(image.app, base),
        encoding="gzip",
        tag=names[0],
        rm=True,
        forcerm=True,
        labels=labels,
    )
    for line in said:
        if "error" in line:
            raise ClusterError(
                f"The image {names[0]} could not be built: {line['error'].strip()}.",
                "The Docker daemon could not carry out its Dockerfile.",
                "Try it by hand: "
                f"docker build -f {APPS / image.app}/Dockerfile {_context_of(image.app)}",
            )
    await _tag(docker, names[0], names[1:])


async def _import(docker: Docker, source: str) -> None:
    """Make the base image of one layer, as `docker import` does."""
    repository, _, tag = OWN_BASE.rpartition(":")
    changes = f'ENV PATH={base_image.PATH}\nCMD ["sh"]\nLABEL {BUILT}={source}'
    query = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes}
    data = await base_image.rootfs()
    async with docker._query("images/create", method="POST", params=query, data=data) as response:
        await response.read()


# Build contexts: pure, but for reading labkit/apps


def context(app: str, base: str) -> io.BytesIO:
    """What the Dockerfile of `app` copies, as a compressed tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, mode, data in _members(app, base):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
    packed.seek(0)
    return packed


def source_of(app: str, base: str) -> str:
    """What an image is made of, as a short hash."""
    if _is_base(app, base):
        return base_image.source()
    digest = hashlib.sha256(base_image.source().encode() if base == OWN_BASE else base.encode())
    for name, mode, data in _members(app, base):
        digest.update(f"{name}\0{mode:o}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]


def _is_base(app: str, base: str) -> bool:
    """Whether the base has all that the image has, better than the image: busybox itself."""
    return app == "busybox" and base == OWN_BASE and base_image.busybox() is not None


def _members(app: str, base: str) -> Iterator[tuple[str, int, bytes]]:
    """(name, mode, content) of every file that the build needs."""
    dockerfile = (APPS / app / "Dockerfile").read_text()
    yield "Dockerfile", 0o644, dockerfile.replace(f"FROM {PYTHON}", f"FROM {base}").encode()
    root = _context_of(app)
    for source in sorted(_copied(dockerfile)):
        origin = root / source
        for path in sorted(origin.rglob("*")) if origin.is_dir() else [origin]:
            if path.is_file() and "__pycache__" not in path.parts:
                # An installer may have lost the bit by which a program is one.
                mode = 0o755 if path.parent.name == "bin" else 0o644
                yield path.relative_to(root).as_posix(), mode, path.read_bytes()


def _context_of(app: str) -> Path:
    """What `docker build` is given: the directory of the learner's own app, else all of them."""
    return APPS / app if app == "todolist" else APPS


def _copied(dockerfile: str) -> set[str]:
    lines = [line.split() for line in dockerfile.splitlines()]
    return {name for words in lines if words[:1] == ["COPY"] for name in words[1:-1]}
