"""The context of a build: the files that COPY may read, from a tar or from a directory.

A tar is read where it lies (a spooled upload); nothing of it is ever unpacked, so no name and no
link in it can make the engine write anywhere.  Names that leave the context are refused.  Links are
followed inside of the context alone, as if it were a root directory.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from labkit.engine.errors import BadParameter, EngineError
from labkit.engine.filters import path_match
from labkit.engine.trees import DIRECTORY_MODE, follow

_PACKED = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_WILD = set("*?[")


class CopyError(Exception):
    """A source of COPY that cannot be had; `str(error)` is the reason."""


class Member(NamedTuple):
    """A directory, a link (it has a target), or a file (`open` reads it)."""

    mode: int
    target: str = ""
    open: Callable[[], IO[bytes]] | None = None
    path: Path | None = None  # of a file that is on disk by itself


class Context:
    """Files by their path in the context, without a leading slash; "" is the context itself."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {"": Member(DIRECTORY_MODE)}

    def add(self, path: str, member: Member) -> None:
        """Put something in, and the directories above it."""
        self.members[path] = member
        while path := posixpath.dirname(path):
            self.members.setdefault(path, Member(DIRECTORY_MODE))

    def resolve(self, path: str) -> str:
        """The path with all links followed."""
        found = follow(path, lambda place: self.members.get(place[1:], self.members[""]).target)
        return found.lstrip("/")

    def read(self, path: str) -> bytes | None:
        """A file's content; None if there is none."""
        member = self.members.get(self.resolve(path))
        if member is None or member.open is None:
            return None
        with member.open() as file:
            return file.read()

    def select(self, source: str) -> list[str]:
        """The paths that one source of COPY means.  Raises CopyError."""
        path = source.lstrip("/").removeprefix("./")
        clean = posixpath.normpath(path) if path else "."
        if clean == ".." or clean.startswith("../"):
            raise CopyError(f"forbidden path outside the build context: {source} ()")
        if _WILD & set(clean):
            found = sorted(one for one in self.members if one and path_match(clean, one))
        else:
            found = ["" if clean == "." else clean]
        for one in found:
            if self.resolve(one) not in self.members:
                raise CopyError(
                    "file not found in build context or excluded by .dockerignore: "
                    f"stat {one}: file does not exist"
                )
        return found

    def below(self, path: str) -> Iterator[tuple[str, Member]]:
        """What is in a directory (a resolved path), with paths relative to it, in order."""
        prefix = f"{path}/" if path else ""
        for name in sorted(self.members):
            if name.startswith(prefix) and name != path and name:
                yield name[len(prefix) :], self.members[name]


def from_directory(directory: Path) -> Context:
    """The context of an image of the catalogue: plain files."""
    context = Context()
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(directory).as_posix()
            # What lies in a `bin` is a program also where an installer lost the bit.
            program = path.parent.name == "bin" or path.stat().st_mode & 0o100
            mode = 0o755 if program else 0o644
            context.add(name, Member(mode, open=partial(open, path, "rb"), path=path))
    return context


def from_tar(upload: IO[bytes]) -> Context:
    """The context that a client sent: a tar, perhaps packed.  Raises EngineError."""
    tar, context = open_tar(upload), Context()
    for info in tar.getmembers():
        name = _inside(info.name)
        if name:
            context.add(name, _member(tar, info))
    return context


def open_tar(upload: IO[bytes]) -> tarfile.TarFile:
    """A tar, perhaps packed.  Raises EngineError."""
    try:
        tar = tarfile.open(fileobj=_unpacked(upload), mode="r:")  # noqa: SIM115 (read later)
        tar.getmembers()
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError) as error:
        raise EngineError(f"this is no tar archive: {error}") from None
    return tar


def _unpacked(upload: IO[bytes]) -> IO[bytes]:
    """The tar as a file in which one can go back and forth, with an end."""
    upload.seek(0)
    opener, plain = _PACKED.get(upload.read(2)), upload
    upload.seek(0)
    if opener is not None:
        plain = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the tar)
        with opener(upload) as packed:
            shutil.copyfileobj(packed, plain)
    # `docker build -f -` leaves the end out, as it does the padding before it.
    size = plain.seek(0, os.SEEK_END)
    plain.write(bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
    plain.seek(0)
    return plain


def _inside(name: str) -> str:
    """The path in the context of a name in the tar.  Raises BadParameter."""
    path = posixpath.normpath(name.lstrip("/") or ".")
    if path == ".." or path.startswith("../"):
        raise BadParameter(f'the build context has a name that leaves it: "{name}"')
    return "" if path == "." else path


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    mode = info.mode & 0o777
    if info.isdir():
        # The owner, who is the user, must be able to read a copy and to remove it.
        return Member(mode | 0o700)
    if info.issym():
        return Member(0o777, target=info.linkname)
    if info.isfile() or info.islnk():
        _inside(info.linkname) if info.islnk() else None
        return Member(mode | 0o400, open=lambda: _content(tar, info))
    raise BadParameter(
        f"the build context has something that is no file, directory or link: {info.name}"
    )


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    try:
        found = tar.extractfile(info)
    except KeyError:
        found = None
    if found is None:
        raise CopyError(f"{info.name} is a link to nothing in the build context")
    return found


def spool(directory: Path) -> IO[bytes]:
    """A file for an upload, which is gone when it is closed."""
    os.makedirs(directory, exist_ok=True)
    return tempfile.TemporaryFile(dir=directory)
