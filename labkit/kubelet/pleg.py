"""Follows the engine's events about a node's containers, and tells which Pods they concern.

There is no polling per container: an event names a container that has ended or was removed, which
is then looked at.  A relist every 10 s compares the kubelet's picture with the engine's list, in
case an event was lost.  When the connection breaks it begins anew: connect, list, follow.

Source: kubelet's pod lifecycle event generator (pkg/kubelet/pleg, evented.go), which relists too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing

from labkit.clock import Clock
from labkit.kubelet import instances as inst
from labkit.kubelet.instances import EXITED, Instance
from labkit.kubelet.node import NodeAgent
from labkit.kubelet.pod_state import PodState
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of

log = logging.getLogger(__name__)

_RECONNECT = 1.0  # seconds between attempts to reach the engine
_ENGINE_WORDS = {"created": inst.CREATED, "running": inst.RUNNING, "paused": inst.RUNNING}


class Pleg:
    """One node's.  `wake(uid)` has a Pod synced; `connected` is called after each first list.

    Containers of Pods that are in nobody's list get a state of their own in `states`.
    """

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        node: NodeAgent,
        relist_period: float,
        states: dict[str, PodState],
        wake: Callable[[str], None],
        connected: Callable[[], None],
    ) -> None:
        self._runtime, self._clock, self._node = runtime, clock, node
        self._period, self._states = relist_period, states
        self._wake, self._connected = wake, connected
        self._up = True  # until the contrary is seen
        self.pods_listed = False  # whether the API's Pods are known

    async def run(self) -> None:
        """Follow the engine until cancelled."""
        while True:
            try:
                async with aclosing(self._runtime.events()) as events:
                    await self._follow(events)
            except ENGINE_ERRORS as error:
                self._lost_engine(message_of(error))
            except Exception:
                # Without this loop the kubelet is deaf: whatever happens, it goes on.
                log.exception("engine's events not understood")
            await self._clock.sleep(_RECONNECT)

    async def _follow(self, events: AsyncIterator[Mapping]) -> None:
        await anext(events)
        # Connected: from now on no event is lost, so a list now completes the picture.
        self._up = True
        await self._node.engine_connected()
        await self._relist()
        self._connected()
        relisting = asyncio.create_task(self._keep_relisting(), name="relist")
        try:
            async for event in events:
                await self._take(event)
        finally:
            relisting.cancel()
            await asyncio.gather(relisting, return_exceptions=True)
        raise ConnectionError("the engine ended its stream of events")

    def _lost_engine(self, why: str) -> None:
        if self._up:
            log.warning("engine lost error=%s", why)
        self._up = False
        self._node.engine_lost(why)

    async def _keep_relisting(self) -> None:
        while True:
            await self._clock.sleep(self._period)
            try:
                await self._relist()
            except ENGINE_ERRORS as error:
                log.info("relist failed error=%s", message_of(error))

    async def _take(self, event: Mapping) -> None:
        action, actor = event.get("Action", ""), event.get("Actor") or {}
        uid = (actor.get("Attributes") or {}).get(inst.POD_UID, "")
        container_id, state = actor.get("ID", ""), self._states.get(uid)
        if state is None:
            return
        if action == "destroy":
            self._lost(state, container_id)
        elif action == "die":
            await self._look(container_id)

    async def _relist(self) -> None:
        known = {one: state for state in self._states.values() for one in state.instances}
        listed = await self._runtime.list_states()
        for container_id, word in listed.items():
            state = known.get(container_id)
            seen = state and state.instances.get(container_id)
            if seen is None or seen.state != _ENGINE_WORDS.get(word, EXITED):
                await self._look(container_id)
        for container_id in known.keys() - listed.keys():
            self._lost(known[container_id], container_id)

    async def _look(self, container_id: str) -> None:
        seen = await self._runtime.inspect(container_id)
        if seen is None or not seen.pod_uid:
            return
        state = self._states.get(seen.pod_uid)
        if state is None:
            # Before the API's first list the Pod may still come; after it, it is gone.
            state = PodState(_stand_in(seen), stand_in=True, gone=self.pods_listed)
            self._states[seen.pod_uid] = state
        if state.note(seen):
            self._wake(seen.pod_uid)

    def _lost(self, state: PodState, container_id: str) -> None:
        if state.lose(container_id):
            self._wake(state.pod["metadata"]["uid"])


def _stand_in(seen: Instance) -> dict:
    """In place of the Pod of a container that was found, until the API's own is seen."""
    labels = seen.labels or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": labels.get(inst.POD_NAME, ""),
            "namespace": labels.get(inst.POD_NAMESPACE, ""),
            "uid": seen.pod_uid,
        },
        "spec": {
            "containers": [],
            "terminationGracePeriodSeconds": int(labels.get(inst.GRACE_PERIOD) or 30),
        },
    }
