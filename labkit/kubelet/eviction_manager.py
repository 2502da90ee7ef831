"""Looks after the node's memory: every ten seconds, and at once again after an eviction.

What the Pods use is compared with the node's capacity, which is what the node says it has and not
what the machine has: a small node can be short of memory on a large machine.  Below the threshold
the node says MemoryPressure (until five minutes after it was last so) and evicts one Pod, waits for
its end, and looks again.  Pods whose emptyDir has outgrown its sizeLimit are evicted likewise.

Source: kubelet's eviction manager (synchronize, localStorageEviction).  Left out: notifications by
the kernel, ephemeral storage as a resource, reclaiming images and dead containers first.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from labkit.client import EventRecorder
from labkit.client.events import WARNING
from labkit.clock import Clock
from labkit.kube import pods
from labkit.kubelet import eviction
from labkit.kubelet.node import NodeAgent
from labkit.kubelet.pod_state import PodState
from labkit.kubelet.runtime import ENGINE_ERRORS
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.stats import Meter, Usage
from labkit.kubelet.view import Evicted
from labkit.kubelet.volume_manager import VolumeManager
from labkit.kubelet.waiting import within

log = logging.getLogger(__name__)

_PERIOD = 10.0  # seconds (evictionMonitoringPeriod)
_CLEANED_WITHIN = 30.0  # seconds that an evicted Pod has to end


class EvictionManager:
    """One node's.  `evict(uid, why)` ends a Pod."""

    def __init__(
        self,
        clock: Clock,
        settings: KubeletSettings,
        node: NodeAgent,
        recorder: EventRecorder,
        volumes: VolumeManager,
        evict: Callable[[str, Evicted], None],
    ) -> None:
        self._clock, self._settings = clock, settings
        self._node, self._recorder, self._volumes = node, recorder, volumes
        self._end = evict
        self._pressed: float | None = None  # when memory was short last, by the monotonic clock

    async def run(self, meter: Meter, states: Mapping[str, PodState]) -> None:
        """Look again and again at the node's Pods (by uid), until cancelled."""
        while True:
            evicted = None
            try:
                evicted = await self._synchronize(meter, states)
            except ENGINE_ERRORS as error:
                log.info("memory not measured error=%s", error)
            except Exception:
                log.exception("eviction failed")
            if evicted is None:
                await self._clock.sleep(_PERIOD)
            else:
                await within(self._clock, _CLEANED_WITHIN, _cleaned_up(evicted))

    async def _synchronize(self, meter: Meter, states: Mapping) -> PodState | None:
        """One look; the Pod that was evicted, if any."""
        active = [state for state in states.values() if _is_active(state)]
        if not active:
            self._tell_pressure()
            return None
        for state in active:
            if why := self._over_limit(state.pod):
                return self._evict(state, why, disrupts=False)
        usage, limit = await meter.measure(active), self._node.eviction_threshold
        available = max(0, self._node.memory - sum(one.total.memory for one in usage.pods))
        if available < limit:
            self._pressed = self._clock.monotonic()
        self._tell_pressure()
        return self._reclaim(usage, states, limit, available) if available < limit else None

    def _tell_pressure(self) -> None:
        period, since = self._settings.eviction_pressure_transition_period, self._pressed
        pressed = since is not None and self._clock.monotonic() - since < period
        self._node.set_memory_pressure(pressed)

    def _reclaim(
        self, usage: Usage, states: Mapping, limit: int, available: int
    ) -> PodState | None:
        self._recorder.event(
            self._node.reference, WARNING, "EvictionThresholdMet", "Attempting to reclaim memory"
        )
        for one in eviction.ranked(usage.pods):
            state = states.get(one.pod["metadata"]["uid"])
            if state and _is_active(state):
                return self._evict(state, eviction.message(one, limit, available), disrupts=True)
        log.warning("no pod can be evicted")
        return None

    def _evict(self, state: PodState, why: str, *, disrupts: bool) -> PodState:
        self._recorder.event(state.pod, WARNING, eviction.REASON, why)
        self._end(state.pod["metadata"]["uid"], Evicted(why, eviction.GRACE, disrupts))
        return state

    def _over_limit(self, pod: Mapping) -> str:
        limited = [
            volume
            for volume in pod["spec"].get("volumes") or ()
            if (volume.get("emptyDir") or {}).get("sizeLimit")
        ]
        if not limited or eviction.is_critical(pod):
            return ""
        place = self._volumes.directory(pod)
        return eviction.over_limit(pod, {one["name"]: _size(place.volume(one)) for one in limited})


def _is_active(state: PodState) -> bool:
    known = not (state.stand_in or state.gone or state.evicted)
    return known and pods.is_active(state.pod) and bool(state.instances)


async def _cleaned_up(state: PodState) -> None:
    while state.is_running:
        await state.change()


def _size(directory: Path) -> int:
    """The bytes that files below a directory take on the disk."""
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue  # removed meanwhile
    return total
