"""Puts files into a directory so that a reader sees all of the old ones or all of the new ones.

The files are in a directory with the time in its name, to which the link `..data` leads; each file
that people see is a link through `..data`.  A change is written into a fresh directory, and
renaming a new `..data` over the old one is the moment when all of it is seen:

    volume/..2026_01_31_09_30_00.4711/colour
    volume/..data   -> ..2026_01_31_09_30_00.4711
    volume/colour   -> ..data/colour

Source: k8s.io/kubernetes pkg/volume/util/atomic_writer.go.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from labkit.kubelet.volume_content import File

DATA = "..data"
_NEW = "..data_tmp"


def write(directory: Path, files: Mapping[str, File], now: float) -> bool:
    """Make `files` the content of `directory`; whether that changed anything.  Raises OSError."""
    old = _current(directory)
    if old is not None and _holds(old, files):
        return False
    fresh = _fill(directory, files, now)
    link = directory / _NEW
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.rename(directory / DATA)
    _show(directory, {path.partition("/")[0] for path in files})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _current(directory: Path) -> Path | None:
    try:
        return directory / os.readlink(directory / DATA)
    except OSError:
        return None


def _holds(directory: Path, files: Mapping[str, File]) -> bool:
    """Whether a directory has exactly these files."""
    present = {
        str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()
    }
    return present == files.keys() and all(
        (directory / path).read_bytes() == file.data
        and (directory / path).stat().st_mode & 0o777 == file.mode
        for path, file in files.items()
    )


def _fill(directory: Path, files: Mapping[str, File], now: float) -> Path:
    stamp = datetime.fromtimestamp(now, UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    fresh = Path(tempfile.mkdtemp(prefix=stamp, dir=directory))
    fresh.chmod(0o755)
    for path, file in files.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(file.data)
        target.chmod(file.mode)  # whatever the umask is
    return fresh


def _show(directory: Path, names: set[str]) -> None:
    """Exactly one link for each of `names`."""
    for name in names:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{DATA}/{name}")
    for path in directory.iterdir():
        if path.is_symlink() and path.name not in names and not path.name.startswith(".."):
            path.unlink()
