"""`labkit up --image-mirror FROM=TO --pre-pull IMAGE`: checked, kept, and carried out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from labkit.errors import ClusterError, UsageError
from labkit.kubelet import mirrors
from labkit.kubelet.mirrors import Mirror

if TYPE_CHECKING:
    from labkit.kubelet import Kubelet

MIRRORS, PRE_PULL = "image_mirrors", "pre_pull"
"""Their names in cluster.json, where each is a list of what was given."""


def chosen(
    before: Mapping, image_mirrors: Sequence[str] | None, pre_pull: Sequence[str] | None
) -> dict[str, list[str]]:
    """What is to stand in cluster.json: what is given, or else what was there `before`.

    An empty text forgets all that was there.  Raises UsageError.
    """
    given = {MIRRORS: image_mirrors, PRE_PULL: pre_pull}
    found = {
        key: list(before.get(key) or ()) if texts is None else [text for text in texts if text]
        for key, texts in given.items()
    }
    for text in found[MIRRORS]:
        _mirror(text)
    for image in found[PRE_PULL]:
        if not mirrors.REFERENCE.fullmatch(image):
            raise UsageError(
                f"--pre-pull cannot be {image!r}.",
                "That is no name of an image.",
                "A name looks like this: --pre-pull todolist:v1",
            )
    return {key: texts for key, texts in found.items() if texts}


def mirrors_of(description: Mapping) -> tuple[Mirror, ...]:
    """The mirrors of a cluster."""
    return tuple(map(mirrors.parse, description.get(MIRRORS) or ()))


def pre_pull_of(description: Mapping) -> tuple[str, ...]:
    """The images that every node is to have."""
    return tuple(description.get(PRE_PULL) or ())


def _mirror(text: str) -> Mirror:
    try:
        return mirrors.parse(text)
    except ValueError as error:
        raise UsageError(
            f"--image-mirror cannot be {text!r}: {error}.",
            "It says where images are taken from whose names begin with FROM.",
            "For example: --image-mirror docker.io/library/nginx=todolist",
        ) from None


async def pull(kubelet: Kubelet, images: Iterable[str]) -> None:
    """Let the kubelet's node have the images.  Raises ClusterError."""
    for image in images:
        error = await kubelet.fetch_image(image)
        if error:
            raise ClusterError(
                f"The image {image} cannot be pulled: {error}.",
                "It was to be on every node (--pre-pull).",
                "Let another stand for it (--image-mirror FROM=TO), or pull none: --pre-pull=",
            )
