"""Every command of "kubectl Quick Reference" against a whole cluster, and the table of it.

The table is docs/kubectl.md; it must say what these tests find.  To write it anew:

    LABKIT_WRITE_DOCS=1 pytest tests/kubectl/test_quick_reference.py
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from labkit.clusters import manage
from tests.conftest import take_down, tool
from tests.kubectl import quick_reference as first
from tests.kubectl import quick_reference_running as second
from tests.kubectl.quick_reference import Row, Section
from tests.kubectl.quick_reference_objects import OBJECTS, manifest, write_files

DOCUMENT = Path(__file__).parents[2] / "docs" / "kubectl.md"
REWRITE = bool(os.environ.get("LABKIT_WRITE_DOCS"))
SECTIONS = (
    first.COMPLETION,
    first.CONFIG,
    first.CREATING,
    first.VIEWING,
    first.UPDATING,
    first.PATCHING,
    first.EDITING,
    first.SCALING,
    first.DELETING,
    second.RUNNING,
    second.COPYING,
    second.SERVICES,
    second.NODES,
    second.TYPES,
    second.OUTPUT,
)
WORKS = "works"
_LIMIT = 45.0  # seconds for one command

pytestmark = pytest.mark.timeout(300)


@dataclass
class Shell:
    """Runs commands as a person does: in a directory, with a home and a kubeconfig of their own."""

    directory: Path
    environment: dict[str, str]

    def run(self, script: str, seconds: float = _LIMIT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(script),
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            timeout=seconds,
            check=False,
        )

    def command(self, script: str) -> list[str]:
        return ["bash", "-O", "expand_aliases", "-o", "pipefail", "-c", script]

    def must(self, script: str) -> None:
        """Run what prepares commands; it must succeed."""
        done = self.run(f"set -e\n{script}", 90)
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"

    def conversation(self, row: Row) -> tuple[int | None, str]:
        """(exit code, output) on a terminal; a command that runs on has no exit code."""
        master, slave = pty.openpty() if row.typed else os.pipe()
        process = subprocess.Popen(
            self.command(row.command),
            cwd=self.directory,
            env={**self.environment, "TERM": "dumb"},
            stdin=slave if row.typed else subprocess.PIPE,
            stdout=slave,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(slave)
        try:
            return _converse(process, master, row)
        finally:
            process.kill()
            process.wait()
            os.close(master)


def _converse(process: subprocess.Popen, fd: int, row: Row) -> tuple[int | None, str]:
    """Type the answers as their questions come, until the end or until enough is seen."""
    text, typed, begun = "", list(row.typed), 0
    deadline = time.monotonic() + _LIMIT
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.1)[0]:
            data = _read(fd)
            text += data
            if not data:
                return process.wait(_LIMIT), text
        if row.until and re.search(row.until, text):
            return None, text
        if typed and re.search(typed[0][0], text[begun:]):
            begun = len(text)
            os.write(fd, typed.pop(0)[1].encode())
    return 124, text


def _read(fd: int) -> str:
    try:
        return os.read(fd, 65536).decode(errors="replace")
    except OSError:  # the terminal's last user has closed it
        return ""


@pytest.fixture(scope="module")
def shell(kubectl: str) -> Iterator[Shell]:
    """A cluster of two nodes, and somebody who uses it."""
    tool("jq")
    home = Path(tempfile.mkdtemp(prefix="labkit-"))
    before = os.environ.get("LABKIT_HOME")
    os.environ["LABKIT_HOME"] = str(home)
    person = Path(tempfile.mkdtemp(prefix="person-"))
    try:
        info = manage.up("lab", 2, {"metric-resolution": "1s"})
        (person / ".kube").mkdir()
        shutil.copy(info.kubeconfig, person / ".kube" / "config")
        environment = {**os.environ, "HOME": str(person)}
        environment["PATH"] = f"{Path(kubectl).parent}:{environment['PATH']}"
        environment.pop("KUBECONFIG", None)
        with served(person) as url:
            yield Shell(person, {**environment, "URL": url})
    finally:
        take_down(home)
        shutil.rmtree(person, ignore_errors=True)
        if before is None:
            del os.environ["LABKIT_HOME"]
        else:
            os.environ["LABKIT_HOME"] = before


@contextlib.contextmanager
def served(directory: Path) -> Iterator[str]:
    """The files of a directory over HTTP."""
    handler = functools.partial(_QuietHandler, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


# -- running ---------------------------------------------------------------------------------------


def results_of(shell: Shell, section: Section) -> list[str]:
    """What happens to the commands of a section, in a namespace of its own."""
    namespace = re.sub("[^a-z]+", "-", section.title.lower()).strip("-")
    config = shell.directory / ".kube" / "config"
    kept = config.read_text()
    inner = Shell(shell.directory, {**shell.environment, "NAMESPACE": namespace})
    write_files(shell.directory)
    inner.must(f"kubectl create namespace {namespace}")
    inner.must(f"kubectl config set-context --current --namespace={namespace}")
    try:
        prepare(inner, section, namespace)
        return [result(inner, row) for row in section.rows]
    finally:
        config.write_text(kept)
        shell.run(f"kubectl -n {namespace} delete all --all --now --cascade=foreground", 90)
        shell.run(f"kubectl delete namespace {namespace} --wait=false", 90)
        shell.run("kubectl delete namespace my-ns mynamespace --ignore-not-found")


def prepare(shell: Shell, section: Section, namespace: str) -> None:
    """Make what the commands find."""
    shell.must(f"until kubectl -n {namespace} get serviceaccount default; do sleep 0.1; done")
    for name in section.objects:
        (shell.directory / "objects.yaml").write_text(manifest(*OBJECTS[name]))
        shell.must("kubectl apply -f objects.yaml")
        if name in ("my-dep", "my-pod", "lone", "frontend"):
            shell.must("kubectl wait --for=condition=Ready pod --all --timeout=60s")
    if section.setup:
        shell.must(section.setup)


def result(shell: Shell, row: Row) -> str:
    """`works`, or what kubectl says."""
    if row.after:
        shell.must(row.after)
    if row.until or row.typed:
        code, output = shell.conversation(row)
        message = output
    else:
        try:
            done = shell.run(_with_check(row))
        except subprocess.TimeoutExpired:
            return f"does not end within {_LIMIT:g} s"
        code, output, message = done.returncode, done.stdout + done.stderr, done.stderr
    if code not in (0, None):
        return _refusal(message or output)
    if row.shows and not re.search(row.shows, output, re.MULTILINE):
        return f"does not show {row.shows!r}: {_refusal(output)}"
    if row.then and (row.until or row.typed):
        done = shell.run(row.then)
        return WORKS if done.returncode == 0 else _refusal(done.stderr)
    return WORKS


def _with_check(row: Row) -> str:
    """The command, then what must hold afterwards, in one shell: a command may change that too."""
    return f"{row.command}\n[ $? = 0 ] || exit 1\n{row.then}" if row.then else row.command


def _refusal(message: str) -> str:
    lines = [line for line in message.strip().splitlines() if line.strip()]
    line = next((each for each in lines if each.lower().startswith("error")), (lines or ["?"])[-1])
    return re.sub(r"\s+", " ", line)[:240]


# -- the table -------------------------------------------------------------------------------------

HEAD = """\
# kubectl

Every command of the page
[kubectl Quick Reference](https://kubernetes.io/docs/reference/kubectl/quick-reference/) was run
against a lab of two nodes (`labkit up --nodes 2`). This table is written by
`tests/kubectl/test_quick_reference.py`, which fails when it is no longer true.

The lab fetches nothing over the network, so its own images stand in for others: `todolist` for
`nginx`, `busybox:1.36` for `busybox:1.28`. Where that, or the name of an object, makes the command
another one, the second column says what was run.
"""


def table(found: dict[str, list[str]]) -> str:
    """The whole document."""
    outcomes = [outcome for section in SECTIONS for outcome in found[section.title]]
    working, total = outcomes.count(WORKS), len(outcomes)
    text = f"{HEAD}\n{working} of {total} commands work.\n"
    for section in SECTIONS:
        text += f"\n## {section.title}\n\n| Command | Run here as | Result |\n|---|---|---|\n"
        for row, outcome in zip(section.rows, found[section.title], strict=True):
            shown = outcome if outcome == WORKS else _code(outcome)
            text += f"| {_code(row.page)} | {_code(row.here)} | {shown} |\n"
    return text


def _code(text: str) -> str:
    """Code in a cell of a Markdown table."""
    if not text:
        return ""
    text = "; ".join(line.strip().removesuffix("\\").strip() for line in text.splitlines())
    text = re.sub(" +", " ", text).replace("|", "\\|")
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


# -- the tests -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """What happened so far, by section."""
    return {}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_commands(shell: Shell, found: dict[str, list[str]], section: Section):
    found[section.title] = results_of(shell, section)
    wrong = [
        f"{row.command}\n    {outcome}"
        for row, outcome in zip(section.rows, found[section.title], strict=True)
        if outcome != WORKS and not REWRITE and _code(outcome) not in DOCUMENT.read_text()
    ]
    assert not wrong, "\n".join(wrong)


def test_the_table_says_what_happens(found: dict[str, list[str]]):
    if missing := [section.title for section in SECTIONS if section.title not in found]:
        pytest.skip(f"not all sections were run: {missing}")
    text = table(found)
    if REWRITE:
        DOCUMENT.write_text(text)
    assert DOCUMENT.read_text() == text
