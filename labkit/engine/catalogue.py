"""The lab's registry: the images that come with it, made from their Dockerfiles when first wanted.

Each is described by the Dockerfile that a real `docker build` reads.  `python` is the one base:
it has no files, for the host's programs are there anyway, and `python3` is the interpreter that
runs the lab.
"""

from __future__ import annotations

from pathlib import Path

import labkit.apps
from labkit.engine import contexts, dockerfile
from labkit.engine.blobs import Blobs
from labkit.engine.builder import Builder
from labkit.engine.image import Image
from labkit.engine.references import Reference, parse

APPS = Path(labkit.apps.__file__).parent
CREATED = 1767225600.0  # 2026-01-01T00:00:00Z
BASE = 'FROM scratch\nCMD ["python3"]\n'
# name: (its Dockerfile, its context, both under labkit/apps; what it can be pulled as)
CATALOGUE = {
    "python": ("", "", ("python:latest", "python:3", "python:3-slim")),
    "pause": ("pause/Dockerfile", "pause", ("pause:3.10", "registry.k8s.io/pause:3.10")),
    "busybox": ("busybox/Dockerfile", "", ("busybox:latest", "busybox:1.36")),
    "todolist": ("todolist/Dockerfile", "todolist", ("todolist:latest", "todolist:v1")),
    "web": ("web/Dockerfile", "", ("web:latest", "web:v1")),
    "rule": ("rule/Dockerfile", "", ("rule:latest", "rule:v1")),
    "user": ("user/Dockerfile", "", ("user:latest", "user:v1")),
}
PRESENT = "pause"  # there without a pull: every Pod needs it


class Catalogue:
    """Images by the references that they can be pulled as."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._made: dict[str, Image] = {}
        self._names = {
            parse(name): key for key, (_, _, names) in CATALOGUE.items() for name in names
        }

    def references(self) -> list[Reference]:
        """All names."""
        return list(self._names)

    def find(self, reference: Reference) -> Image | None:
        """The image of that name or, in that repository, of that digest."""
        if not reference.digest:
            key = self._names.get(reference)
            return self._image(key) if key else None
        for name, key in self._names.items():
            image = self._image(key) if name.repository == reference.repository else None
            if image is not None and image.digest == reference.digest:
                return image
        return None

    def by_id(self, wanted: str) -> Image | None:
        """The image of that id."""
        return next((i for i in map(self._image, CATALOGUE) if i.id == wanted), None)

    def present(self) -> list[tuple[Reference, Image]]:
        """What is there from the beginning."""
        return [(r, self._image(key)) for r, key in self._names.items() if key == PRESENT]

    def _image(self, key: str) -> Image:
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def _make(self, key: str) -> Image:
        file, place, _ = CATALOGUE[key]
        context = contexts.from_directory(APPS / place) if file else contexts.Context()
        text = (APPS / file).read_text() if file else BASE
        builder = Builder(context, self._blobs, {}, f"labkit/apps/{file}")
        for instruction in dockerfile.parse(text):
            if instruction.word == "FROM":
                name = builder.base(instruction)
                builder.begin(None if name == "scratch" else self.find(parse(name)))
            else:
                builder.run(instruction, CREATED)
        return builder.image(CREATED)
