"""Names of images: `todolist`, `todolist:v1`, `docker.io/library/todolist:v1` are one name.

Follows the Docker distribution's reference rules: a first component without a dot, a colon or the
name `localhost` is no registry; the registry is then docker.io, whose official images are under
`library/`; the tag is then `latest`.  What the API shows is the *familiar* form, without these.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from labkit.engine.errors import BadParameter

DOMAIN, LIBRARY, TAG = "docker.io", "library/", "latest"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_DOMAIN = re.compile(r"[A-Za-z0-9.\-]+(?::\d+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Reference(NamedTuple):
    """A name in full: `docker.io`, `library/todolist`, and a tag (`v1`) or else a digest."""

    domain: str
    path: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        """The name in full, which `parse` reads."""
        end = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{self.domain}/{self.path}{end}"

    @property
    def repository(self) -> str:
        """The familiar repository: `todolist`, `registry.k8s.io/pause`."""
        if self.domain != DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix(LIBRARY)

    @property
    def familiar(self) -> str:
        """`todolist:v1`; by digest `todolist@sha256:...`."""
        if self.digest:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}"


def parse(name: str, tag: str = "") -> Reference:
    """`name`, with `tag` (or a digest) where the API gives one apart.  Raises BadParameter."""
    name, _, digest = name.partition("@")
    if tag.startswith("sha256:"):
        tag, digest = "", tag
    head, slash, rest = name.partition("/")
    if not slash or not (set(head) & set(".:") or head == "localhost"):
        head, rest = DOMAIN, name
    path, _, own = rest.partition(":")
    tag = tag or own or TAG
    if path != path.lower():
        raise BadParameter("invalid reference format: repository name must be lowercase")
    fits = _DOMAIN.fullmatch(head) and _PATH.fullmatch(path) and _TAG.fullmatch(tag)
    if not fits or (digest and not _DIGEST.fullmatch(digest)):
        raise BadParameter("invalid reference format")
    if head in ("index.docker.io", DOMAIN):
        head, path = DOMAIN, path if "/" in path else LIBRARY + path
    return Reference(head, path, "" if digest else tag, digest)
