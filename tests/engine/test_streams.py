"""Talking with a container: standard input, terminals, attach; the docker CLI on both engines."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pexpect
import pytest

from tests.conftest import missing
from tests.engine.conftest import Lab, until

PATHS = ("/usr/local/bin/docker", "/usr/bin/docker")
FOUND = next((path for path in PATHS if Path(path).exists()), shutil.which("docker"))
FOREVER = "while true; do sleep 1; done"
NOISE = bytes(range(256)) * 4096  # 1 MiB, every byte among it


class CLI:
    """The docker CLI on one engine."""

    def __init__(self, lab: Lab, home: Path) -> None:
        if FOUND is None:
            missing("docker", "there is no docker CLI")
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_HOST": lab.url}

    def __call__(self, *words: str, send: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """One command, with `send` as its standard input."""
        return subprocess.run(
            [FOUND, *words],
            env=self.environ,
            input=send,
            capture_output=True,
            timeout=30,
            check=False,
        )

    def terminal(self, *words: str) -> pexpect.spawn:
        """One command in a terminal of 30 lines of 100 characters."""
        return pexpect.spawn(
            FOUND, list(words), env=self.environ, timeout=40, dimensions=(30, 100), echo=False
        )


@pytest.fixture
def docker(lab: Lab, tmp_path: Path) -> CLI:
    return CLI(lab, tmp_path)


def test_exec_i_sends_every_byte_and_the_end_of_input(lab: Lab, docker: CLI) -> None:
    container = lab.run(FOREVER)
    done = docker("exec", "-i", container.id, "sh", "-c", "cat; echo end >&2; exit 4", send=NOISE)
    assert (done.returncode, done.stderr) == (4, b"end\n")
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(NOISE).digest()


def test_exec_without_i_has_no_input(lab: Lab, docker: CLI) -> None:
    container = lab.run(FOREVER)
    done = docker("exec", container.id, "cat", send=b"unheard")
    assert (done.returncode, done.stdout) == (0, b"")


def test_exec_ends_though_its_input_goes_on(lab: Lab, docker: CLI) -> None:
    container = lab.run(FOREVER)
    done = docker("exec", "-i", container.id, "head", "-c", "3", send=b"abc" + NOISE)
    assert (done.returncode, done.stdout) == (0, b"abc")


def test_output_of_an_exec_waits_for_a_slow_reader(lab: Lab, docker: CLI) -> None:
    container = lab.run(FOREVER)
    command = [FOUND, "exec", container.id, "head", "-c", "40000000", "/dev/zero"]
    with subprocess.Popen(command, env=docker.environ, stdout=subprocess.PIPE) as process:
        assert len(process.stdout.read(1)) == 1
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert len(process.stdout.read()) == 40_000_000 - 1
    assert process.returncode == 0


def test_exec_it_has_a_terminal_of_the_clients_size(lab: Lab, docker: CLI) -> None:
    container = lab.run(FOREVER)
    shell = docker.terminal("exec", "-it", container.id, "sh")
    shell.expect("[$#] ")
    until(lambda: asks(shell, "stty size", "30 100"), "the size has arrived")
    shell.sendline("tty && echo TERM=$TERM")
    shell.expect("/dev/pts.*TERM=xterm")
    shell.sendline("sleep 60; echo interrupted=$?")
    shell.send("\x03")
    shell.expect("[$#] ")
    shell.setwinsize(20, 90)
    until(lambda: asks(shell, "stty size", "20 90"), "the new size has arrived")
    shell.sendline("exit 5")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 5


def asks(shell: pexpect.spawn, command: str, answer: str) -> bool:
    """Whether the shell answers so."""
    shell.sendline(command)
    return shell.expect([f"{answer}\r\n", r"\d+ \d+\r\n"]) == 0


def test_run_i_passes_input_and_exit_code(lab: Lab, docker: CLI) -> None:
    words = ("run", "--rm", "-i", "--label", f"labkit-test={lab.prefix}", lab.image)
    done = docker(*words, "sh", "-c", "cat; exit 3", send=NOISE)
    assert done.returncode == 3
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(NOISE).digest()


def test_run_it_is_a_shell(lab: Lab, docker: CLI) -> None:
    label = f"labkit-test={lab.prefix}"
    shell = docker.terminal("run", "--rm", "-it", "--label", label, lab.image, "sh")
    shell.expect("[$#] ")
    until(lambda: asks(shell, "stty size", "30 100"), "the size has arrived")
    shell.sendline("exit 6")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 6


def test_attach_speaks_with_the_running_container(lab: Lab, docker: CLI) -> None:
    container = lab.create(
        "while read line; do echo heard $line; done", stdin_open=True, detach=True
    )
    container.start()
    client = pexpect.spawn(
        FOUND, ["attach", "--sig-proxy=false", container.id], env=docker.environ, timeout=20
    )
    client.sendline("one")
    client.expect("heard one")
    client.sendline("two")
    client.expect("heard two")
    client.close(force=True)
    container.reload()
    assert container.status == "running"
    assert b"heard two" in container.logs()


def test_the_log_of_a_container_with_a_terminal_is_not_multiplexed(lab: Lab) -> None:
    container = lab.create("echo out; echo err >&2", tty=True)
    container.start()
    container.wait()
    assert container.logs() == b"out\r\nerr\r\n"


def test_a_client_that_leaves_ends_the_input_of_its_exec(embedded: Lab) -> None:
    container = embedded.run(FOREVER)
    created = embedded.api.exec_create(container.id, ["sh", "-c", "cat; exit 9"], stdin=True)
    stream = embedded.api.exec_start(created["Id"], socket=True)
    connection = getattr(stream, "_sock", stream)
    connection.sendall(b"hello")
    connection.shutdown(socket.SHUT_RDWR)
    stream.close()
    until(lambda: embedded.api.exec_inspect(created["Id"])["ExitCode"] == 9, "cat has ended")


def test_two_clients_attached_see_the_same(lab: Lab) -> None:
    container = lab.create("echo ready; read line; echo heard $line", stdin_open=True)
    output = container.attach(stream=True)
    container.start()
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.extend(output))
    reader.start()
    until(lambda: b"".join(seen) == b"ready\n", "the first one listens")
    talker = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    getattr(talker, "_sock", talker).sendall(b"you\n")
    reader.join(20)
    assert b"".join(seen) == b"ready\nheard you\n"
    talker.close()


def test_who_is_attached_misses_nothing_however_slow(lab: Lab, docker: CLI) -> None:
    words = ("run", "--rm", "-i", "--label", f"labkit-test={lab.prefix}", lab.image)
    command = [FOUND, *words, "head", "-c", "10000000", "/dev/zero"]
    with subprocess.Popen(command, env=docker.environ, stdout=subprocess.PIPE) as process:
        assert len(process.stdout.read(1)) == 1
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert len(process.stdout.read()) == 10_000_000 - 1


def test_start_ai_talks_with_the_next_run(lab: Lab, docker: CLI) -> None:
    container = lab.create("read line; echo heard $line; exit 2", stdin_open=True)
    for word in (b"one", b"two"):
        done = docker("start", "-ai", container.id, send=word + b"\n")
        assert (done.returncode, done.stdout) == (2, b"heard " + word + b"\n")
