"""Probes: is a container started, ready, alive?

One task per probe of a running container, asleep between its runs.  `Tally` counts results against
the thresholds and is pure; `probe_actions` runs one probe.

The rules are kubelet's: liveness and readiness wait for the startup probe; readiness begins as
"no", liveness as "yes", startup as "not yet"; a container whose liveness or startup failed is not
probed again, it is about to be killed; when the Pod is to end, only readiness goes on.  The timing
differs in one point, for speed: the first probe runs as soon as the container does, and while
nothing listens on the probed port yet, startup and readiness are tried again every 50 ms during the
container's first two seconds, which is what a program takes to start on one busy CPU.  Those tries
count neither as failures nor as Events.  (Upstream runs the first probe at once too, and the next
after `periodSeconds`.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.clock import Clock
from labkit.kubelet.instances import Instance
from labkit.kubelet.probe_actions import Actions, Result, Target
from labkit.kubelet.runtime import Runtime
from labkit.kubelet.view import Probed, unprobed

LIVENESS, READINESS, STARTUP = "liveness", "readiness", "startup"
_EAGER_FOR, _EAGER_PERIOD = 2.0, 0.05  # seconds


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


class Prober:
    """Runs the probes of one node's containers.  `changed(pod uid)` is called on every news."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        changed: Callable[[str], None],
        tell: Callable[[Mapping, str, str, Result], None],
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._tell = tell  # (pod, container, kind, result): a failure or a warning, for an Event
        self._actions = Actions(runtime)
        self._tasks: dict[str, dict[str, asyncio.Task]] = {}  # by container id and kind
        self.results: dict[str, Probed] = {}  # by container id

    def watch(self, pod: Mapping, container: Mapping, run: Instance, ip: str) -> None:
        """Begin to probe a running container, unless it is probed already."""
        if run.id in self._tasks:
            return
        self.results[run.id] = _remembered(pod, container, run)
        target = Target(pod, container, run, ip)
        self._tasks[run.id] = {
            kind: asyncio.create_task(self._probe(target, kind, probe), name=f"{kind} {run.name}")
            for kind in (STARTUP, READINESS, LIVENESS)
            if (probe := container.get(f"{kind}Probe"))
        }

    def spare(self, ids: set[str]) -> None:
        """These containers are about to end: they need not be alive any more, or have started."""
        for container_id in ids & self._tasks.keys():
            for kind in (STARTUP, LIVENESS):
                if task := self._tasks[container_id].pop(kind, None):
                    task.cancel()

    def retain(self, ids: set[str], among: set[str]) -> None:
        """Of the containers `among`, stop probing those that are not in `ids`."""
        for gone in among - ids:
            for task in self._tasks.pop(gone, {}).values():
                task.cancel()
            self.results.pop(gone, None)

    async def stop(self) -> None:
        """End all probes.  Safe to repeat."""
        tasks = [task for some in self._tasks.values() for task in some.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        await self._actions.close()

    async def _probe(self, target: Target, kind: str, probe: Mapping) -> None:
        count, period = tally(probe), probe.get("periodSeconds") or 10
        begin = target.run.started + (probe.get("initialDelaySeconds") or 0)
        await self._clock.sleep(begin - self._clock.now())
        eager = kind != LIVENESS
        while True:
            if kind == STARTUP or self.results[target.run.id].started:
                result = await self._actions.execute(target, probe)
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

    def _take(self, target: Target, kind: str, result: Result, count: Tally) -> bool:
        """Note one result; whether to go on probing."""
        if not result.success or result.warning:
            self._tell(target.pod, target.container["name"], kind, result)
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
        if status.get("containerID") == f"docker://{run.id}" and "running" in status["state"]:
            return Probed(bool(status.get("started")), bool(status.get("ready")))
    return unprobed(container)
