"""The engine's heart: containers and what can be done with them, without HTTP.

Mechanism: every operation that changes a container holds its lock, and runs to its end even if the
client hangs up.  A task for each running container waits for its main process and then, in this
order, takes its last output, kills its execs, gives back its address and ports, publishes `die`,
and wakes whoever waits.

Invariants: those of containers.py; events of one container come in the order of what happened.

Left out compared with dockerd: restart policies (a kubelet restarts containers itself), pause,
commit, copying files, checkpoints; containers do not outlive the engine.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from labkit.clock import Clock
from labkit.engine import creation, environment, resources
from labkit.engine.accounting import Accounting, Usage
from labkit.engine.connector import Connector
from labkit.engine.containers import Container, State
from labkit.engine.errors import (
    BadParameter,
    EngineError,
    NotFound,
    NotModified,
    cannot_exec,
    name_in_use,
    no_such_container,
    not_running,
    remove_running,
)
from labkit.engine.events import Events
from labkit.engine.execs import Exec
from labkit.engine.host import Host
from labkit.engine.images import Images
from labkit.engine.networks import Networks
from labkit.engine.pipes import Sink
from labkit.engine.processes import PYTHON, Process, Processes, SpawnError
from labkit.engine.resources import Limits

log = logging.getLogger(__name__)
T = TypeVar("T")

STOP_SECONDS = 10  # Docker's default grace
KILL_SECONDS = 10  # how long a killed process may take to be gone


def parse_signal(text: str) -> signal.Signals:
    """`SIGTERM`, `TERM` or `15`.  Raises BadParameter."""
    try:
        if text.isdigit():
            return signal.Signals(int(text))
        return signal.Signals["SIG" + text.upper().removeprefix("SIG")]
    except (ValueError, KeyError):
        raise BadParameter(f"Invalid signal: {text}") from None


class Runtime:
    """All containers of one engine."""

    def __init__(
        self, directory: Path, clock: Clock, networks: Networks, host: Host, images: Images
    ) -> None:
        self.directory = directory
        self.clock = clock
        self.host = host
        self.images = images
        self.networks = networks
        self.events = Events(clock)
        self.containers: dict[str, Container] = {}
        self.execs: dict[str, Exec] = {}
        self.processes = Processes(clock, directory, self._out_of_memory)
        self._accounting = Accounting(clock)
        self._directory = directory / "containers"
        self._python = directory / "bin"
        self._connector = Connector(networks, self.events, self._python, self.find)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start_up(self) -> None:
        """Begin with no containers, whatever an earlier engine left; its images are kept."""
        self.images.load()
        self.processes.start()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, mode=0o700)
        self._python.mkdir(exist_ok=True)
        link = self._python / "python3"
        link.unlink(missing_ok=True)
        link.symlink_to(PYTHON)

    async def shut_down(self) -> None:
        """Kill every container and remove what is on disk."""
        await self.processes.stop()
        for container in list(self.containers.values()):
            # Then its ports are closed and its waiters told.
            await self._ended(container, container.exits, KILL_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
        await asyncio.to_thread(shutil.rmtree, self._python, ignore_errors=True)

    def background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in a task that the engine owns."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` to its end, also if the caller is cancelled because its client hung up."""
        return await asyncio.shield(self.background(work))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, EngineError):
            log.error("a task of the engine failed", exc_info=error)

    def find(self, name: str) -> Container:
        """By id, name, or the id's beginning, in this order.  Raises NotFound, BadParameter."""
        if name in self.containers:
            return self.containers[name]
        for container in self.containers.values():
            if container.name == name.removeprefix("/"):
                return container
        found = [c for c in self.containers.values() if name and c.id.startswith(name)]
        if len(found) > 1:
            raise BadParameter(f"Multiple IDs found with provided prefix: {name}")
        if not found:
            raise no_such_container(name)
        return found[0]

    def holder(self, name: str) -> Container | None:
        """The container of that very name."""
        return next((c for c in self.containers.values() if c.name == name), None)

    async def create(self, name: str, body: dict[str, Any]) -> Container:
        """`POST /containers/create`.  Raises NotFound (image), Conflict (name), BadParameter."""
        if name:
            name = creation.check_name(name)
            if holder := self.holder(name):
                raise name_in_use(name, holder.id)
        else:
            name = creation.invent_name(lambda n: self.holder(n) is not None)
        creation.check(body, body.get("HostConfig") or {})
        image = self.images.find(body.get("Image") or "")
        container = creation.build(name, body, image, self._directory, self.clock.now())
        self._pin_network(container)
        self.containers[container.id] = container
        async with container.lock:
            try:
                # In a thread, for an image may have many files.
                await asyncio.to_thread(creation.lay_out, container, image, self.images.blobs)
            except BaseException:
                container.gone = True
                del self.containers[container.id]
                shutil.rmtree(container.root.parent, ignore_errors=True)
                raise
        self.events.publish("container", "create", container.id, container.attributes())
        return container

    def _pin_network(self, container: Container) -> None:
        """`container:web` becomes `container:ID`; one that does not exist is an error at start."""
        kind, _, name = container.host_config["NetworkMode"].partition(":")
        try:
            if kind == "container":
                container.host_config["NetworkMode"] = f"container:{self.find(name).id}"
        except NotFound:
            pass

    async def start(self, container: Container) -> None:
        """`POST /containers/{id}/start`.  Raises NotModified, BadParameter, EngineError."""
        async with container.lock:
            await self._start(container)

    async def _start(self, container: Container) -> None:
        if container.gone:
            raise no_such_container(container.id)
        if container.state.running:
            raise NotModified
        try:
            place = await self._connector.connect(container)
            container.process = await self._launch(container, place)
        except EngineError as error:
            container.state.error = str(error)
            self._connector.disconnect(container)
            if container.host_config["AutoRemove"]:
                self.background(self.remove(container, force=False))
            raise
        self._accounting.forget(str(container.root))
        container.state = State(status="running", started=self.clock.now())
        container.record.begin()
        self.events.publish("container", "start", container.id, container.attributes())
        container.changed()
        self.background(self._attend(container, container.process))

    async def _launch(self, container: Container, place: environment.Place) -> Process:
        """Start the main process.  Raises BadParameter."""
        container.place = place
        try:
            return await self.launch(
                container,
                container.argv,
                [],
                container.config["WorkingDir"],
                container.record,
                stdin=container.config["OpenStdin"],
                tty=container.config["Tty"],
                limits=resources.limits(container.host_config),
            )
        except LookupError as error:
            container.state.exit_code = 126 if "denied" in str(error) else 127
            reason = cannot_exec("create failed: runc create failed", container.argv[0], str(error))
            raise BadParameter(f"failed to create shim task: {reason}") from None

    async def launch(
        self,
        container: Container,
        argv: list[str],
        env: list[str],
        working: str,
        sink: Sink,
        *,
        stdin: bool,
        tty: bool,
        limits: Limits | None = None,
    ) -> Process:
        """Start a process in a container; its main process brings the container's limits.

        Raises LookupError with the reason if it cannot be started.
        """
        settings = [*(["TERM=xterm"] if tty else ()), *container.config["Env"], *env]
        variables = environment.environment(settings, container.place)
        cwd = environment.directory(container.root, working)
        cwd.mkdir(parents=True, exist_ok=True)
        program = environment.resolve(argv[0], container.root, cwd, variables["PATH"])
        arguments = [environment.placed(word, container.root) for word in argv[1:]]
        try:
            return await self.processes.run(
                str(container.root),
                [program, argv[0], *arguments],
                variables,
                str(cwd),
                sink,
                stdin=stdin,
                tty=tty,
                limits=limits,
            )
        except SpawnError as error:
            raise LookupError((error.strerror or "cannot start").lower()) from None

    async def _attend(self, container: Container, process: Process) -> None:
        """Wait for the end of a run, and clear up after it."""
        code = await process.exited
        for exec_id in container.execs:
            await self.execs[exec_id].kill(self.processes)
        container.process = None
        state = container.state
        state.status, state.exit_code, state.finished = "exited", code, self.clock.now()
        container.exits += 1
        attributes = container.attributes(exitCode=str(code))
        self.events.publish("container", "die", container.id, attributes)
        self._connector.disconnect(container)
        container.record.close()
        container.changed()
        if container.host_config["AutoRemove"]:
            await self.remove(container, force=False)

    async def stop(self, container: Container, seconds: float | None) -> None:
        """`POST /containers/{id}/stop`: the stop signal, then after `seconds` SIGKILL."""
        # Without the lock: a shorter stop or a forced removal overtakes a longer one.
        if not container.state.running:
            raise NotModified
        if seconds is None:
            own = container.config["StopTimeout"]
            seconds = STOP_SECONDS if own is None else own
        run = container.exits
        await self._signal(container, parse_signal(container.config["StopSignal"]))
        if not await self._ended(container, run, None if seconds < 0 else seconds):
            await self._kill(container, run)
        self.events.publish("container", "stop", container.id, container.attributes())

    async def restart(self, container: Container, seconds: float | None) -> None:
        """`POST /containers/{id}/restart`: stop if running, then start."""
        if container.state.running:
            await self.stop(container, seconds)
        async with container.lock:
            await self._start(container)
            self.events.publish("container", "restart", container.id, container.attributes())

    async def kill(self, container: Container, number: signal.Signals) -> None:
        """`POST /containers/{id}/kill`: a signal to the main process."""
        if not container.state.running:
            raise not_running(container.id)
        if number == signal.SIGKILL:
            await self._kill(container, container.exits)
        else:
            await self._signal(container, number)

    async def _kill(self, container: Container, run: int) -> None:
        await self._signal(container, signal.SIGKILL)
        await self._ended(container, run, KILL_SECONDS)

    async def _signal(self, container: Container, number: signal.Signals) -> None:
        if container.process is not None:
            await self.processes.signal(container.process, number)
        attributes = container.attributes(signal=str(int(number)))
        self.events.publish("container", "kill", container.id, attributes)

    async def _ended(self, container: Container, run: int, seconds: float | None) -> bool:
        """Wait until this run (there were `run` before it) has ended; false after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while container.state.running and container.exits == run:
                    await container.change()
        except TimeoutError:
            return False
        return True

    async def remove(self, container: Container, *, force: bool) -> None:
        """`DELETE /containers/{id}`.  Raises Conflict if it runs and `force` is not given."""
        async with container.lock:
            if container.gone:
                raise no_such_container(container.id)
            if container.state.running:
                if not force:
                    raise remove_running(container.id)
                await self._kill(container, container.exits)
            container.gone = True
            del self.containers[container.id]
            for exec_id in container.execs:
                del self.execs[exec_id]
            self._accounting.forget(str(container.root))
            await asyncio.to_thread(shutil.rmtree, container.root.parent, ignore_errors=True)
            self.events.publish("container", "destroy", container.id, container.attributes())
            container.changed()

    async def wait(self, container: Container, condition: str) -> int:
        """`POST /containers/{id}/wait`: the exit code, once `condition` is met."""
        exits = container.exits
        while True:
            if condition == "removed":
                done = container.gone
            elif condition == "next-exit":
                done = container.exits > exits
            else:
                done = not container.state.running
            if done or container.gone:
                return container.state.exit_code
            await container.change()

    def usage(self, container: Container) -> Usage:
        """What a running container has used so far."""
        groups = {
            p.pid: str(c.root)
            for c in self.containers.values()
            for p in [c.process, *(self.execs[e].process for e in c.execs)]
            if p is not None and p.running
        }
        return self._accounting.usage(str(container.root), self.processes.spawner_pid, groups)

    def _out_of_memory(self, group: str) -> None:
        """The spawner kills a container that is above its memory limit."""
        for container in self.containers.values():
            if str(container.root) == group:
                container.state.oom_killed = True
                self.events.publish("container", "oom", container.id, container.attributes())

    def find_exec(self, exec_id: str) -> Exec:
        """Raises NotFound."""
        if exec_id not in self.execs:
            raise NotFound(f"No such exec instance: {exec_id}")
        return self.execs[exec_id]
