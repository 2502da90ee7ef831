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
from collections.abc import Callable, Iterator, Sequence
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
OWN_BASE = "labkit/base"
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
    Wanted("web", ("web:latest", "web:v1")),
    Wanted("rule", ("rule:latest", "rule:v1")),
    Wanted("user", ("user:latest", "user:v1")),
    Wanted("busybox", ("busybox:latest", "busybox:1.36"), public=True),
    Wanted("pause", ("registry.k8s.io/pause:3.10", "pause:3.10"), public=True),
)
#: What chapters deploy and no registry has.
COURSE = tuple(image for image in WANTED if image.app in ("todolist", "web", "rule", "user"))


async def ensure(
    docker: Docker, report: Callable[[str], None], wanted: Sequence[Wanted] = WANTED
) -> None:
    """Have all images that a cluster needs.  Raises ClusterError, DockerError."""
    lacking = {image: await _missing(docker, image) for image in wanted}
    if not any(lacking.values()):
        return
    base = await _base(docker, report)
    for image, names in lacking.items():
        if names:
            await _make(docker, image, base, names)
            report(f"image {image.names[0]}")


async def _missing(docker: Docker, image: Wanted) -> list[str]:
    """The names of an image that are not there, or stand for what was built of other sources."""
    return [name for name in image.names if not await _is_current(docker, image, name)]


async def _is_current(docker: Docker, image: Wanted, name: str) -> bool:
    found = await _inspect(docker, name)
    if found is None or image.public:
        return found is not None
    built = (found["Config"].get("Labels") or {}).get(BUILT)
    return built is None or built == source_of(image.app)


async def _base(docker: Docker, report: Callable[[str], None]) -> str:
    """The image from which the lab's are built."""
    if await _inspect(docker, PYTHON) or await _pulled(docker, PYTHON):
        return PYTHON
    source = base_image.source()
    own = f"{OWN_BASE}:{source}"
    if await _inspect(docker, own) is None:
        await _import(docker, source)
        report("image labkit/base, from this Python")
    return own


async def _make(docker: Docker, image: Wanted, base: str, names: list[str]) -> None:
    if image.public and base == PYTHON and await _pulled(docker, image.names[0]):
        await _tag(docker, image.names[0], names)
    elif image.app == "busybox" and base != PYTHON and base_image.busybox():
        await _tag(docker, base, names)  # it has all that the image has, and better
    else:
        old = await _inspect(docker, names[0])
        await _build(docker, image, base, names)
        if old:
            await _remove_unused(docker, old["Id"])


async def _remove_unused(docker: Docker, image_id: str) -> None:
    try:
        await docker.images.delete(image_id)
    except DockerError as error:
        if error.status not in (404, 409):  # 409: it has another name, or a container
            raise


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
    labels = {BUILT: source_of(image.app)}
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
    changes = f'ENV PATH={base_image.PATH}\nCMD ["sh"]\nLABEL {BUILT}={source}'
    query = {"fromSrc": "-", "repo": OWN_BASE, "tag": source, "changes": changes}
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


def source_of(app: str) -> str:
    """What an image is made of, as a short hash; the base is left out, any will do."""
    digest = hashlib.sha256()
    for name, mode, data in _members(app, PYTHON):
        digest.update(f"{name}\0{mode:o}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]


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
