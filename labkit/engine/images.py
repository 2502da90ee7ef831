"""The images of an engine: what is present and under which names, and what can be pulled.

An image is *present* once it was built or pulled, until it is removed.  What comes from the
catalogue needs no copy; everything else is kept on disk and survives the engine.  A pull makes a
name mean what the registry has under it, whatever was built under that name here.

Names by tag and by digest are kept as dockerd keeps them.

Left out compared with dockerd: layers (an image is one), import, commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.engine import image_removal
from labkit.engine.errors import NotFound
from labkit.engine.filters import Filters, path_match
from labkit.engine.image import Image
from labkit.engine.image_removal import Users
from labkit.engine.image_store import ImageStore
from labkit.engine.references import Reference, parse
from labkit.engine.registry import Registry
from labkit.engine.timestamps import rfc3339_nano

Report = Iterator[dict[str, Any]]


class Images:
    """What is present, kept below `directory`, and what can be pulled from `registry`."""

    def __init__(self, directory: Path, registry: Path) -> None:
        self._store = ImageStore(directory)
        self.blobs = self._store.blobs
        self._adding = 0  # while that is done, contents that nobody refers to yet must stay
        self._registry = Registry(registry, self.blobs)
        self._images: dict[str, Image] = {}
        self._names: dict[Reference, str] = {}  # to the id of an image that is present

    def load(self) -> None:
        """Begin with what an earlier engine had, and with what every engine has."""
        catalogue = self._registry.catalogue
        self._images = {image.id: image for image in self._store.images()}
        for name, image_id in self._store.names().items():
            image = self._images.get(image_id) or catalogue.by_id(image_id)
            if image is not None:
                self._names[parse(name)] = image.id
                self._images[image.id] = image
        for reference, image in catalogue.present():
            self._names.setdefault(reference, image.id)
            self._images.setdefault(image.id, image)
        self._sweep()

    # What is present

    def find(self, name: str) -> Image:
        """A present image by name, id or the id's beginning.  Raises NotFound, BadParameter."""
        image = self.by_id(name)
        if image is None:
            reference = parse(name)
            if reference not in self._names:
                raise NotFound(f"No such image: {reference.familiar}")
            image = self._images[self._names[reference]]
        return image

    def by_id(self, name: str) -> Image | None:
        """The one image whose id begins so."""
        wanted = name.removeprefix("sha256:")
        if len(wanted) < 4 or set(wanted) - set("0123456789abcdef"):
            return None
        found = [image for key, image in self._images.items() if key[7:].startswith(wanted)]
        return found[0] if len(found) == 1 else None

    def references(self, image: Image) -> list[Reference]:
        """All names of a present image, by tag and by digest."""
        return [reference for reference, key in self._names.items() if key == image.id]

    def names(self, image: Image) -> list[str]:
        """The familiar names of a present image by tag."""
        return [one.familiar for one in self.references(image) if not one.digest]

    def present(self) -> list[Image]:
        """All present images, the newest first, as `docker images` has them."""
        return sorted(self._images.values(), key=lambda image: image.created, reverse=True)

    def add(self, image: Image) -> None:
        """Make a built image present, as yet without a name."""
        if image.id not in self._images:
            self._store.save(image)
            self._images[image.id] = image

    def tag(self, image: Image, reference: Reference) -> None:
        """Let a name mean a present image."""
        self._names[reference] = image.id
        self._save()

    @contextmanager
    def adding(self) -> Iterator[None]:
        """While an image is made of contents that `blobs` is given one by one."""
        self._adding += 1
        try:
            yield
        finally:
            self._adding -= 1
            self._sweep()

    def _sweep(self) -> None:
        """Remove contents that no image has."""
        if not self._adding:
            self._store.sweep(self._images.values())

    def _save(self) -> None:
        self._store.save_names({str(reference): key for reference, key in self._names.items()})

    # The registry

    def pull(self, reference: Reference) -> Report:
        """Make an image present; what the daemon reports meanwhile.  Raises NotFound at once."""
        image = self._registry.pull(reference)
        fresh, known = self._names.get(reference) != image.id, image.id in self._images
        if self._registry.catalogue.by_id(image.id) is None:
            self.add(image)
        self._images[image.id] = image
        self._names[reference] = image.id
        self._note_digest(reference, image)
        return _pulling(reference, image, fresh=fresh, known=known)

    def push(self, reference: Reference) -> Report:
        """Put an image that is present into the registry.  Raises NotFound."""
        if reference not in self._names:
            raise NotFound(f"An image does not exist locally with the tag: {reference.repository}")
        image = self._images[self._names[reference]]
        self._registry.push(reference, image)
        self._note_digest(reference, image)
        return _pushing(reference, image)

    def _note_digest(self, reference: Reference, image: Image) -> None:
        self._names[reference._replace(tag="", digest=image.digest)] = image.id
        self._save()

    # Removal

    def remove(self, name: str, users: Users, *, force: bool) -> list[dict[str, str]]:
        """Untag, and delete with the last name, as dockerd does.  Raises NotFound, Conflict."""
        image = self.find(name)
        by_id = self.by_id(name) is image
        plan = image_removal.plan(
            image,
            None if by_id else parse(name),
            name,
            self.references(image),
            users,
            force=force,
        )
        for reference in plan.untagged:
            self._names.pop(reference, None)
        if plan.deleted:
            self._delete(image)
        self._save()
        return plan.answer(image)

    def _delete(self, image: Image) -> None:
        del self._images[image.id]
        self._store.delete(image.id)
        self._sweep()

    def prune(self, filters: Filters, users: Users, until: float) -> dict[str, Any]:
        """The answer of `POST /images/prune`: what no name, or no container, refers to."""
        every = filters.get("dangling") and not any(map(_true, filters.get("dangling")))
        used = {user.image_id for user in users}
        removed, freed = [], 0
        for image in self.present():
            references = self.references(image)
            skipped = image.id in used or (references and not every) or image.created > until
            if skipped or not filters.allows_labels(image.config["Labels"]):
                continue
            for reference in references:
                del self._names[reference]
                removed.append({"Untagged": reference.familiar})
            self._delete(image)
            removed.append({"Deleted": image.id})
            freed += image.size
        self._save()
        return {"ImagesDeleted": removed or None, "SpaceReclaimed": freed}

    # Views

    def list(self, filters: Filters) -> list[dict[str, Any]]:
        """The answer of `GET /images/json`.  Raises NotFound."""
        after = max((self.find(name).created for name in filters.get("since")), default=None)
        before = min((self.find(name).created for name in filters.get("before")), default=None)
        return [
            self._summary(image)
            for image in self.present()
            if filters.allows("reference", lambda want, i=image: self._matches(i, want))
            and filters.allows(
                "dangling", lambda want, i=image: _true(want) is not bool(self.references(i))
            )
            and filters.allows_labels(image.config["Labels"])
            and (after is None or image.created > after)
            and (before is None or image.created < before)
        ]

    def _matches(self, image: Image, pattern: str) -> bool:
        return any(
            path_match(pattern, name) or path_match(pattern, name.rpartition(":")[0])
            for name in self.names(image)
        )

    def _digests(self, image: Image) -> list[str]:
        return [one.familiar for one in self.references(image) if one.digest]

    def _summary(self, image: Image) -> dict[str, Any]:
        return {
            "Containers": -1,
            "Created": int(image.created),
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
            **image.describe(),
            "RepoTags": self.names(image),
            "RepoDigests": self._digests(image),
            "Metadata": {"LastTagTime": rfc3339_nano(0)},
        }

    def history(self, name: str) -> list[dict[str, Any]]:
        """The answer of `GET /images/{name}/history`, the last step first.  Raises NotFound."""
        image = self.find(name)
        steps = [
            {
                "Id": "<missing>",
                "Created": int(step["created"]),
                "CreatedBy": step["created_by"],
                "Tags": None,
                "Size": step["size"],
                "Comment": "",
            }
            for step in reversed(image.history)
        ]
        if steps:
            steps[0] |= {"Id": image.id, "Tags": self.names(image) or None}
        return steps


def _true(text: str) -> bool:
    return text.lower() in ("1", "true", "t")


def _pulling(reference: Reference, image: Image, *, fresh: bool, known: bool) -> Report:
    path = reference.path if reference.domain == "docker.io" else reference.repository
    yield {"status": f"Pulling from {path}", "id": reference.tag or reference.digest}
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


def _pushing(reference: Reference, image: Image) -> Report:
    where = f"{reference.domain}/{reference.path}"
    layer, size = image.layer[7:19], image.size
    yield {"status": f"The push refers to repository [{where}]"}
    yield {"status": "Preparing", "progressDetail": {}, "id": layer}
    yield {"status": "Pushed", "progressDetail": {"current": size, "total": size}, "id": layer}
    yield {"status": f"{reference.tag}: digest: {image.digest} size: {size}"}
    yield {
        "progressDetail": {},
        "aux": {"Tag": reference.tag, "Digest": image.digest, "Size": size},
    }
