"""What a virtual node's kubelet does besides: waits for instances, keeps the bill, takes spot back.

Invariants: a Pod is billed from when the first of its containers is seen running until none is;
what was billed survives a restart of the kubelet, up to the last few seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping

from labkit.client import ApiError, Client, EventRecorder
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.kube.resources import NODES
from labkit.kubelet.view import Evicted
from labkit.kubelet.virtual import BID_FAILED, Bill, VirtualNode

log = logging.getLogger(__name__)

_PUBLISH = 2.0  # seconds between two writes of the bill


class Elastic:
    """The provider of one virtual node.  `evict` ends a Pod; `background` runs what may wait."""

    def __init__(
        self,
        contract: VirtualNode,
        client: Client,
        clock: Clock,
        node_name: str,
        recorder: EventRecorder,
        evict: Callable[[str, Evicted], None],
        background: Callable[[Coroutine], object],
    ) -> None:
        self._contract, self._client, self._clock = contract, client, clock
        self._name, self._recorder = node_name, recorder
        self._evict, self._background = evict, background
        self._bill = Bill(contract.prices, clock.now)
        self._due: dict[str, float] = {}  # by uid: when the Pod's instance is there
        self._published: dict[str, str] = {}

    async def start(self) -> None:
        """Go on with the Node's bill, then write it every few seconds."""
        try:
            node = await self._client.get(NODES, self._name)
            self._bill.resume(node["metadata"].get("annotations") or {})
        except (ApiError, OSError) as error:
            log.warning("bill not found node=%s error=%s", self._name, error)
        self._background(self._keep_publishing())

    async def stop(self) -> None:
        """Write the bill a last time."""
        await self._publish()

    def wait(self, pod: Mapping) -> float:
        """Seconds until the Pod's instance is there; the first call orders it."""
        now, uid = self._clock.now(), pod["metadata"]["uid"]
        if uid not in self._due:
            self._due[uid] = now + self._contract.start_delay
            if self._contract.start_delay:
                message = f"Starting a container instance ({self._contract.capacity_type})"
                self._recorder.event(pod, NORMAL, "Provisioning", message)
        return max(0.0, self._due[uid] - now)

    def seen(self, pod: Mapping, runs: bool) -> None:
        """A Pod was looked at, and some container of it runs, or none does."""
        if not self._bill.seen(pod, runs):
            return
        lifetime = self._contract.lifetime(pod["metadata"]["uid"])
        if runs and lifetime is not None:
            self._background(self._reclaim(pod, lifetime))

    def forget(self, uid: str) -> None:
        """The Pod is no more."""
        self._due.pop(uid, None)
        self._bill.close(uid)

    async def _reclaim(self, pod: Mapping, after: float) -> None:
        """Take an instance back, as the owner of its capacity may at any time."""
        uid, notice = pod["metadata"]["uid"], self._contract.reclaim_notice
        await self._clock.sleep(after)
        if not self._bill.is_open(uid):
            return
        message = f"Spot container instance will be released in {notice:g} seconds"
        self._recorder.event(pod, WARNING, "SpotToBeReleased", message)
        await self._clock.sleep(notice)
        if self._bill.is_open(uid):
            grace = pod["spec"].get("terminationGracePeriodSeconds") or 0
            message = "The spot container instance was released by its provider."
            self._evict(uid, Evicted(message, grace, True, BID_FAILED))

    async def _keep_publishing(self) -> None:
        while True:
            await self._clock.sleep(_PUBLISH)
            await self._publish()

    async def _publish(self) -> None:
        now = self._bill.annotations()
        if now == self._published:
            return
        try:
            await self._client.patch(NODES, self._name, {"metadata": {"annotations": now}})
            self._published = now
        except (ApiError, OSError) as error:
            log.info("bill not written node=%s error=%s", self._name, error)
