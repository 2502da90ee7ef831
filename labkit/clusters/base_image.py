"""A root directory for containers from what this machine has: Python, its libraries, a shell.

For a Docker daemon that can pull nothing.  Files keep the paths that they have here, so that the
interpreter finds its library and the dynamic loader the shared ones (`ldd` says which).  The shell
and its tools are busybox' where there is one, else this machine's own `sh`, `ls` and so on.

Left out: other packages than the standard library, certificates, locales, time zones.
"""

from __future__ import annotations

import asyncio
import glob
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_LAYOUT = 1  # of what is written below; a change makes another image
_LOADERS = ("/lib64/ld-linux*.so*", "/lib/ld-linux*.so*", "/lib/ld-musl-*.so*")
# Loaded by the C library when it looks up names, where they are not part of it.
_NAME_SERVICE = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip",
             "turtledemo", "tkinter", "lib2to3", "pydoc_data"}  # fmt: skip
_TOOLS = ("sh", "cat", "chmod", "cp", "cut", "date", "df", "dirname", "du", "echo", "env", "false",
          "find", "grep", "head", "hostname", "id", "kill", "ln", "ls", "mkdir", "mv", "ps", "pwd",
          "readlink", "rm", "sed", "seq", "sleep", "sort", "stat", "tail", "tar", "tee", "test",
          "touch", "tr", "true", "uname", "wc", "whoami", "xargs")  # fmt: skip
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


@cache
def source() -> str:
    """What the image would be made of, as a short hash."""
    parts = (_LAYOUT, sys.version, str(_interpreter()), busybox())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def busybox() -> str | None:
    """The path of this machine's busybox."""
    return shutil.which("busybox")


async def rootfs() -> bytes:
    """The root directory as a tar."""
    return await asyncio.to_thread(_rootfs)


def _interpreter() -> Path:
    """The real interpreter, of which a virtual environment's is a link."""
    return Path(os.path.realpath(sys.executable))


def _rootfs() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        root = _Root(tar)
        library = Path(os.__file__).parent
        modules = sorted((library / "lib-dynload").glob("*.so"))
        programs = [_interpreter(), *_shell(root)]
        for path in (*programs, *_libraries([*programs, *modules])):
            root.add(path)
        for path in _standard_library(library):
            root.add(path)
        root.link("/usr/local/bin/python3", _interpreter())
        for name, text in _FILES.items():
            root.write(name, text.encode())
        for name, mode in (("tmp", 0o1777), ("root", 0o700), ("proc", 0o755), ("sys", 0o755)):
            root.directory(name, mode)
    return packed.getvalue()


class _Root:
    """Writes into the tar, every path once; directories are open to all users."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._done: set[str] = set()

    def add(self, path: Path) -> None:
        """A file of this machine, links followed, at the path that it has here."""
        name = str(path).lstrip("/")
        if self._new(name):
            info = self._tar.gettarinfo(str(path.resolve()), name)
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.type, info.linkname, info.mode = tarfile.REGTYPE, "", info.mode | 0o444
            info.size = path.stat().st_size
            with path.open("rb") as file:
                self._tar.addfile(info, file)

    def link(self, name: str, target: object) -> None:
        """A symbolic link."""
        name = name.lstrip("/")
        if self._new(name):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, str(target)
            self._tar.addfile(info)

    def write(self, name: str, data: bytes) -> None:
        """A small file."""
        if self._new(name):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            self._tar.addfile(info, io.BytesIO(data))

    def directory(self, name: str, mode: int = 0o755) -> None:
        """A directory, and those above it."""
        if name and self._new(name):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode
            self._tar.addfile(info)

    def _new(self, name: str) -> bool:
        if name in self._done:
            return False
        self.directory(os.path.dirname(name))
        self._done.add(name)
        return True


def _shell(root: _Root) -> Iterator[Path]:
    """The programs of the shell; makes the links by which they are called."""
    if path := busybox():
        said = subprocess.run([path, "--list"], capture_output=True, text=True, check=True)
        for applet in said.stdout.split():
            root.link(f"/bin/{applet}", path)
        root.link("/usr/bin/env", path)
        yield Path(path)
        return
    for tool in _TOOLS:
        if path := shutil.which(tool):
            real = Path(os.path.realpath(path))
            yield real
            for place in (f"/bin/{tool}", f"/usr/bin/{tool}"):
                if place != str(real):
                    root.link(place, real)


def _libraries(programs: Iterable[Path]) -> Iterator[Path]:
    """The shared libraries of programs, and the dynamic loader."""
    loaders = [path for pattern in _LOADERS for path in glob.glob(pattern)]
    said = subprocess.run(
        ["ldd", *map(str, programs)], capture_output=True, text=True, check=False
    ).stdout
    found = {line.partition("=> ")[2].split()[0] for line in said.splitlines() if "=> /" in line}
    for path in sorted(found):
        found = found | {str(Path(path).with_name(name)) for name in _NAME_SERVICE}
    yield from (Path(path) for path in (*loaders, *sorted(found)) if os.path.exists(path))


def _standard_library(library: Path) -> Iterator[Path]:
    for place, directories, files in os.walk(library):
        directories[:] = [one for one in directories if one not in _LEFT_OUT
                          and not one.startswith("config-")]  # fmt: skip
        for name in files:
            path = Path(place, name)
            if path.exists() and not name.endswith(".opt-2.pyc"):
                yield path
