"""An image: a configuration, files and a history, under an id that is the hash of all three.

So the same build gives the same id on every machine.  The time of the build is kept beside them and
is no part of the id.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labkit.engine.blobs import Blobs
from labkit.engine.environment import NETWORK_FILES
from labkit.engine.timestamps import rfc3339_nano
from labkit.engine.trees import FIXED, Entry, Tree

EMPTY_CONFIG: dict[str, Any] = {
    "User": "",
    "Env": [],
    "Cmd": None,
    "Entrypoint": None,
    "WorkingDir": "",
    "ExposedPorts": {},
    "Labels": {},
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# The engine's own in every container, as Docker's bind mounts hide what an image has there.
_HIDDEN = frozenset(f"/etc/{name}" for name in NETWORK_FILES)


def architecture() -> str:
    """The machine in Go's words, as images and `docker version` say it."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def _hash(value: Any) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Image:
    """One image; `created` in Unix seconds.  Not to be changed."""

    id: str
    config: dict[str, Any]
    files: Tree
    history: Sequence[Mapping[str, Any]]
    created: float
    layer: str

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        files: Tree,
        history: Sequence[Mapping[str, Any]],
        created: float,
        *,
        layer: str = "",
    ) -> Image:
        """The image with these parts; `layer` is the files' hash where it is known."""
        layer = layer or files.digest()
        steps = [step["created_by"] for step in history]
        own = json.loads(json.dumps(config))  # a copy
        return cls(
            _hash([own, layer, steps]), own, Tree(files.entries), tuple(history), created, layer
        )

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self.files.size

    @cached_property
    def digest(self) -> str:
        """The hash that a registry knows it by (of the manifest)."""
        return _hash(f"manifest {self.id}")

    @property
    def short_id(self) -> str:
        """What `docker images` shows."""
        return self.id[7:19]

    def unpack(self, root: Path, blobs: Blobs) -> None:
        """Write the files below `root`, and the directories that programs expect.

        No path of a tree leads through a link, and links are made last; so nothing is written
        anywhere else.
        """
        for path in (*FIXED, self.files.resolve(self.config["WorkingDir"])):
            _below(root, path).mkdir(parents=True, exist_ok=True)
        links = []
        for path, entry in sorted(self.files.entries.items()):
            if path in _HIDDEN:
                continue
            if entry.target:
                links.append((path, entry))
            elif entry.digest:
                blobs.write(entry.digest, _below(root, path), entry.mode)
            else:
                _below(root, path).mkdir(mode=entry.mode, exist_ok=True)
        for path, entry in links:
            _below(root, path).symlink_to(_rendered(path, entry, self.files, root))

    def describe(self) -> dict[str, Any]:
        """The parts of `docker image inspect` that do not depend on names."""
        return {
            "Id": self.id,
            "Parent": "",
            "Comment": "",
            "Created": rfc3339_nano(self.created),
            "DockerVersion": "",
            "Author": "",
            "Config": {"Tty": False, "OpenStdin": False, **self.config},
            "Architecture": architecture(),
            "Os": "linux",
            "Size": self.size,
            "VirtualSize": self.size,
            "GraphDriver": {"Data": None, "Name": "copy"},
            "RootFS": {"Type": "layers", "Layers": [self.layer]},
        }

    def dump(self) -> dict[str, Any]:
        """The image as JSON; `load` reads it."""
        files = {path: list(entry) for path, entry in self.files.entries.items()}
        return {
            "config": self.config,
            "history": list(self.history),
            "created": self.created,
            "files": files,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Image:
        """What `dump` wrote.  Raises KeyError, TypeError, ValueError for anything else."""
        files = Tree({path: Entry(*entry) for path, entry in data["files"].items()})
        return cls.of(data["config"], files, data["history"], data["created"])


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _rendered(path: str, entry: Entry, files: Tree, root: Path) -> str:
    """A link's target as it must be where no chroot(2) makes `/` the image's root."""
    if not entry.target.startswith("/"):
        return entry.target
    inside = files.resolve(entry.target)
    return str(_below(root, inside)) if inside in files.entries else entry.target
