"""What `docker rmi` removes, as a value: which names, and whether the image with them.

Source: moby daemon/images/image_delete.go.  A name goes alone as long as others are left; the last
one takes the image with it, unless a container uses it.  Running containers are a conflict that
cannot be forced, stopped ones can.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from labkit.engine.errors import Conflict
from labkit.engine.image import Image
from labkit.engine.references import Reference


class User(NamedTuple):
    """A container, as images see it."""

    id: str
    image_id: str
    running: bool


Users = Sequence[User]


class Plan(NamedTuple):
    """What is to go."""

    untagged: list[Reference]
    deleted: bool

    def answer(self, image: Image) -> list[dict[str, str]]:
        """The body of the answer to `DELETE /images/{name}`."""
        said = [{"Untagged": reference.familiar} for reference in self.untagged]
        return said + ([{"Deleted": image.id}, {"Deleted": image.layer}] if self.deleted else [])


def plan(
    image: Image,
    reference: Reference | None,
    asked: str,
    references: Sequence[Reference],
    users: Users,
    *,
    force: bool,
) -> Plan:
    """`reference` is None where the image was named by its id; `asked` is the name as given.

    Raises Conflict.
    """
    using = [user for user in users if user.image_id == image.id]
    if reference is None:
        return _by_id(image, references, using, force=force)
    if using and not force and _single(references):
        raise Conflict(
            f"conflict: unable to remove repository reference {json.dumps(asked)} (must force) - "
            f"container {using[0].id[:12]} is using its referenced image {image.short_id}"
        )
    gone = [reference]
    left = [one for one in references if one != reference]
    if not reference.digest:
        here = [one for one in left if one.repository == reference.repository]
        if all(one.digest for one in here):  # no tag of that repository is left
            gone += here
            left = [one for one in left if one not in here]
    # Without a name, but in use: it stays as a dangling image, and nobody is told.
    in_use = any(user.running for user in using) or (using and not force)
    return Plan(gone, not left and not in_use)


def _by_id(image: Image, references: Sequence[Reference], using: Users, *, force: bool) -> Plan:
    for user in using:
        if user.running:
            raise _refused(image, "cannot be forced", f"running container {user.id[:12]}")
    if len(references) > 1 and not _single(references) and not force:
        raise Conflict(
            f"conflict: unable to delete {image.short_id} (must be forced) - "
            "image is referenced in multiple repositories"
        )
    if using and not force:
        raise _refused(image, "must be forced", f"stopped container {using[0].id[:12]}")
    return Plan(list(references), True)


def _refused(image: Image, how: str, who: str) -> Conflict:
    return Conflict(
        f"conflict: unable to delete {image.short_id} ({how}) - image is being used by {who}"
    )


def _single(references: Sequence[Reference]) -> bool:
    """Whether there is at most one tag, and nothing outside of its repository."""
    tags = [one for one in references if not one.digest]
    return len(tags) <= 1 and len({one.repository for one in references}) == 1
