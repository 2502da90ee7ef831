"""A real file system that is soon full."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


class SmallDisk:
    """A file system of 8 MB at `path`.  Raises PermissionError where none may be mounted."""

    def __init__(self, path: Path) -> None:
        self.path, self._ballast = path, path / "ballast"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(path)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            raise PermissionError("mounting a small file system is not permitted here")

    def fill(self, left: int = 0) -> None:
        """Leave only so many bytes free."""
        with open(self._ballast, "wb", buffering=0) as file:
            while shutil.disk_usage(self.path).free > left:
                file.write(b"\0" * 4096)

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink()

    def close(self) -> None:
        """Take it away, with all that is on it."""
        subprocess.run(["umount", str(self.path)], check=True)
