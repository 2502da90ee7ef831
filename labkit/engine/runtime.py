"""The engine's heart: which containers there are, and how a process of theirs is started.

What an operation changes it changes to its end, even if the client hangs up (`complete`).  What
can be done with a container stands in lifecycle.py.

Invariants: those of containers.py.

Left out compared with dockerd: commit, checkpoints; containers do not outlive the engine.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from labkit.clock import Clock
from labkit.engine import creation, environment, health, resources
from labkit.engine.accounting import Accounting, Usage, assign, scan
from labkit.engine.connector import Connector
from labkit.engine.containers import Container
from labkit.engine.errors import (
    BadParameter,
    EngineError,
    NotFound,
    name_in_use,
    no_such_container,
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
        self.accounting = Accounting(clock)
        self._directory = directory / "containers"
        self._python = directory / "bin"
        self.connector = Connector(networks, self.events, self._python, self.find)
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
        """End all tasks and remove what is on disk; containers have ended before."""
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
            name = self._free_name(name)
        else:
            name = creation.invent_name(lambda n: self.holder(n) is not None)
        host_config = body.get("HostConfig") or {}
        creation.check(body, host_config)
        resources.check(host_config, self.host.cpus)
        health.check(body.get("Healthcheck"))
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
        self.publish(container, "create")
        return container

    def publish(self, container: Container, action: str, **more: str) -> None:
        """An event of `container`."""
        attributes = container.attributes(**more)
        self.events.publish("container", action, container.id, attributes)

    def forget(self, container: Container) -> None:
        """It is removed."""
        del self.containers[container.id]
        for exec_id in container.execs:
            del self.execs[exec_id]
        self.accounting.forget(str(container.root))

    def rename(self, container: Container, name: str) -> None:
        """`POST /containers/{id}/rename`.  Raises BadParameter, Conflict."""
        new = name.strip()
        if not new:
            raise BadParameter("Neither old nor new names may be empty")
        if new.removeprefix("/") == container.name:
            raise BadParameter("Renaming a container with the same name as its current name")
        try:
            new = self._free_name(f"/{new.removeprefix('/')}")
        except EngineError as error:
            raise type(error)(f"Error when allocating new name: {error}") from None
        old, container.name = container.name, new
        self.publish(container, "rename", oldName=f"/{old}")

    def _free_name(self, name: str) -> str:
        """`name` without its slash.  Raises BadParameter, Conflict."""
        name = creation.check_name(name)
        if holder := self.holder(name):
            raise name_in_use(name, holder.id)
        return name

    def _pin_network(self, container: Container) -> None:
        """`container:web` becomes `container:ID`; one that does not exist is an error at start."""
        kind, _, name = container.host_config["NetworkMode"].partition(":")
        try:
            if kind == "container":
                container.host_config["NetworkMode"] = f"container:{self.find(name).id}"
        except NotFound:
            pass

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

    def _groups(self) -> dict[int, str]:
        """The group of each process that the spawner started and that runs."""
        return {
            p.pid: str(c.root)
            for c in self.containers.values()
            for p in [c.process, *(self.execs[e].process for e in c.execs)]
            if p is not None and p.running
        }

    def usage(self, container: Container) -> Usage:
        """What a running container has used so far."""
        spawner = self.processes.spawner_pid
        return self.accounting.usage(str(container.root), spawner, self._groups())

    async def throttling(self, container: Container) -> tuple[int, int, int]:
        """What its CPU limit did to a running container; see Processes.throttling."""
        group = str(container.root)
        if not resources.limits(container.host_config).quota:
            return 0, 0, 0
        try:
            return await self.processes.throttling(group)
        except SpawnError:
            return 0, 0, 0  # the spawner has died, and the container with it

    def members(self, container: Container) -> list[int]:
        """The processes of a running container."""
        found = assign(scan(), self.processes.spawner_pid, self._groups())
        return sorted(stat.pid for stat in found.get(str(container.root), ()))

    def _out_of_memory(self, group: str) -> None:
        """The spawner kills a container that is above its memory limit."""
        for container in self.containers.values():
            if str(container.root) == group:
                container.state.oom_killed = True
                self.publish(container, "oom")

    def find_exec(self, exec_id: str) -> Exec:
        """Raises NotFound."""
        if exec_id not in self.execs:
            raise NotFound(f"No such exec instance: {exec_id}")
        return self.execs[exec_id]
