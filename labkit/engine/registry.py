"""The registry that an engine pulls from and pushes to: the lab's catalogue, and a directory.

The directory may be shared by the engines of all nodes: what one has pushed the others can pull, as
from any registry.  It takes every push, without a login; a name that was pushed hides one of the
catalogue.

    registry/names/<name>           the id that a name means
    registry/<sha256>.json, blobs/  images (image_store.py)
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote

from labkit.engine.blobs import Blobs
from labkit.engine.catalogue import Catalogue
from labkit.engine.errors import NotFound
from labkit.engine.image import Image
from labkit.engine.image_store import ImageStore, contents
from labkit.engine.references import Reference, parse


class Registry:
    """What can be pulled; `blobs` are the engine's, which get to know the catalogue's files."""

    def __init__(self, directory: Path, blobs: Blobs) -> None:
        self.catalogue = Catalogue(blobs)
        self._store = ImageStore(directory)
        self._names = directory / "names"
        self._blobs = blobs

    def pull(self, reference: Reference) -> Image:
        """The image of that name, its contents with the engine.  Raises NotFound."""
        pushed = self._pushed(reference)
        if pushed is not None:
            self._blobs.take(self._store.blobs, contents(pushed))
            return pushed
        image = self.catalogue.find(reference)
        if image is None:
            raise self._unknown(reference)
        return image

    def push(self, reference: Reference, image: Image) -> None:
        """Let the name mean this image, whose contents the engine has."""
        self._store.blobs.take(self._blobs, contents(image))
        self._store.save(image)
        self._names.mkdir(exist_ok=True)
        fresh = self._names / f".{os.getpid()}"
        fresh.write_text(image.id)
        fresh.replace(self._names / quote(str(reference), safe=""))

    def _pushed(self, reference: Reference) -> Image | None:
        if reference.digest:
            found = [
                self._pushed(one) for one in self._all() if one.repository == reference.repository
            ]
            return next((one for one in found if one and one.digest == reference.digest), None)
        try:
            image_id = (self._names / quote(str(reference), safe="")).read_text()
        except OSError:
            return None
        return self._store.image(image_id)

    def _all(self) -> list[Reference]:
        names = sorted(self._names.glob("[!.]*"))
        return [parse(unquote(path.name)) for path in names]

    def _unknown(self, reference: Reference) -> NotFound:
        offered = [*self.catalogue.references(), *self._all()]
        if any(one.repository == reference.repository for one in offered):
            return NotFound(
                f"manifest for {reference.familiar} not found: manifest unknown: manifest unknown"
            )
        return NotFound(
            f"pull access denied for {reference.repository}, repository does not exist or may "
            "require 'docker login': denied: requested access to the resource is denied"
        )
