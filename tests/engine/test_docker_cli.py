"""The docker CLI, in each version that is installed, against the embedded engine."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.engine.conftest import Lab, until

PATHS = ("/usr/local/bin/docker", "/usr/bin/docker")
FOUND = [path for path in PATHS if Path(path).exists()] or [shutil.which("docker") or "docker"]
numbers = itertools.count()


@pytest.fixture(params=FOUND)
def docker(request: pytest.FixtureRequest, embedded: Lab, tmp_path: Path) -> Callable:
    """Runs one CLI against the embedded engine: `docker("ps", "-a")`."""
    if not os.access(request.param, os.X_OK):
        missing("docker", "there is no docker CLI")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": embedded.url}

    def run(*words: str, **options) -> subprocess.CompletedProcess[str]:
        if words[0] in ("run", "create"):
            words = (words[0], "--label", f"labkit-test={embedded.prefix}", *words[1:])
        return subprocess.run(
            [request.param, *words],
            env=environ,
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
            **options,
        )

    run.path, run.environ, run.prefix = request.param, environ, embedded.prefix
    return run


def test_run_in_the_foreground_shows_output_and_passes_the_exit_code(docker) -> None:
    done = docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert docker("ps", "-aq", "--filter", f"label=labkit-test={docker.prefix}").stdout == ""


def test_output_without_a_newline_is_not_held_back(docker) -> None:
    with subprocess.Popen(
        [docker.path, "run", "--rm", "busybox", "sh", "-c", "printf now; sleep 30"],
        env=docker.environ,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.read(3) == b"now"
        process.send_signal(signal.SIGKILL)
    docker("rm", "-f", *docker("ps", "-q").stdout.split())


def test_run_detached_then_ps_logs_stop_and_rm(docker) -> None:
    name = f"{docker.prefix}-web"
    loop = "trap 'exit 0' TERM; echo hello; while :; do sleep 0.05; done"
    made = docker("run", "-d", "--name", name, "busybox", "sh", "-c", loop)
    assert len(made.stdout.strip()) == 64, made.stderr
    shown = docker("ps", "--format", "{{.Names}} {{.Image}} {{.State}}").stdout.splitlines()
    assert f"{name} busybox running" in shown
    until(lambda: docker("logs", name).stdout == "hello\n", "the log")
    assert docker("stop", name).stdout == f"{name}\n"
    state = docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).stdout
    assert state == "exited 0\n"
    assert docker("rm", name).returncode == 0
    assert docker("inspect", name).returncode == 1


def test_logs_can_be_followed_to_the_end(docker) -> None:
    name = f"{docker.prefix}-log"
    docker("run", "-d", "--name", name, "busybox", "sh", "-c", "echo 1; sleep 0.3; echo 2")
    assert docker("logs", "-f", name).stdout == "1\n2\n"
    assert docker("logs", "--tail", "1", name).stdout == "2\n"


def test_exec_shows_output_and_passes_the_exit_code(docker) -> None:
    name = f"{docker.prefix}-x"
    docker("run", "-d", "--name", name, "busybox", "sleep", "1000")
    done = docker("exec", "-e", "A=b", name, "sh", "-c", "echo $A; exit 4")
    assert (done.stdout, done.returncode) == ("b\n", 4)


def test_a_missing_program_is_exit_code_127(docker) -> None:
    done = docker("run", "--rm", "busybox", "nosuchprogram")
    assert done.returncode == 127
    assert "executable file not found in $PATH" in done.stderr


def test_pull_and_images(docker) -> None:
    pulled = docker("pull", "todolist:v1")
    assert "Pulling from library/todolist" in pulled.stdout
    assert "docker.io/library/todolist:v1" in pulled.stdout
    assert "Image is up to date for todolist:v1" in docker("pull", "todolist:v1").stdout
    shown = docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.splitlines()
    assert {"todolist:v1", "pause:3.10", "registry.k8s.io/pause:3.10"} <= set(shown)
    assert "Untagged: todolist:v1" in docker("rmi", "todolist:v1").stdout


def test_an_unknown_image_is_refused_in_the_daemons_words(docker) -> None:
    done = docker("run", "--rm", "nosuch")
    assert done.returncode == 125
    assert "Unable to find image 'nosuch:latest' locally" in done.stderr
    assert (
        "pull access denied for nosuch, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    ) in done.stderr
    assert "manifest for todolist:v9 not found" in docker("pull", "todolist:v9").stderr


def test_stats_events_version_and_info(docker) -> None:
    name = f"{docker.prefix}-s"
    docker("run", "-d", "--name", name, "busybox", "sleep", "1000")
    stats = docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", name)
    assert stats.stdout == f"{name} 1\n"
    happened = docker("events", "--since", "1m", "--until", "0s", "--filter", f"container={name}")
    assert "container create" in happened.stdout
    assert "Server: labkit" in docker("version").stdout
    assert "no isolation" in docker("info").stderr + docker("info").stdout


def test_pause_top_rename_update_and_port(docker) -> None:
    name = f"{docker.prefix}-p"
    docker(
        "run", "-d", "--name", f"{name}-0", "-m", "64m", "--cpus", ".5", "busybox", "sleep", "99"
    )
    assert docker("rename", f"{name}-0", name).returncode == 0
    assert docker("pause", name).stdout == f"{name}\n"
    assert "(Paused)" in docker("ps", "--filter", f"name={name}").stdout
    assert docker("unpause", name).stdout == f"{name}\n"
    titles, row = docker("top", name).stdout.splitlines()
    assert titles.split()[:3] == ["UID", "PID", "PPID"]
    assert row.endswith("sleep 99")
    assert "sleep 99" in docker("top", name, "-o", "pid,args").stdout
    updated = docker("update", "--memory", "96m", "--cpus", ".2", "--restart", "always", name)
    assert updated.stdout == f"{name}\n", updated.stderr
    shown = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}}"
    assert docker("inspect", "-f", shown, name).stdout == "100663296 200000000 always\n"
    assert docker("stop", "-t", "0", name).returncode == 0


def test_system_prune_leaves_what_is_in_use(docker) -> None:
    label, mine = f"labkit-test={docker.prefix}", f"label=labkit-test={docker.prefix}"
    docker("run", "--name", f"{docker.prefix}-done", "busybox", "true")
    docker("run", "-d", "--name", f"{docker.prefix}-up", "busybox", "sleep", "99")
    docker("network", "create", "--label", label, f"{docker.prefix}-net")
    done = docker("system", "prune", "-f", "--filter", mine)
    assert done.returncode == 0, done.stderr
    assert "Deleted Containers:" in done.stdout
    assert f"Deleted Networks:\n{docker.prefix}-net" in done.stdout
    names = docker("ps", "-a", "--filter", mine, "--format", "{{.Names}}").stdout
    assert names == f"{docker.prefix}-up\n"
    for what in ("container", "network", "volume"):
        words = () if what == "volume" else ("--filter", mine)
        assert docker(what, "prune", "-f", *words).returncode == 0


def test_a_restart_policy_is_shown_by_ps_and_events(docker) -> None:
    name = f"{docker.prefix}-r"
    docker("run", "-d", "--name", name, "--restart", "on-failure:1", "busybox", "false")
    until(lambda: docker("inspect", "-f", "{{.State.Status}}", name).stdout == "exited\n", "ended")
    assert docker("inspect", "-f", "{{.RestartCount}}", name).stdout == "1\n"
    # `--until 0s` is the beginning of this second.
    expected = ["create", "start", "die", "start", "die"]
    until(lambda: actions(docker, name) == expected, "all events")


def actions(docker, name: str) -> list[str]:
    filters = ("--filter", f"container={name}", "--filter", "type=container")
    shown = docker("events", "--since", "1m", "--until", "0s", "--format", "{{.Action}}", *filters)
    return shown.stdout.split()


def test_wait_prints_the_exit_code(docker) -> None:
    name = f"{docker.prefix}-w"
    docker("run", "-d", "--name", name, "busybox", "sh", "-c", "sleep 0.2; exit 6")
    assert docker("wait", name).stdout == "6\n"
