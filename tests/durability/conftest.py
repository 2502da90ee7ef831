"""Disks that are soon full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.small_disk import SmallDisk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A real file system of 8 MB; the test is skipped where none may be mounted."""
    try:
        disk = SmallDisk(tmp_path / "small")
    except PermissionError as error:
        pytest.skip(str(error))
    yield disk
    disk.close()
