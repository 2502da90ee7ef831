"""The files of an image as a value: absolute path → entry.  Nothing here touches the disk.

Invariants: every path's parents are directories of the tree; no path leads through a link, for
links are followed when something is put in, inside of the tree alone (`/` is the image's own root,
and `..` ends there).  So whoever lays the tree out, below whatever directory, writes nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Mapping
from typing import NamedTuple

DIRECTORY_MODE = 0o755
LINKS = 40  # as Linux (MAXSYMLINKS): more are taken for a circle
# What every container has, whatever its image: the engine writes there, so they stay directories.
FIXED = ("/etc", "/root", "/tmp")


class TreeError(Exception):
    """Something cannot be at that path; `str(error)` is the reason."""


class Entry(NamedTuple):
    """A file (it has a digest), a link (it has a target), or else a directory."""

    mode: int
    size: int = 0
    digest: str = ""
    target: str = ""

    @property
    def is_directory(self) -> bool:
        return not self.digest and not self.target


_NOTHING = Entry(0)


class Tree:
    """One image's files, which can be added to."""

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self.entries = dict(entries or {})

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries.values())

    def digest(self) -> str:
        """The hash of everything in it: what a layer's id is."""
        text = json.dumps(sorted(self.entries.items()), separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at `path`, a resolved one."""
        entry = self.entries.get(path)
        return path in ("/", *FIXED) or (entry is not None and entry.is_directory)

    def resolve(self, path: str) -> str:
        """`path` with all links followed; what does not exist is taken as it stands."""
        return follow(path, lambda place: self.entries.get(place, _NOTHING).target)

    def make_directory(self, path: str) -> None:
        """Have a directory at a resolved path, with its parents.  Raises TreeError."""
        if path == "/" or (path in self.entries and self.entries[path].is_directory):
            return
        if path in self.entries:
            raise TreeError(f"mkdir {path}: not a directory")
        self.make_directory(posixpath.dirname(path))
        self.entries[path] = Entry(DIRECTORY_MODE)

    def put(self, path: str, entry: Entry) -> None:
        """A file or a link in the place of what was there; a directory together with one.

        Raises TreeError.
        """
        parent = self.resolve(posixpath.dirname(path))
        self.make_directory(parent)
        place = posixpath.join(parent, posixpath.basename(path))
        if self.is_directory(place) and not entry.is_directory:
            if place in ("/", *FIXED):
                raise TreeError(f"cannot overwrite directory {place} with non-directory")
            self.remove(place)
        if place != "/":
            self.entries[place] = entry

    def remove(self, path: str, *, itself: bool = True) -> None:
        """Take away what is at a resolved path, with what is below it, or only that."""
        for below in [one for one in self.entries if one.startswith(path + "/")]:
            del self.entries[below]
        if itself:
            self.entries.pop(path, None)


def follow(path: str, target_of: Callable[[str], str]) -> str:
    """Resolve `path` where `target_of(place)` is a link's target, or "" if it is none.

    Raises TreeError for a circle.
    """
    rest, done, links = posixpath.normpath("/" + path).split("/")[:0:-1], "/", 0
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = posixpath.dirname(done)
            continue
        place = posixpath.join(done, part)
        target = target_of(place)
        if not target:
            done = place
            continue
        links += 1
        if links > LINKS:
            raise TreeError(f"{path}: too many levels of symbolic links")
        if target.startswith("/"):
            done = "/"
        rest += target.split("/")[::-1]
    return done
