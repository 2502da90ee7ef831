"""A container's files as tar archives: `docker cp` and `docker export`, without HTTP.

A path is looked up below the container's root directory, with all links followed as if that were
`/`; only the engine's own links (bind mounts, the /etc files of a shared network) lead out of it.
What a container sees of the host (see environment.py) is not in reach.

What comes in is checked member by member: names that leave the directory are refused, and so are
devices.  Owners are not kept: there is one user, shown as root.
"""

from __future__ import annotations

import copy
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from labkit.engine import environment
from labkit.engine.containers import Container, mounts
from labkit.engine.errors import BadParameter, EngineError, NotFound
from labkit.engine.timestamps import rfc3339_nano
from labkit.engine.trees import TreeError, follow

# Go's os.FileMode: its bits above the permissions, and what Linux calls them.
GO_DIRECTORY, GO_LINK, GO_PIPE, GO_SOCKET, GO_SETUID, GO_SETGID, GO_STICKY = (
    1 << bit for bit in (31, 27, 25, 24, 23, 22, 20)
)
TYPES = {
    stat.S_IFDIR: GO_DIRECTORY,
    stat.S_IFLNK: GO_LINK,
    stat.S_IFIFO: GO_PIPE,
    stat.S_IFSOCK: GO_SOCKET,
}
FLAGS = ((stat.S_ISUID, GO_SETUID), (stat.S_ISGID, GO_SETGID), (stat.S_ISVTX, GO_STICKY))


def go_mode(mode: int) -> int:
    """A mode of stat(2) → Go's."""
    flags = sum(go for flag, go in FLAGS if mode & flag)
    return mode & 0o777 | TYPES.get(stat.S_IFMT(mode), 0) | flags


def _clean(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


class Files:
    """The files of one container; `name` is what the client called it."""

    def __init__(self, container: Container, name: str) -> None:
        self._name, self._root = name, container.root
        self._outside = outside(container)

    def find(self, path: str) -> Path:
        """The place on the host of what is at `path`; a link at its end is not followed unless
        a slash or `/.` comes after it.  Raises NotFound, BadParameter."""
        clean = _clean(path)
        if clean == "/" or path.endswith(("/", "/.")):
            return self._existing(self.resolve(clean), path)
        parent, base = posixpath.split(clean)
        return self._existing(posixpath.join(self.resolve(parent), base), path)

    def directory(self, path: str) -> Path:
        """The directory at `path`, to put something in.  Raises NotFound, BadParameter."""
        place = self._existing(self.resolve(path), path)
        if not place.is_dir():
            raise BadParameter("extraction point is not a directory")
        return place

    def resolve(self, path: str) -> str:
        """The path in the container with all links followed.  Raises EngineError."""
        try:
            return follow(path, self._target)
        except TreeError as error:
            raise EngineError(str(error)) from None

    def _target(self, place: str) -> str:
        host = self._host(place)
        return os.readlink(host) if place not in self._outside and host.is_symlink() else ""

    def _host(self, place: str) -> Path:
        above = [out for out in self._outside if place == out or place.startswith(out + "/")]
        if above:
            longest = max(above, key=len)
            return Path(self._outside[longest] + place[len(longest) :])
        return Path(f"{self._root}{place}")

    def _existing(self, place: str, path: str) -> Path:
        host = self._host(place)
        if not os.path.lexists(host):
            raise NotFound(f"Could not find the file {path} in container {self._name}")
        return host

    def stat(self, path: str) -> dict[str, Any]:
        """What the header `X-Docker-Container-Path-Stat` says.  Raises NotFound."""
        found = self.find(path).lstat()
        link = stat.S_ISLNK(found.st_mode)
        return {
            "name": posixpath.basename(_clean(path)) or "/",
            "size": found.st_size,
            "mode": go_mode(found.st_mode),
            "mtime": rfc3339_nano(found.st_mtime_ns / 1e9),
            "linkTarget": self.resolve(path) if link else "",
        }

    def pack(self, path: str, out: IO[bytes]) -> None:
        """Write what is at `path` as a tar, under its own name.  Raises NotFound."""
        base = "." if path.endswith("/.") else posixpath.basename(_clean(path))
        self._pack(self.find(path), base or "/", out)

    def pack_all(self, out: IO[bytes]) -> None:
        """Write the whole root directory as a tar; mounts are empty, as in `docker export`."""
        self._pack(self._root, "", out)

    def _pack(self, place: Path, name: str, out: IO[bytes]) -> None:
        with tarfile.open(fileobj=out, mode="w") as tar:
            tar.add(place, name, filter=self._shown)

    def _shown(self, info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if info.issym() and info.linkname in self._outside.values():
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        return info

    def unpack(self, path: str, archive: IO[bytes], *, keep_kinds: bool) -> None:
        """Extract a tar (perhaps packed) into the directory at `path`.

        `keep_kinds`: a directory must not become anything else, nor the reverse.  Raises
        NotFound, BadParameter, EngineError.
        """
        place = self.directory(path)
        try:
            with tarfile.open(fileobj=archive, mode="r:*") as tar:
                for info in tar:
                    self._extract(tar, info, place, keep_kinds=keep_kinds)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise EngineError(f"Error processing tar file: {error}") from None

    @staticmethod
    def _extract(
        tar: tarfile.TarFile, info: tarfile.TarInfo, place: Path, *, keep_kinds: bool
    ) -> None:
        target = place / info.name.lstrip("/")
        if os.path.lexists(target):
            here = target.is_dir() and not target.is_symlink()
            if keep_kinds and here != info.isdir():
                kinds = ("directory", "non-directory") if here else ("non-directory", "directory")
                raise EngineError(f"cannot overwrite {kinds[0]} {target.name!r} with {kinds[1]}")
            if here and not info.isdir():
                shutil.rmtree(target)
        tar.extract(info, place, filter=_safe)


def _safe(info: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """tarfile's filter for data; links may point anywhere, as they are read inside alone."""
    if info.issym():
        plain = copy.copy(info)
        plain.type = tarfile.REGTYPE
        name = tarfile.data_filter(plain, place).name
        return info.replace(name=name, uid=None, gid=None, uname=None, gname=None)
    return tarfile.data_filter(info, place)


def outside(container: Container) -> Mapping[str, str]:
    """The engine's own links: path in the container → path on the host."""
    found = {
        _clean(mount["Destination"]): mount["Source"] for mount in mounts(container.host_config)
    }
    for name in environment.NETWORK_FILES:
        link = container.root / "etc" / name
        if link.is_symlink():
            found[f"/etc/{name}"] = os.readlink(link)
    return found
