"""Images on disk: what a learner has built is there again when the engine comes back.

    images/blobs/<sha256>       contents of files (blobs.py)
    images/<sha256>.json        one image that was built
    images/repositories.json    names of what is present

Each file is written beside its place and moved there.  What cannot be read is left out rather than
keep the engine from starting: an image that is gone can be built again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labkit.engine.blobs import Blobs
from labkit.engine.image import Image

log = logging.getLogger(__name__)


class ImageStore:
    """The files below `directory`, which is made when there is something to keep."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.blobs = Blobs(directory / "blobs")

    def images(self) -> list[Image]:
        """All images whose files are there."""
        paths = sorted(self._directory.glob("*.json"))
        return [image for path in paths if (image := self._read(path))]

    def image(self, image_id: str) -> Image | None:
        """The image of that id."""
        return self._read(self._path(image_id))

    def _path(self, image_id: str) -> Path:
        return self._directory / f"{image_id.removeprefix('sha256:')}.json"

    def _read(self, path: Path) -> Image | None:
        if path == self._names:
            return None
        try:
            image = Image.load(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("an image cannot be read path=%s error=%r", path, error)
            return None
        whole = all(self.blobs.path(digest).exists() for digest in contents(image))
        return image if whole and self._path(image.id) == path else None

    def save(self, image: Image) -> None:
        """Keep an image, with all that it needs."""
        self.blobs.keep(contents(image))
        self._write(self._path(image.id), image.dump())

    def delete(self, image_id: str) -> None:
        """Forget an image; `Blobs.sweep` removes what only it had."""
        self._path(image_id).unlink(missing_ok=True)

    @property
    def _names(self) -> Path:
        return self._directory / "repositories.json"

    def names(self) -> dict[str, str]:
        """The names of what is present, with the ids that they mean."""
        try:
            return dict(json.loads(self._names.read_text()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            log.warning("the names of images cannot be read error=%r", error)
            return {}

    def save_names(self, names: Mapping[str, str]) -> None:
        """Replace what `names` says."""
        self._write(self._names, names)

    def _write(self, path: Path, value: Any) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(value))
        fresh.replace(path)

    def sweep(self, images: Iterable[Image]) -> None:
        """Remove contents that no image has."""
        self.blobs.sweep({digest for image in images for digest in contents(image)})


def contents(image: Image) -> list[str]:
    """The digests of an image's files."""
    return [entry.digest for entry in image.files.entries.values() if entry.digest]
