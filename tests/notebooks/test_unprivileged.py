"""The notebooks as on mybinder.org: uid 1000, no capabilities, no new privileges, 2 GB, no Docker.

The test drops privileges itself, so it needs to start as root; an ordinary user has nothing to
drop, and runs the notebooks under these conditions anyway.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UID, GIGABYTE = 1000, 2**30
DROP = [
    "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs",
    "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all",
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    os.getuid() != 0, reason="needs root, to become another user without privileges"
)


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project that uid 1000 owns, outside of directories that are root's alone."""
    home = Path("/var/tmp") / f"labkit-unprivileged-{os.getpid()}"
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    shutil.copytree(ROOT / "labkit", home / "labkit", ignore=shutil.ignore_patterns("__pycache__"))
    _packages(home / "packages")
    for path in [home, *home.rglob("*")]:
        os.chown(path, UID, UID, follow_symlinks=False)
    yield home
    shutil.rmtree(home)


def _packages(target: Path) -> None:
    """The installed packages, where uid 1000 can read them."""
    installed = Path(sysconfig.get_path("purelib"))
    if _readable(installed):
        target.symlink_to(installed)
    else:
        shutil.copytree(installed, target, symlinks=True)


def _readable(path: Path) -> bool:
    return not subprocess.run([*DROP, "test", "-r", path, "-a", "-x", path], check=False).returncode


def _python() -> str:
    """An interpreter of this version that uid 1000 may run."""
    version = "{}.{}".format(*sys.version_info)
    # Started a second time, as some systems let root's child through directories of root's alone.
    code = "import subprocess; subprocess.check_call(['{}', '-c', ''])"
    for candidate in (sys.executable, f"/usr/bin/python{version}"):
        command = [*DROP, candidate, "-c", code.format(candidate)]
        if not subprocess.run(command, check=False, capture_output=True).returncode:
            return candidate
    pytest.skip(f"there is no Python {version} that an ordinary user may run")


@pytest.fixture
def two_gigabytes() -> Iterator[list[Path]]:
    """Files to which a process writes its pid to have 2 GB of memory at most."""
    name = f"labkit-test-{os.getpid()}"
    for base, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = base / name
        try:
            group.mkdir()
            (group / limit).write_text(str(2 * GIGABYTE))
        except OSError:
            continue
        yield [group / "cgroup.procs"]
        group.rmdir()
        return
    yield []  # no control groups here: the other conditions still hold


@pytest.mark.timeout(600)
def test_the_notebooks_pass_without_privileges(home: Path, two_gigabytes: list[Path]):
    join = "".join(f"echo $$ > {file}; " for file in two_gigabytes)
    environment = {
        "PATH": f"{home}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{home}:{home}/packages",
        "LABKIT_HOME": str(home / "state"),
        "DOCKER_HOST": "unix:///nonexistent",
    }
    command = [
        *DROP, _python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax",
        "--nbval-current-env", "--nbval-cell-timeout=120", "notebooks",
    ]  # fmt: skip
    script = join + 'exec "$@"'
    (home / "bin").mkdir()
    try:
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=580,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert " passed" in done.stdout
    finally:
        down = [*DROP, _python(), "-m", "labkit", "down", "--delete"]
        subprocess.run(down, cwd=home, env=environment, check=False, capture_output=True)
