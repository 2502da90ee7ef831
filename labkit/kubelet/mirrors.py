"""Mirrors of images: where to look for what a Pod asks for, as values.

`FROM=TO` says that images whose names begin with FROM are taken from TO.  FROM is a registry, a
path in it, a repository, or one image with its tag; the longest FROM that fits wins.  What follows
FROM is kept, as in registries.conf, with one addition for labs, in which few images can be had:
where TO stands for a whole repository and has no such tag, its `latest` will do; and where TO
itself names a tag, it stands for all tags.

Source: containers-registries.conf(5), `prefix` and `location`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# A reference as the distribution specification has it, roughly: no upper case in the path.
REFERENCE = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?",
    re.ASCII,
)
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?")


class Mirror(NamedTuple):
    """Images whose full names begin with `prefix` are those of `location`."""

    prefix: str
    location: str

    def __str__(self) -> str:
        return f"{self.prefix}={self.location}"


def parse(text: str) -> Mirror:
    """`FROM=TO`.  Raises ValueError with the reason."""
    prefix, equals, location = text.partition("=")
    if not equals or not prefix or not location:
        raise ValueError("it has not the form FROM=TO")
    for name in (prefix, location):
        if not REFERENCE.fullmatch(name) and not _HOST.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an image or a registry")
    return Mirror(prefix, location)


def with_tag(image: str) -> str:
    """`image` with `:latest` where it has neither tag nor digest."""
    return image if _has_tag(image) else f"{image}:latest"


def _has_tag(image: str) -> bool:
    last = image.rsplit("/", 1)[-1]
    return ":" in last or "@" in last


def _full(name: str) -> str:
    """The name with its registry: `nginx` is `docker.io/library/nginx`."""
    head, slash, _ = name.partition("/")
    if slash and (set(head) & set(".:") or head == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _prefixes(mirror: Mirror) -> Iterable[str]:
    """What FROM means: `docker.io` is a registry, `nginx` one of Docker Hub's repositories."""
    if "." in mirror.prefix.partition("/")[0] or mirror.prefix.startswith("localhost"):
        yield mirror.prefix
    yield _full(mirror.prefix)


def chosen(image: str, mirrors: Iterable[Mirror]) -> tuple[Mirror, list[str]] | None:
    """The mirror for an image, and the names to try there in order; None without a mirror."""
    full, best = _full(with_tag(image)), ("", None)
    for mirror in mirrors:
        for prefix in _prefixes(mirror):
            rest = full.removeprefix(prefix)
            if rest != full and (not rest or rest[0] in "/:@") and len(prefix) > len(best[0]):
                best = prefix, mirror
    prefix, mirror = best
    return (mirror, _names(mirror.location, full.removeprefix(prefix))) if mirror else None


def _names(location: str, rest: str) -> list[str]:
    if rest.startswith("/"):
        return [location + rest]
    if not rest or _has_tag(location):
        return [with_tag(location)]
    tag = rest.partition("@")[0]  # a digest is that of the image, never of its stand-in
    return list(dict.fromkeys([with_tag(location + tag), with_tag(location)]))
