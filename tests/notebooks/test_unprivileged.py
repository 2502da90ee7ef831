"""The chapters as on mybinder.org: uid 1000, no capabilities, no new privileges, 2 GB, one CPU.

The tests drop privileges themselves, so they need to start as root; an ordinary user has nothing to
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

from tests.conftest import missing, take_down, tool
from tests.notebooks import course, runs
from tests.notebooks.memory import Peak

CHAPTERS = course.chapters()
UID, GIGABYTE = 1000, 2**30
DROP = [
    "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs",
    "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all",
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    os.getuid() != 0, reason="needs root, to become another user without privileges"
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A copy of the project that uid 1000 owns, outside of directories that are root's alone."""
    tool("setpriv")
    if not _can("true"):
        missing("setpriv", "root of this container may not become another user")
    home = Path("/var/tmp") / f"labkit-unprivileged-{os.getpid()}"
    try:
        _copy(home)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _copy(home: Path) -> None:
    """What a chapter needs: the project's files, the installed packages, and room for state."""
    left_out = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in ("notebooks", "labkit"):
        shutil.copytree(course.ROOT / part, home / part, ignore=left_out)
    shutil.copy(course.ROOT / "pyproject.toml", home)
    _packages(home / "packages")
    for path in [home, *home.rglob("*")]:
        os.chown(path, UID, UID, follow_symlinks=False)


def _packages(target: Path) -> None:
    """The installed packages, where uid 1000 can enter all of their directories."""
    installed = Path(sysconfig.get_path("purelib"))
    if _can("find", str(installed), "-type", "d", "!", "-executable", "-prune"):
        target.symlink_to(installed)
    else:
        shutil.copytree(installed, target, symlinks=True)


def _can(*command: str) -> bool:
    """Whether the command succeeds for uid 1000, in silence."""
    done = subprocess.run([*DROP, *command], check=False, capture_output=True, cwd="/")
    return done.returncode == 0 and not done.stdout


def _python() -> str:
    """An interpreter of this version that uid 1000 may run."""
    version = "{}.{}".format(*sys.version_info)
    # Started a second time, as some systems let root's child through directories of root's alone.
    code = "import subprocess; subprocess.check_call(['{}', '-c', ''])"
    for candidate in (sys.executable, f"/usr/bin/python{version}"):
        if _can(candidate, "-c", code.format(candidate)):
            return candidate
    pytest.skip(f"there is no Python {version} that an ordinary user may run")


@pytest.fixture
def group() -> Iterator[Path | None]:
    """A control group with 2 GB of memory; None where there are no control groups to be had."""
    for base, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = base / f"labkit-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(2 * GIGABYTE))
        except OSError:
            continue
        yield group
        group.rmdir()
        return
    yield None


def _run(chapters: list[course.Chapter], home: Path, group: Path | None, capsys) -> None:
    """Run them all, on one cluster; print the memory that each took, and all together."""
    environment = {
        "PATH": f"{home}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{home}:{home}/packages",
        "LABKIT_HOME": str(home / "state"),
        "DOCKER_HOST": "unix:///nonexistent",
    }
    join = f"echo $$ >{group}/cgroup.procs; " if group else ""
    before = ["sh", "-c", join + 'exec "$@"', "sh", "taskset", "--cpu-list", _cpu(), *DROP]
    python = _python()
    try:
        for chapter in chapters:
            with Peak(home) as peak:
                runs.run(
                    [chapter], root=home, python=python, environment=environment, before=before
                )
            with capsys.disabled():
                print(f"\nuid {UID}, 2 GB, 1 CPU, chapter {chapter.number}: {peak}", end="")
        with capsys.disabled():
            print(_total(group))
    finally:
        take_down(home / "state")


def _cpu() -> str:
    return str(min(os.sched_getaffinity(0)))


def _total(group: Path | None) -> str:
    """The most that all of it took, the notebooks' kernels and the files' cache included."""
    for name in ("memory.max_usage_in_bytes", "memory.peak"):
        if group and (group / name).exists():
            return f"; everything together: {int((group / name).read_text()) / 2**20:.0f} MiB"
    return ""


@pytest.mark.timeout(runs.CHAPTER_SECONDS)
def test_the_first_chapter_passes_without_privileges(home: Path, group: Path | None, capsys):
    _run(CHAPTERS[:1], home, group, capsys)


@pytest.mark.long
@pytest.mark.timeout(runs.CHAPTER_SECONDS * len(CHAPTERS))
def test_all_chapters_pass_without_privileges(home: Path, group: Path | None, capsys):
    _run(CHAPTERS, home, group, capsys)
