"""Probes: is a container started, ready, alive?

One task per probe of a running container, asleep between its runs.  `Tally` counts results against
the thresholds and is pure; `execute` runs one probe.

The rules are kubelet's: liveness and readiness wait for the startup probe; readiness begins as
"no", liveness as "yes", startup as "not yet"; a container whose liveness or startup failed is not
probed again, it is about to be killed.  The timing differs in one point, for speed: the first probe
runs as soon as the container does, and while nothing listens on the probed port yet, startup and
readiness are tried again every 50 ms during the container's first second.  Those tries count
neither as failures nor as Events.  (Upstream runs the first probe at once too, and the next after
`periodSeconds`.)

Left out: gRPC probes; redirects are not followed, they count as success.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from labkit.clock import Clock
from labkit.kubelet.instances import Instance
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, is_down, message_of
from labkit.kubelet.view import Probed, unprobed

log = logging.getLogger(__name__)

LIVENESS, READINESS, STARTUP = "liveness", "readiness", "startup"
_EAGER_FOR, _EAGER_PERIOD = 1.0, 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a probe.  `refused` is that nobody listened."""

    success: bool
    output: str = ""
    refused: bool = False


@dataclass(slots=True)
class Tally:
    """Counts results in a row; `verdict` is None until a threshold is reached."""

    success_threshold: int
    failure_threshold: int
    _success: bool | None = None
    _run: int = 0

    def add(self, success: bool) -> bool | None:
        """One more result; True or False if enough of a kind came in a row, else None."""
        self._run = self._run + 1 if success == self._success else 1
        self._success = success
        needed = self.success_threshold if success else self.failure_threshold
        return success if self._run >= needed else None


def tally(probe: Mapping) -> Tally:
    """A fresh Tally with the probe's thresholds."""
    return Tally(probe.get("successThreshold") or 1, probe.get("failureThreshold") or 3)


def port_of(container: Mapping, port: int | str) -> int | None:
    """A probe's port as a number; a name is looked up among the container's ports."""
    if isinstance(port, int):
        return port
    for one in container.get("ports") or ():
        if one.get("name") == port:
            return one["containerPort"]
    return int(port) if port.isdigit() else None


class Prober:
    """Runs the probes of one node's containers.  `changed(pod uid)` is called on every news."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        changed: Callable[[str], None],
        unhealthy: Callable[[Mapping, str, str, str], None],
    ) -> None:
        self._runtime, self._clock = runtime, clock
        self._changed = changed
        self._unhealthy = unhealthy  # (pod, container, kind, output): to be told in an Event
        self._session: aiohttp.ClientSession | None = None
        self._tasks: dict[str, list[asyncio.Task]] = {}  # by container id
        self.results: dict[str, Probed] = {}  # by container id

    def watch(self, pod: Mapping, container: Mapping, run: Instance, ip: str) -> None:
        """Begin to probe a running container, unless it is probed already."""
        if run.id in self._tasks:
            return
        self.results[run.id] = _remembered(pod, container, run)
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=False, force_close=True, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=None)
        target = _Target(pod, container, run, ip)
        self._tasks[run.id] = [
            asyncio.create_task(self._probe(target, kind, probe), name=f"{kind} {run.name}")
            for kind in (STARTUP, READINESS, LIVENESS)
            if (probe := container.get(f"{kind}Probe"))
        ]

    def retain(self, ids: set[str], among: set[str]) -> None:
        """Of the containers `among`, stop probing those that are not in `ids`."""
        for gone in among - ids:
            for task in self._tasks.pop(gone, ()):
                task.cancel()
            self.results.pop(gone, None)

    async def stop(self) -> None:
        """End all probes.  Safe to repeat."""
        tasks = [task for some in self._tasks.values() for task in some]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _probe(self, target: _Target, kind: str, probe: Mapping) -> None:
        count, period = tally(probe), probe.get("periodSeconds") or 10
        begin = target.run.started + (probe.get("initialDelaySeconds") or 0)
        await self._clock.sleep(begin - self._clock.now())
        eager = kind != LIVENESS
        while True:
            if kind == STARTUP or self.results[target.run.id].started:
                result = await self._execute(target, probe)
                young = self._clock.now() < begin + _EAGER_FOR
                if eager and result.refused and young:
                    await self._clock.sleep(_EAGER_PERIOD)
                    continue
                eager = False
                if not self._take(target, kind, result, count):
                    return
            elif eager:
                # The startup probe is about to say more, if it is as quick as it is at first.
                await self._clock.sleep(_EAGER_PERIOD)
                eager = self._clock.now() < begin + _EAGER_FOR
                continue
            await self._clock.sleep(period)

    def _take(self, target: _Target, kind: str, result: Result, count: Tally) -> bool:
        """Note one result; whether to go on probing."""
        if not result.success:
            self._unhealthy(target.pod, target.container["name"], kind, result.output)
        verdict = count.add(result.success)
        if verdict is None:
            return True
        known = self.results[target.run.id]
        news = judged(known, kind, verdict)
        if news != known:
            self.results[target.run.id] = news
            self._changed(target.run.pod_uid)
        if kind == STARTUP:
            return False  # passed or failed, a startup probe has said all
        return not news.failed

    async def _execute(self, target: _Target, probe: Mapping) -> Result:
        timeout = probe.get("timeoutSeconds") or 1
        if "exec" in probe:
            return await self._exec(target, probe["exec"].get("command") or [], timeout)
        try:
            if "httpGet" in probe:
                return await self._http(target, probe["httpGet"], timeout)
            if "tcpSocket" in probe:
                return await self._tcp(target, probe["tcpSocket"], timeout)
        except TimeoutError:
            return Result(False, "context deadline exceeded")
        except (OSError, aiohttp.ClientError, ValueError) as error:
            return Result(False, str(error))
        return Result(False, "probe without httpGet, tcpSocket or exec: gRPC is not supported")

    async def _http(self, target: _Target, action: Mapping, timeout: float) -> Result:
        host, port = action.get("host") or target.ip, port_of(target.container, action["port"])
        if port is None:
            return _no_port(action["port"])
        path = "/" + (action.get("path") or "/").lstrip("/")
        url = f"{(action.get('scheme') or 'HTTP').lower()}://{host}:{port}{path}"
        headers = {"User-Agent": "kube-probe/1.36", "Accept": "*/*"}
        headers |= {one["name"]: one["value"] for one in action.get("httpHeaders") or ()}
        try:
            async with self._session.get(
                url,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                if 200 <= response.status < 400:
                    return Result(True)
                return Result(False, f"HTTP probe failed with statuscode: {response.status}")
        except TimeoutError:
            why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            return Result(False, f'Get "{url}": {why}')
        except aiohttp.ClientConnectorError as error:
            refused = error.os_error.errno == errno.ECONNREFUSED
            why = "connect: connection refused" if refused else str(error.os_error)
            return Result(False, f'Get "{url}": dial tcp {host}:{port}: {why}', refused)
        except aiohttp.ClientError as error:
            return Result(False, f'Get "{url}": {error or "EOF"}')

    async def _tcp(self, target: _Target, action: Mapping, timeout: float) -> Result:
        host, port = action.get("host") or target.ip, port_of(target.container, action["port"])
        if port is None:
            return _no_port(action["port"])
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return Result(False, f"dial tcp {host}:{port}: i/o timeout")
        except ConnectionRefusedError:
            return Result(False, f"dial tcp {host}:{port}: connect: connection refused", True)
        writer.close()
        return Result(True)

    async def _exec(self, target: _Target, command: list[str], timeout: float) -> Result:
        try:
            async with asyncio.timeout(timeout):
                code, output = await self._runtime.exec(target.run.id, list(command))
        except TimeoutError:
            return Result(False, f'command timed out: "{" ".join(command)}" timed out after '
                                 f"{timeout:g}s")  # fmt: skip
        except ENGINE_ERRORS as error:
            return Result(False, message_of(error), is_down(error))
        return Result(code == 0, output)


@dataclass(frozen=True, slots=True)
class _Target:
    pod: Mapping
    container: Mapping
    run: Instance
    ip: str


def judged(known: Probed, kind: str, verdict: bool) -> Probed:
    """What is known after a probe of `kind` has come to a verdict."""
    if kind == READINESS:
        return known._replace(ready=verdict)
    if verdict:
        return known._replace(started=True) if kind == STARTUP else known
    return known._replace(failed=kind)


def _remembered(pod: Mapping, container: Mapping, run: Instance) -> Probed:
    """Before the first result.  After a kubelet's restart the Pod's status is the memory: a
    container that was ready is not made unready for the time until it is probed again.
    """
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("containerID") == f"docker://{run.id}":
            return Probed(bool(status.get("started")), bool(status.get("ready")))
    return unprobed(container)


def _no_port(port: object) -> Result:
    return Result(False, f"couldn't find port: {port}")
