"""Running a command in a container for a client, and attaching to one: exec and attach.

The two are one talk between a client's channels and the engine's hijacked connection.  It ends when
the container's side ends, or when the client goes; an exec's process is not killed by the latter,
but reads the end of its input.

Source: k8s.io/kubelet pkg/cri/streaming/remotecommand (exec.go, attach.go) and cri-dockerd
core/streaming.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from multidict import MultiMapping

from labkit.clock import Clock
from labkit.kubelet.channels import ERROR, STDERR, STDOUT, Client
from labkit.kubelet.conversation import Conversation
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of
from labkit.wire.hijack import first

_EXIT_CHECKS, _EXIT_PAUSE = 20, 0.1  # seconds between looks for an exit code
SUCCESS: Mapping = {"metadata": {}, "status": "Success"}


class BadOptions(ValueError):
    """A request that asks for nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """Which streams a client wants; `command` is empty for attach."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool
    command: tuple[str, ...] = ()

    @property
    def streams(self) -> list[str]:
        """The streams that a client opens, by their names in SPDY."""
        given = {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr}
        return ["error", *(name for name, asked in given.items() if asked)] + (
            ["resize"] if self.tty else []
        )

    @property
    def lowest(self) -> int:
        """The channel on which a client hears that it is connected."""
        return STDOUT if self.stdout else STDERR if self.stderr else ERROR


def options(query: MultiMapping[str]) -> Options:
    """The query of `/exec` and `/attach`, in which a kubelet's names are not the API's.

    Raises BadOptions.
    """
    stdin, stdout, stderr, tty = (
        query.get(name, "") in ("1", "true") for name in ("input", "output", "error", "tty")
    )
    if not (stdin or stdout or stderr):
        raise BadOptions("you must specify at least 1 of stdin, stdout, stderr")
    command = tuple(query.getall("command", ()))
    return Options(stdin, stdout, stderr and not tty, tty, command)


class Commands:
    """Runs commands through `runtime`."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock

    async def run(self, container: str, asked: Options, client: Client) -> None:
        """Run `asked.command` in a container and tell the client how it ended."""
        await _until_gone(client, self._run(container, asked, client))

    async def attach(self, container: str, tty: bool, asked: Options, client: Client) -> None:
        """Connect a client to a container's own process; `tty`: whether that has a terminal."""
        await _until_gone(client, self._attach(container, tty, asked, client))

    async def _run(self, container: str, asked: Options, client: Client) -> None:
        body = {
            "Cmd": list(asked.command),
            "AttachStdin": asked.stdin,
            "AttachStdout": asked.stdout,
            "AttachStderr": asked.stderr,
            "Tty": asked.tty,
        }
        execution = await self._runtime.create_exec(container, body)
        async with self._runtime.start_exec(execution, tty=asked.tty) as conversation:
            resize = partial(self._runtime.resize, "exec", execution)
            await _converse(conversation, client, asked, resize)
        await client.finish(exit_status(await self._exit_code(execution)))

    async def _exit_code(self, execution: str) -> int:
        """The engine may see the end of a process a little later than that of its output."""
        for _ in range(_EXIT_CHECKS):
            running, code = await self._runtime.exec_state(execution)
            if not running:
                return code
            await self._clock.sleep(_EXIT_PAUSE)
        return 0

    async def _attach(self, container: str, tty: bool, asked: Options, client: Client) -> None:
        streams = {"stdin": asked.stdin, "stdout": asked.stdout, "stderr": asked.stderr}
        async with self._runtime.attach(container, streams, tty=tty) as conversation:
            resize = partial(self._runtime.resize, "containers", container)
            await _converse(conversation, client, asked, resize)
        await client.finish(SUCCESS)


async def refuse(client: Client, message: str) -> None:
    """Tell a client that is connected already why nothing comes of it."""
    await _until_gone(client, client.finish(internal_error(message)))


async def _until_gone(client: Client, talk: Coroutine[None, None, None]) -> None:
    async def talking() -> None:
        try:
            await talk
        except ENGINE_ERRORS as error:
            what = f"error executing command in container: {message_of(error)}"
            await client.finish(internal_error(what))

    try:
        await first(client.serve(), talking())
    except ConnectionError:
        pass  # the client has gone


async def _converse(
    conversation: Conversation,
    client: Client,
    asked: Options,
    resize: Callable[[int, int], Awaitable[None]],
) -> None:
    """Pass on in all directions until the container's output ends."""

    async def forth() -> None:
        while data := await client.stdin():
            await conversation.send(data)
        conversation.end()

    async def sizes() -> None:
        while True:
            size = await client.size()
            with suppress(*ENGINE_ERRORS):  # it has ended meanwhile
                await resize(*size)

    helpers = [asyncio.create_task(one) for one in (forth(), sizes())]
    wanted = {STDOUT: asked.stdout, STDERR: asked.stderr}
    try:
        async for stream, data in conversation.output():
            if wanted[stream]:
                await client.send(stream, data)
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)


def exit_status(code: int) -> Mapping:
    """The Status of a command that has ended with `code`."""
    if code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def internal_error(message: str) -> Mapping:
    """The Status of a command that could not be run."""
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": f"Internal error occurred: {message}",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
