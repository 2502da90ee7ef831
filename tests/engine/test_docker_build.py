"""`docker build` and its kin of the CLI, in each version that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.engine.catalogue import APPS
from tests.engine.conftest import Lab
from tests.engine.test_docker_cli import FOUND


@pytest.fixture(params=FOUND)
def docker(request: pytest.FixtureRequest, embedded: Lab, tmp_path: Path) -> Callable:
    """Runs one CLI in a directory with a copy of the todolist."""
    app = tmp_path / "app"
    shutil.copytree(APPS / "todolist", app, ignore=shutil.ignore_patterns("__pycache__"))

    def run(*words: str, buildkit: str = "0", **options) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": embedded.url}
        return subprocess.run(
            [request.param, *words],
            env=environ | ({"DOCKER_BUILDKIT": buildkit} if buildkit else {}),
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
            cwd=app,
            **options,
        )

    run.app = app
    return run


@pytest.mark.parametrize("buildkit", ["0", ""], ids=["classic", "by-default"])
def test_an_edited_application_is_built_run_and_removed(docker, buildkit: str) -> None:
    page = docker.app / "index.html"
    page.write_text(page.read_text().replace("<h1>To do</h1>", "<h1>Still to do</h1>"))
    (docker.app / ".dockerignore").write_text("secret*\n")
    (docker.app / "secret.txt").write_text("not for the image")
    built = docker("build", "-t", "todolist:v2", ".", buildkit=buildkit)
    assert built.returncode == 0, built.stderr
    assert "Step 1/6 : FROM python:3-slim" in built.stdout
    assert "Successfully tagged todolist:v2" in built.stdout
    shown = docker("run", "--rm", "todolist:v2", "sh", "-c", "ls; grep -c Still index.html").stdout
    assert shown.splitlines() == [
        "application.py", "collection.py", "index.html", "server.py", "todolist.py", "1",
    ]  # fmt: skip
    assert "Untagged: todolist:v2" in docker("rmi", "todolist:v2").stdout


def test_build_quietly_prints_the_id_alone(docker) -> None:
    said = docker("build", "-q", "-t", "quiet", ".").stdout
    assert said == docker("image", "inspect", "-f", "{{.Id}}", "quiet").stdout
    assert docker("rmi", "quiet").returncode == 0


def test_a_failing_build_says_the_line_and_ends_with_an_error(docker) -> None:
    (docker.app / "Dockerfile").write_text("FROM busybox\nRUN apk add curl\n")
    failed = docker("build", ".")
    assert failed.returncode == 1
    assert "Dockerfile line 2: RUN is not supported" in failed.stderr


def test_tag_history_inspect_and_prune(docker) -> None:
    docker("build", "-t", "one", "--label", "mine=yes", ".")
    assert docker("tag", "one", "two:2").returncode == 0
    shown = docker("images", "--filter", "label=mine", "--format", "{{.Repository}}:{{.Tag}}")
    assert set(shown.stdout.split()) == {"one:latest", "two:2"}
    assert "EXPOSE 3001" in docker("history", "--no-trunc", "one").stdout
    assert docker("inspect", "-f", "{{.Config.WorkingDir}}", "two:2").stdout == "/app\n"
    docker("rmi", "one")
    left = docker("image", "prune", "--force", "--all", "--filter", "label=mine")
    assert "untagged: two:2" in left.stdout
    assert "Total reclaimed space: " in left.stdout


def test_a_dockerfile_may_come_from_standard_input(docker) -> None:
    text = "FROM busybox\nCOPY todolist.py /x\n"
    built = docker("build", "-q", "-f", "-", ".", input=text)
    assert built.returncode == 0, built.stderr
    listed = docker("run", "--rm", built.stdout.strip(), "ls", "x")
    assert listed.stdout == "x\n"
    assert docker("build", "-q", "-", input="FROM busybox\nENV A=1\n").returncode == 0
    assert "Total" in docker("builder", "prune", "--force").stdout


def test_save_and_load_carry_an_image_over(docker) -> None:
    docker("build", "-t", "mine:1", ".")
    assert docker("save", "-o", "mine.tar", "mine:1").returncode == 0
    docker("rmi", "mine:1")
    assert docker("load", "-i", "mine.tar").stdout == "Loaded image: mine:1\n"
    assert "todolist.py" in docker("run", "--rm", "mine:1", "ls").stdout
    docker("rmi", "mine:1")
