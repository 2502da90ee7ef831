"""The lab's images: what can be pulled, what is present, and their contents.

Mechanism: the catalogue names the images under `labkit/apps/`.  An image is read from its
Dockerfile once, when it is first wanted; its id is the hash of its configuration and files, so it
is the same on every machine.  "Present" and "in the registry" differ only in a flag: a pull copies
nothing, but a learner must pull before the first run, as on a real daemon.

Left out compared with dockerd: build, push, save, load, tag, layers (an image is one), other
registries (nothing is ever fetched over the network).
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import labkit.apps
from labkit.engine import dockerfile
from labkit.engine.errors import Conflict, NotFound
from labkit.engine.filters import Filters
from labkit.engine.references import Reference, parse
from labkit.engine.timestamps import rfc3339_nano

APPS = Path(labkit.apps.__file__).parent
# (directory under labkit/apps, its names, whether it is there without a pull)
CATALOGUE = (
    ("pause", ("pause:3.10", "registry.k8s.io/pause:3.10"), True),
    ("busybox", ("busybox:latest", "busybox:1.36"), False),
    ("todolist", ("todolist:latest", "todolist:v1"), False),
)
CREATED = 1767225600.0  # 2026-01-01T00:00:00Z: an image's id must not depend on when it is read
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """The machine in Go's words, as images and `docker version` say it."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


class Image:
    """One image of the catalogue: its configuration and its files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @cached_property
    def _content(self) -> tuple[dict[str, Any], dict[str, tuple[int, bytes]]]:
        config, copies = dockerfile.parse((self._directory / "Dockerfile").read_text())
        return config, dockerfile.collect(self._directory.parent, copies)

    @property
    def config(self) -> dict[str, Any]:
        """Env, Cmd, Entrypoint, WorkingDir, ExposedPorts, Labels."""
        return self._content[0]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(data) for _, data in self._content[1].values())

    @cached_property
    def layer(self) -> str:
        """The hash of the files: what a layer's id is."""
        digest = hashlib.sha256()
        for path, (mode, data) in sorted(self._content[1].items()):
            digest.update(f"{path}\0{mode:o}\0{len(data)}\0".encode() + data)
        return "sha256:" + digest.hexdigest()

    @cached_property
    def id(self) -> str:
        config = json.dumps([self.config, self.layer], sort_keys=True)
        return "sha256:" + hashlib.sha256(config.encode()).hexdigest()

    @cached_property
    def digest(self) -> str:
        """The hash that a registry knows it by (of the manifest)."""
        return "sha256:" + hashlib.sha256(f"manifest {self.id}".encode()).hexdigest()

    def unpack(self, root: Path) -> None:
        """Write the files below `root`, and the directories that programs expect."""
        for place in ("etc", "tmp", "root", self.config["WorkingDir"].lstrip("/")):
            (root / place).mkdir(parents=True, exist_ok=True)
        for place, (mode, data) in self._content[1].items():
            path = root / place.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(fd, "wb") as file:
                file.write(data)


class Images:
    """What can be pulled and what is present."""

    def __init__(self) -> None:
        self._registry: dict[Reference, Image] = {}
        self._present: dict[Reference, Image] = {}
        for directory, names, present in CATALOGUE:
            image = Image(APPS / directory)
            for reference in map(parse, names):
                self._registry[reference] = image
                if present:
                    self._present[reference] = image

    def find(self, name: str) -> Image:
        """A present image by name, id or the id's beginning.  Raises NotFound."""
        image = self._by_id(name)
        if image is None:
            reference = parse(name)
            image = self._present.get(reference) or self._by_digest(reference)
            if image is None:
                raise NotFound(f"No such image: {reference.familiar}")
        return image

    def _by_id(self, name: str) -> Image | None:
        wanted = name.removeprefix("sha256:")
        if len(wanted) < 4 or set(wanted) - set("0123456789abcdef"):
            return None
        found = {i.id: i for i in self._present.values() if i.id[7:].startswith(wanted)}
        return next(iter(found.values())) if len(found) == 1 else None

    def _by_digest(self, wanted: Reference) -> Image | None:
        for reference, image in self._present.items():
            if wanted.digest == image.digest and wanted.repository == reference.repository:
                return image
        return None

    def names(self, image: Image) -> list[str]:
        """The familiar names of a present image."""
        return [r.familiar for r, i in self._present.items() if i is image]

    def present(self) -> list[Image]:
        return list(dict.fromkeys(self._present.values()))

    def pull(self, reference: Reference) -> Iterator[dict[str, Any]]:
        """Make an image present; what the daemon reports meanwhile.  Raises NotFound at once."""
        image = self._offered(reference)
        fresh = reference not in self._present
        known = image in self._present.values()
        self._present[reference] = image
        return self._progress(reference, image, fresh=fresh, known=known)

    def _offered(self, reference: Reference) -> Image:
        image = self._registry.get(reference)
        if reference.digest:
            image = next((i for i in self._registry.values() if i.digest == reference.digest), None)
        if image is None and any(r.path == reference.path for r in self._registry):
            raise NotFound(
                f"manifest for {reference.familiar} not found: manifest unknown: manifest unknown"
            )
        if image is None:
            raise NotFound(
                f"pull access denied for {reference.repository}, repository does not exist or may "
                "require 'docker login': denied: requested access to the resource is denied"
            )
        return image

    @staticmethod
    def _progress(
        reference: Reference, image: Image, *, fresh: bool, known: bool
    ) -> Iterator[dict[str, Any]]:
        path = reference.path if reference.domain == "docker.io" else reference.repository
        yield {"status": f"Pulling from {path}", "id": reference.tag}
        layer, size = image.layer[7:19], image.size
        if not known:
            done = {"current": size, "total": size}
            yield {"status": "Pulling fs layer", "progressDetail": {}, "id": layer}
            yield {"status": "Downloading", "progressDetail": done, "id": layer}
            yield {"status": "Download complete", "progressDetail": {}, "id": layer}
            yield {"status": "Extracting", "progressDetail": done, "id": layer}
            yield {"status": "Pull complete", "progressDetail": {}, "id": layer}
        yield {"status": f"Digest: {image.digest}"}
        what = "Downloaded newer image" if fresh else "Image is up to date"
        yield {"status": f"Status: {what} for {reference.familiar}"}

    def remove(
        self, name: str, users: Iterable[tuple[str, str, bool]], *, force: bool
    ) -> list[dict[str, str]]:
        """Untag, and delete with the last tag.

        `users` are the containers: (id, id of the image, running).  Raises NotFound, Conflict.
        """
        image = self.find(name)
        tags = [r for r, i in self._present.items() if i is image]
        doomed = tags if self._by_id(name) else [parse(name)]
        if len(doomed) > 1 and not force:
            raise Conflict(
                f"conflict: unable to delete {image.id[7:19]} (must be forced) - "
                "image is referenced in multiple repositories"
            )
        if len(doomed) == len(tags):
            self._check_unused(image, name, users, force=force)
        answer = [{"Untagged": reference.familiar} for reference in doomed]
        for reference in doomed:
            del self._present[reference]
        if len(doomed) == len(tags):
            answer += [{"Deleted": image.id}, {"Deleted": image.layer}]
        return answer

    @staticmethod
    def _check_unused(
        image: Image, name: str, users: Iterable[tuple[str, str, bool]], *, force: bool
    ) -> None:
        for container, used, running in users:
            if used == image.id and running:
                raise Conflict(
                    f"conflict: unable to remove repository reference {json.dumps(name)} "
                    f"(cannot be forced) - container {container[:12]} is using its referenced "
                    f"image {image.id[7:19]}"
                )
            if used == image.id and not force:
                raise Conflict(
                    f"conflict: unable to remove repository reference {json.dumps(name)} "
                    f"(must force) - container {container[:12]} is using its referenced "
                    f"image {image.id[7:19]}"
                )

    def list(self, filters: Filters) -> list[dict[str, Any]]:
        """The answer of `GET /images/json`."""
        return [
            self._summary(image)
            for image in self.present()
            if filters.allows("reference", lambda want, i=image: self._matches(i, want))
            and filters.allows_labels(image.config["Labels"])
        ]

    def _matches(self, image: Image, pattern: str) -> bool:
        return any(
            fnmatch.fnmatchcase(name, pattern)
            or fnmatch.fnmatchcase(name.rpartition(":")[0], pattern)
            for name in self.names(image)
        )

    def _digests(self, image: Image) -> list[str]:
        repositories = dict.fromkeys(r.repository for r, i in self._present.items() if i is image)
        return [f"{repository}@{image.digest}" for repository in repositories]

    def _summary(self, image: Image) -> dict[str, Any]:
        return {
            "Containers": -1,
            "Created": int(CREATED),
            "Id": image.id,
            "Labels": image.config["Labels"],
            "ParentId": "",
            "RepoDigests": self._digests(image),
            "RepoTags": self.names(image),
            "SharedSize": -1,
            "Size": image.size,
            "VirtualSize": image.size,
        }

    def inspect(self, name: str) -> dict[str, Any]:
        """The answer of `GET /images/{name}/json`.  Raises NotFound."""
        try:
            image = self.find(name)
        except NotFound as error:
            raise NotFound(f"no such image: {name}: {error}") from None
        return {
            "Id": image.id,
            "RepoTags": self.names(image),
            "RepoDigests": self._digests(image),
            "Parent": "",
            "Comment": "",
            "Created": rfc3339_nano(CREATED),
            "DockerVersion": "",
            "Author": "",
            "Config": {"User": "", "Tty": False, "OpenStdin": False, **image.config},
            "Architecture": architecture(),
            "Os": "linux",
            "Size": image.size,
            "VirtualSize": image.size,
            "GraphDriver": {"Data": None, "Name": "copy"},
            "RootFS": {"Type": "layers", "Layers": [image.layer]},
            "Metadata": {"LastTagTime": rfc3339_nano(0)},
        }
