"""The contents of images' files, by their hash: each content is on disk once.

Two versions of an application share what they have in common, and a build that was cut off leaves
nothing that anybody refers to.  A content is written beside its place and then moved there, so what
is there is whole.  Files that lie on disk anyway (those of the catalogue) are lent, not copied.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import IO

CHUNK = 1 << 18


class Blobs:
    """Contents below `directory`, which is made when it is first needed.

    `add` may be called from any thread.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lent: dict[str, Path] = {}

    def path(self, digest: str) -> Path:
        """Where a content is."""
        return self._lent.get(digest) or self._directory / digest

    def lend(self, path: Path) -> tuple[str, int]:
        """Know a file that stays where it is: (digest, size)."""
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        self._lent[digest] = path
        return digest, len(data)

    def add(self, source: IO[bytes]) -> tuple[str, int]:
        """Keep a content: (digest, size)."""
        start = source.read(CHUNK)
        if len(start) < CHUNK:
            digest = hashlib.sha256(start).hexdigest()
            if (self._directory / digest).exists():
                return digest, len(start)  # most files of a second build; moving one costs more
        return self._write(itertools.chain([start], iter(partial(source.read, CHUNK), b"")))

    def _write(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        hashed, size = hashlib.sha256(), 0
        descriptor, name = tempfile.mkstemp(dir=self._directory, prefix="new-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    hashed.update(chunk)
                    size += file.write(chunk)
            os.replace(name, self._directory / hashed.hexdigest())
        except BaseException:
            os.unlink(name)
            raise
        return hashed.hexdigest(), size

    def take(self, other: Blobs, digests: Iterable[str]) -> None:
        """Have a copy of what `other` has."""
        for digest in digests:
            if not (self._directory / digest).exists():
                with open(other.path(digest), "rb") as file:
                    self.add(file)

    def keep(self, digests: Iterable[str]) -> None:
        """Copy those that are only lent: the image is to outlive what lent them."""
        self.take(self, [digest for digest in digests if digest in self._lent])

    def sweep(self, used: set[str]) -> int:
        """Remove what is not in `used`; how many bytes that were."""
        freed = 0
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._directory):
                if entry.name not in used:
                    freed += entry.stat().st_size
                    os.unlink(entry.path)
        return freed

    def write(self, digest: str, target: Path, mode: int) -> None:
        """Make the file `target`, which must not be there, from a content."""
        with (
            open(self.path(digest), "rb", buffering=0) as source,
            open(target, "xb", buffering=0) as file,
        ):
            while os.sendfile(file.fileno(), source.fileno(), None, CHUNK):
                pass
            os.fchmod(file.fileno(), mode)
