"""Stops containers: preStop hook, their turn, SIGTERM, and SIGKILL when the grace is over.

The grace period is one for all of it.  The hook is told when it begins; a sidecar waits until the
containers that it serves have ended, as long as there is time; and whoever comes last still has two
seconds between the signals.  A stop with a shorter grace overtakes one that is under way.

Source: kubelet's killContainer (kuberuntime_container.go, kuberuntime_termination_order.go).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from labkit.client.events import NORMAL, WARNING
from labkit.kubelet.decide import Kill
from labkit.kubelet.hooks import HookError
from labkit.kubelet.instances import RUNNING
from labkit.kubelet.pod_state import Desk
from labkit.kubelet.runtime import ENGINE_ERRORS
from labkit.kubelet.waiting import within

log = logging.getLogger(__name__)

_MIN_GRACE = 2  # seconds (minimumGracePeriodInSeconds)
_AGAIN = 1.0


class Stopper:
    """Stops containers of one Pod, in the background."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._state, self._tools = desk, desk.state, desk.tools

    def kill(self, kill: Kill) -> None:
        """Begin to stop a container, unless that is under way."""
        known = self._state.stopping.get(kill.instance.id)
        if known is not None and known <= kill.grace:
            return  # a shorter grace would be news
        self._state.stopping[kill.instance.id] = kill.grace
        if known is None and kill.message:
            self._desk.tell(NORMAL, "Killing", kill.message, kill.instance.name)
        self._tools.background(self._stop(kill, again=known is not None))

    async def _stop(self, kill: Kill, *, again: bool) -> None:
        container_id = kill.instance.id
        try:
            grace = await self._grace_left(kill, again=again)
            await self._tools.runtime.stop(container_id, grace)
            await self._note_end(container_id)
        except ENGINE_ERRORS as error:
            log.warning("container not stopped id=%.12s error=%s", container_id, error)
            await self._tools.clock.sleep(_AGAIN)
        if self._state.stopping.get(container_id) == kill.grace:
            del self._state.stopping[container_id]
        self._desk.wake()

    async def _grace_left(self, kill: Kill, *, again: bool) -> int:
        """Run the hook and wait for the container's turn; the seconds that are left for itself."""
        if kill.instance.is_sandbox:
            return 0  # it has nothing to finish
        begun = self._tools.clock.monotonic()
        if kill.grace > 0 and not again:
            await self._pre_stop(kill)
        left = kill.grace - (self._tools.clock.monotonic() - begun)
        if left > 0 and kill.after:
            await within(self._tools.clock, left, self._turn(kill.after))
            left = kill.grace - (self._tools.clock.monotonic() - begun)
        return max(_MIN_GRACE, math.ceil(left))

    async def _pre_stop(self, kill: Kill) -> None:
        container = self._spec(kill.instance.name)
        hook = (container.get("lifecycle") or {}).get("preStop")
        if not hook:
            return
        view_ip = next((one.ip for one in self._state.instances.values() if one.is_sandbox), "")
        work = self._tools.hooks.run(hook, container, kill.instance, view_ip)
        try:
            if not await within(self._tools.clock, kill.grace, work):
                log.info("preStop hook not done in time container=%s", kill.instance.name)
        except HookError as error:
            # What it says may hold what nobody else should read: it is not in the Event.
            log.info("preStop hook failed container=%s error=%s", kill.instance.name, error)
            name = kill.instance.name
            self._desk.tell(WARNING, "FailedPreStopHook", "PreStopHook failed", name)

    def _spec(self, name: str) -> Mapping:
        spec = self._desk.pod["spec"]
        every = (*(spec.get("initContainers") or ()), *spec["containers"])
        return next((one for one in every if one["name"] == name), {})

    async def _turn(self, names: frozenset[str]) -> None:
        """Return when no container of these names runs."""
        while any(
            one.state == RUNNING and one.name in names for one in self._state.instances.values()
        ):
            await self._state.change()

    async def _note_end(self, container_id: str) -> None:
        seen = await self._tools.runtime.inspect(container_id)
        if seen is None:
            self._state.lose(container_id)
        elif container_id in self._state.instances:
            self._state.note(seen)

    async def remove_all(self) -> None:
        """Remove the containers of a Pod in which nothing runs, the sandbox last."""
        for one in sorted(self._state.instances.values(), key=lambda one: one.is_sandbox):
            try:
                await self._tools.runtime.remove(one.id)
            except ENGINE_ERRORS as error:
                # The relist finds it again, as a container without a Pod.
                log.info("container not removed id=%.12s error=%s", one.id, error)
            self._state.lose(one.id)
