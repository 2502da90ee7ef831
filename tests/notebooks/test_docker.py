"""The chapters on a real Docker daemon, as with `export LABKIT_ENGINE=docker`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import dockerd, tool
from tests.notebooks import course, runs

CHAPTERS = course.chapters()


def _run(chapters: list[course.Chapter], home: Path) -> None:
    tool("kubectl")
    runs.run(
        chapters,
        environment={**os.environ, "LABKIT_ENGINE": "docker", "DOCKER_HOST": dockerd()},
    )
    description = json.loads((home / "lab" / "cluster.json").read_text())
    assert description["engine"] == "docker"


@pytest.mark.timeout(runs.CHAPTER_SECONDS)
def test_the_first_chapter_passes_on_a_docker_daemon(labkit_home: Path):
    _run(CHAPTERS[:1], labkit_home)


@pytest.mark.long
@pytest.mark.timeout(runs.CHAPTER_SECONDS * len(CHAPTERS))
def test_all_chapters_pass_on_a_docker_daemon(labkit_home: Path):
    _run(CHAPTERS[1:], labkit_home)
