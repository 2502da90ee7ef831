"""A cluster whose parts are processes: the daemon starts them, watches over them, ends them.

Mechanism: the parts (`part`) are forked from one small process (`forkserver`): when this daemon
ends, however it ends, that kills them all and what they started.  A part that ends although it
should run is started again, after a delay that doubles from one failure to the next, as systemd
does for a unit with `Restart=always`.

A part is `stopped`, `starting`, `running` (it has said that it does its work) or `waiting` (for the
delay to pass).  Nothing here asks the parts how they are: what they do is seen in the API.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Callable

from labkit.client import Client, kubeconfig
from labkit.clock import Clock
from labkit.clusters import bootstrap, identities, roster
from labkit.clusters.assembly import Site
from labkit.clusters.children import Child, Children
from labkit.clusters.control import ControlServer
from labkit.clusters.paths import ClusterDir
from labkit.errors import ClusterError, UsageError

log = logging.getLogger(__name__)

STOPPED, STARTING, RUNNING, WAITING = "stopped", "starting", "running", "waiting"
_GRACE = 5.0  # seconds from SIGTERM to SIGKILL
_REACTION = 0.5  # seconds that a signal gets to have an effect that can be told
_FIRST_DELAY, _LAST_DELAY = 0.1, 10.0
_STABLE = 10.0  # seconds after which a part that ran is no longer held for failing
_POLL = 0.02


def delay(failures: int) -> float:
    """Seconds until the next start after so many failures in a row, the last one included."""
    return min(_FIRST_DELAY * 2 ** (failures - 1), _LAST_DELAY)


class Part:
    """One part and the task that keeps it as it should be."""

    def __init__(self, name: str, directory: ClusterDir, children: Children, clock: Clock):
        self.name, self._directory = name, directory
        self._children, self._clock = children, clock
        self.state, self.restarts = STOPPED, -1
        self.error: dict | None = None  # why it could not do its work, as it said
        self.idle = 0.0, clock.monotonic()  # what the API server said, and when
        self._child: Child | None = None
        self._task: asyncio.Task | None = None

    @property
    def pid(self) -> int:
        """The process's id, 0 if there is none."""
        return self._child.pid if self._child else 0

    def facts(self) -> dict:
        """What is told of the part."""
        restarts = max(0, self.restarts)
        return {"name": self.name, "pid": self.pid, "state": self.state, "restarts": restarts}

    def start(self) -> None:
        """Run it, and start it again when it ends, until `stop`."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End it for good: a signal, and SIGKILL after a while."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        if child := self._child:
            await self._children.signal(child, number)
            await asyncio.wait([child.exited], timeout=_GRACE)
            await self._children.signal(child, signal.SIGKILL)
            await child.exited
        self.restarts = -1
        self._become(STOPPED)

    async def kill(self, number: int) -> None:
        """Send its process a signal; one that ends it has ended it then."""
        if child := self._child:
            await self._children.signal(child, number)
            await asyncio.wait([child.exited], timeout=_REACTION)

    async def settled(self, seconds: float) -> None:
        """Return when it is running or stopped, or after `seconds`."""
        until = self._clock.monotonic() + seconds
        while self.state not in (RUNNING, STOPPED) and self._clock.monotonic() < until:
            await self._clock.sleep(_POLL)

    async def _keep(self) -> None:
        failures = 0
        while True:
            begun = self._clock.monotonic()
            status = await self._run()
            failures = 1 if self._clock.monotonic() - begun > _STABLE else failures + 1
            log.warning(
                "part ended part=%s status=%d restart in=%.1f", self.name, status, delay(failures)
            )
            self._become(WAITING)
            await self._clock.sleep(delay(failures))

    async def _run(self) -> int:
        """Run it once; its exit status."""
        self._become(STARTING)
        self.restarts += 1
        root, log_file = self._directory.root, self._directory.log_of(self.name)
        try:
            self._child = self._children.run(self.name, root, log_file, self._said)
        except OSError as error:
            log.error("part not started part=%s error=%s", self.name, error)
            return 1
        await asyncio.wait([self._child.started])
        log.info("part started part=%s pid=%d", self.name, self.pid)
        return await asyncio.shield(self._child.exited)

    def _said(self, line: str) -> None:
        if line == "ready":
            self._become(RUNNING)
        elif line.startswith("idle "):
            self.idle = float(line.removeprefix("idle ")), self._clock.monotonic()
        elif line.startswith("error "):
            self.error = json.loads(line.removeprefix("error "))

    def _become(self, state: str) -> None:
        self.state = state
        if state in (WAITING, STOPPED):
            self._child = None


class SupervisedCluster:
    """The cluster that a directory's cluster.json describes, with a process for each part.

    `start` returns when all nodes are Ready and the default ServiceAccount exists.
    """

    def __init__(self, directory: ClusterDir, clock: Clock) -> None:
        self.site = Site.read(directory, clock)
        self._children = Children()
        names = roster.parts(self.site.nodes)
        self.parts = {name: Part(name, directory, self._children, clock) for name in names}
        self._control = ControlServer(directory.parts_socket, self._do)
        self._client: Client | None = None

    async def start(self, report: Callable[[str], None]) -> None:
        """Start every part.  Raises LabkitError and OSError; `stop` then ends what had started."""
        site, directory = self.site, self.site.directory
        identities.make_for_processes(directory, site.addresses, site.nodes, site.clock.now())
        directory.logs.mkdir(mode=0o700, exist_ok=True)
        for name in self.parts:
            directory.log_of(name).write_bytes(b"")
        report("certificates and kubeconfigs")
        self._children.start()
        await self._control.start()
        self.parts[roster.API_SERVER].start()
        self._client = Client(kubeconfig.transport(directory.kubeconfig))
        await self._until_running(roster.API_SERVER)
        report("API server and store")
        await bootstrap.addons(self._client)  # before anybody needs what they are given
        # Only now, so that they find it at once: who does not waits ever longer for it.
        for part in self.parts.values():
            part.start()
        await bootstrap.storage_class(self._client)
        await bootstrap.publish_dns(self._client, site, site.dns_port)
        await bootstrap.remove_other_nodes(self._client, site)
        await self._until_running(*self.parts)
        report(f"{len(self.parts)} parts, a process each")
        await bootstrap.until_ready(self._client, site)
        count = len(site.nodes)
        report(f"{count} node{'s' if count > 1 else ''} Ready")

    async def stop(self) -> None:
        """Stop every part, the API server last.  Safe to repeat."""
        await self._control.stop()
        if self._client:
            await self._client.close()
        *others, api = reversed(self.parts.values())
        await asyncio.gather(*(part.stop() for part in others))
        await api.stop()
        await self._children.stop()

    def idle_seconds(self) -> float:
        """For how long nobody but the cluster itself has asked the API."""
        said, when = self.parts[roster.API_SERVER].idle
        return said + self.site.clock.monotonic() - when

    async def _until_running(self, *names: str) -> None:
        """Return when these parts run.  Raises ClusterError for one that cannot."""
        while waiting := [part for part in map(self.parts.get, names) if part.state != RUNNING]:
            for part in waiting:
                if part.error:
                    raise ClusterError(**part.error)
            await self.site.clock.sleep(_POLL)

    async def _do(self, request: dict) -> list[dict]:
        """Carry out what a client of the control socket asks for; the facts of all parts."""
        names = request.get("parts") or list(self.parts)
        for name in names:
            if name not in self.parts:
                raise UsageError(
                    f"The cluster has no part {name!r}.",
                    f"Its parts are {', '.join(self.parts)}.",
                    f"See them: labkit parts --name {self.site.directory.name}",
                )
        chosen = [self.parts[name] for name in names]
        match request.get("do"):
            case "start":
                for part in chosen:
                    part.start()
                await asyncio.gather(*(part.settled(request["seconds"]) for part in chosen))
            case "stop":
                await asyncio.gather(*(part.stop(request["signal"]) for part in chosen))
            case "kill":
                await asyncio.gather(*(part.kill(request["signal"]) for part in chosen))
        return [part.facts() for part in self.parts.values()]
