"""Running chapters from top to bottom, as nbval does, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.notebooks.course import ROOT, Chapter

CELL_SECONDS = 120
CHAPTER_SECONDS = 240  # long before this a chapter is of no use to a learner
FLAGS = [
    "-q", "-x", "-p", "no:cacheprovider", "--noconftest", "--nbval-lax", "--nbval-current-env",
    f"--nbval-cell-timeout={CELL_SECONDS}",
]  # fmt: skip


def run(
    chapters: Sequence[Chapter],
    *,
    root: Path = ROOT,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
) -> None:
    """Run chapters one after another; raises AssertionError with the end of what the run said.

    `root` is where the project is, or a copy of it; `before` is put before the command.  Clusters
    are those of the environment's `LABKIT_HOME`, which the caller takes down.
    """
    # Its pytest is not to make a directory for clusters of its own: hence no conftest.
    files = [str(chapter.path.relative_to(ROOT)) for chapter in chapters]
    done = subprocess.run(
        [*before, python, "-m", "pytest", *FLAGS, *files],
        cwd=root,
        env=environment or os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=CHAPTER_SECONDS * len(chapters),
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
