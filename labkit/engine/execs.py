"""Execs: further processes in a running container (`docker exec`, a kubelet's exec probe).

An exec is created with its command, started once, and stays to be inspected for its exit code.  It
gets the container's environment and working directory, a standard input or a terminal of its own
if it is asked for, and is killed when the container ends.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.engine.containers import Container
from labkit.engine.errors import (
    BadParameter,
    Conflict,
    cannot_exec,
    is_paused,
    is_restarting,
    not_running,
)
from labkit.engine.feed import Feed
from labkit.engine.logs import STDERR, STDOUT
from labkit.engine.processes import Process, Processes

if TYPE_CHECKING:
    from labkit.engine.runtime import Runtime

KEPT = 32  # finished execs of one container that can still be inspected
CANNOT_START = 126


@dataclass(eq=False)
class Exec:
    """One exec; `exit_code` is None until it has ended."""

    container: Container
    argv: list[str]
    env: list[str]
    working: str
    streams: frozenset[int]
    stdin: bool = False
    tty: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(32))
    feed: Feed = field(default_factory=Feed)
    process: Process | None = None
    started: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # it runs, or could not
    exit_code: int | None = None

    async def kill(self, processes: Processes) -> None:
        """End it with its container."""
        if self.process is not None:
            await processes.signal(self.process, signal.SIGKILL)

    def attributes(self, **more: str) -> dict[str, str]:
        return self.container.attributes(execID=self.id, **more)

    def view(self) -> dict[str, Any]:
        """The answer of `GET /exec/{id}/json`."""
        return {
            "ID": self.id,
            "Running": self.process is not None and self.process.running,
            "ExitCode": self.exit_code,
            "ProcessConfig": {
                "tty": self.tty,
                "entrypoint": self.argv[0],
                "arguments": self.argv[1:],
                "privileged": False,
            },
            "OpenStdin": self.stdin,
            "OpenStderr": 2 in self.streams,
            "OpenStdout": 1 in self.streams,
            "CanRemove": self.exit_code is not None,
            "ContainerID": self.container.id,
            "DetachKeys": "",
            "Pid": self.process.pid if self.process else 0,
        }


def create(runtime: Runtime, container: Container, body: dict[str, Any]) -> Exec:
    """`POST /containers/{id}/exec`.  Raises Conflict if the container does not run."""
    if not body.get("Cmd"):
        raise BadParameter("No exec command specified")
    check_running(container)
    wanted = {1: body.get("AttachStdout"), 2: body.get("AttachStderr")}
    new = Exec(
        container=container,
        argv=[str(word) for word in body["Cmd"]],
        env=body.get("Env") or [],
        stdin=bool(body.get("AttachStdin")),
        tty=bool(body.get("Tty")),
        working=body.get("WorkingDir") or container.config["WorkingDir"],
        streams=frozenset(stream for stream, asked in wanted.items() if asked),
    )
    _forget_old(runtime, container)
    runtime.execs[new.id] = new
    container.execs.append(new.id)
    _publish(runtime, new, f"exec_create: {_spoken(new)}")
    return new


def check_startable(exec_: Exec) -> None:
    """Raises Conflict for an exec that was started before, or whose container does not run."""
    if exec_.started:
        raise Conflict(f"Error: Exec command {exec_.id} has already run")
    check_running(exec_.container)
    exec_.started = True


def check_running(container: Container) -> None:
    """Raises Conflict for a container in which nothing can be started."""
    if not container.state.running:
        raise not_running(container.id)
    if container.state.status == "paused":
        raise is_paused(container.id)
    if container.state.status == "restarting":
        raise is_restarting(container.id)


async def start(runtime: Runtime, exec_: Exec) -> None:
    """Start the process; a program that cannot be started ends at once with status 126.

    The caller has called `check_startable`.
    """
    _publish(runtime, exec_, f"exec_start: {_spoken(exec_)}")
    try:
        exec_.process = await runtime.launch(
            exec_.container,
            exec_.argv,
            exec_.env,
            exec_.working,
            exec_.feed,
            stdin=exec_.stdin,
            tty=exec_.tty,
        )
    except LookupError as error:
        exec_.exit_code = CANNOT_START
        words = cannot_exec("exec failed: exec failed", exec_.argv[0], str(error))
        stream = STDOUT if exec_.tty else STDERR
        exec_.feed.append(runtime.clock.now(), stream, words.encode() + b"\r\n")
        exec_.feed.close()
    else:
        runtime.background(_attend(runtime, exec_, exec_.process))
    finally:
        exec_.begun.set()


async def _attend(runtime: Runtime, exec_: Exec, process: Process) -> None:
    exec_.exit_code = await process.exited
    exec_.feed.close()
    exec_.container.changed()
    _publish(runtime, exec_, "exec_die", exitCode=str(exec_.exit_code))


def _forget_old(runtime: Runtime, container: Container) -> None:
    ended = [e for e in container.execs if runtime.execs[e].exit_code is not None]
    for old in ended[: max(0, len(ended) - KEPT + 1)]:
        container.execs.remove(old)
        del runtime.execs[old]


def _spoken(exec_: Exec) -> str:
    return f"{exec_.argv[0]} {' '.join(exec_.argv[1:])}"


def _publish(runtime: Runtime, exec_: Exec, action: str, **more: str) -> None:
    attributes = exec_.attributes(**more)
    runtime.events.publish("container", action, exec_.container.id, attributes)
