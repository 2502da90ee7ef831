"""The scheduler: binds every Pod without a node to the best node.

One task takes Pods from the queue and decides (`placement`), which is pure computation on the
cache; a few others carry the decisions to the API, so that deciding never waits for it.  A decision
counts in the cache at once.  A Pod that fits nowhere gets the condition PodScheduled=False and an
Event, and waits for the cluster to change.

Source: kube-scheduler; documentation "Kubernetes Scheduler".  Left out: preemption, volumes,
inter-Pod affinity, extenders, several profiles.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from functools import partial

from labkit.client import ApiError, Client, EventRecorder, Informer
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.kube import conditions, objects, pods
from labkit.kube.resources import NODES, PODS, REPLICA_SETS, SERVICES
from labkit.scheduler import messages
from labkit.scheduler.cache import Cache
from labkit.scheduler.placement import Placer
from labkit.scheduler.podview import PodView, view
from labkit.scheduler.queue import SchedulingQueue
from labkit.scheduler.spread import Spread, default_selector, spread_of

log = logging.getLogger(__name__)

NAME = "default-scheduler"
_SENDERS = 16  # requests to the API at a time
_PENDING = 64  # decisions on their way before deciding waits


class Scheduler:
    """`start` returns when the caches have synced; `stop` ends everything and may be repeated.

    `source` breaks ties between equally good nodes; give a seeded one for repeatable runs.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        source: random.Random | None = None,
        name: str = NAME,
    ) -> None:
        self.client, self.clock, self.name = client, clock, name
        self.events = EventRecorder(client, clock, name)
        self.queue = SchedulingQueue(clock)
        self.cache = Cache()
        self.placer = Placer(self.cache, source or random.Random())
        self._pods = Informer(client, PODS, clock)
        self._nodes = Informer(client, NODES, clock)
        self._services = Informer(client, SERVICES, clock)
        self._services.add_index("namespace", lambda obj: (obj["metadata"]["namespace"],))
        self._sets = Informer(client, REPLICA_SETS, clock)
        self._pods.add_handler(self._pod_changed)
        self._nodes.add_handler(self._node_changed)
        self._outbox: asyncio.Queue = asyncio.Queue(_PENDING)
        self._tasks: list[asyncio.Task] = []

    async def start(self) -> None:
        """Fill the caches, then schedule."""
        for informer in self._informers():
            informer.start()
        await asyncio.gather(*(informer.synced() for informer in self._informers()))
        loops = [self._decide_all(), self._flush(), *(self._send_all() for _ in range(_SENDERS))]
        self._tasks = [asyncio.create_task(loop, name=self.name) for loop in loops]

    async def stop(self) -> None:
        """End all tasks and watches.  Safe to repeat."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await asyncio.gather(*(informer.stop() for informer in self._informers()))
        await self.events.stop()

    def _informers(self) -> tuple[Informer, ...]:
        return self._nodes, self._pods, self._services, self._sets

    # What changes.

    def _node_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        if self.cache.set_node(old, new):
            self.queue.move_all()

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        if self.cache.set_pod(old, new):
            self.queue.move_all()
        key = objects.key(new or old)
        if new is None or pods.node_name(new) or pods.is_terminal(new):
            self.queue.remove(key)
        elif self._is_ours(new) and (old is None or _spec_changed(old, new)):
            self.queue.add(key, new["spec"].get("priority") or 0)

    def _is_ours(self, pod: Mapping) -> bool:
        spec = pod["spec"]
        return spec.get("schedulerName", NAME) == self.name and not spec.get("schedulingGates")

    # Deciding.

    async def _decide_all(self) -> None:
        while True:
            key = await self.queue.pop()
            try:
                await self._decide(key)
            except Exception:
                log.exception("scheduling failed pod=%s", key)
                self.queue.failed(key, retry=True)

    async def _decide(self, key: str) -> None:
        pod = self._pods.store.get(key)
        if pod is None or pods.node_name(pod) or objects.is_deleting(pod):
            return
        seen = view(pod)
        if self.cache.is_assumed(seen.uid):
            return
        decision = self.placer.decide(seen, self.spread(seen, pod))
        if decision.node:
            self.cache.assume(seen, decision.node)
            await self._outbox.put(partial(self._bind, pod, seen, decision.node))
        else:
            self.queue.failed(key)
            message = messages.failed_scheduling(decision)
            await self._outbox.put(partial(self._tell_failure, pod, message))

    def spread(self, seen: PodView, pod: Mapping) -> Spread:
        """The Pod's spread constraints, its own or the default ones."""
        owner = objects.controller_of(pod)
        replica_set = None
        if owner and owner["kind"] == "ReplicaSet":
            replica_set = self._sets.get(owner["name"], seen.namespace)
        services = self._services.by_index("namespace", seen.namespace)
        return spread_of(seen, default_selector(seen.labels, services, replica_set))

    # Telling the API.

    async def _send_all(self) -> None:
        while True:
            send = await self._outbox.get()
            try:
                await send()
            except (ApiError, OSError) as error:
                log.info("not told error=%s", error)

    async def _bind(self, pod: Mapping, seen: PodView, node: str) -> None:
        meta = pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {field: meta[field] for field in ("name", "namespace", "uid")},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self.client.create(PODS, binding, meta["namespace"], "binding")
        except (ApiError, OSError) as error:
            self._not_bound(pod, seen, error)
            return
        self.events.event(pod, NORMAL, "Scheduled", messages.scheduled(seen.key, node))

    def _not_bound(self, pod: Mapping, seen: PodView, error: Exception) -> None:
        log.info("binding refused pod=%s error=%s", seen.key, error)
        self.cache.forget(seen)
        current = self._pods.store.get(seen.key)
        if current is None or pods.node_name(current):
            return  # gone, or bound by another: nothing is left to do
        message = f"binding rejected: {error}"
        self.events.event(pod, WARNING, "FailedScheduling", message)
        self.queue.failed(seen.key, retry=True)

    async def _tell_failure(self, pod: Mapping, message: str) -> None:
        self.events.event(pod, WARNING, "FailedScheduling", message)
        present = conditions.get(pod, "PodScheduled") or {}
        told = (present.get("status"), present.get("reason"), present.get("message"))
        if told == ("False", "Unschedulable", message):
            return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": self.clock.timestamp(),
        }
        if present.get("status") == "False":
            condition["lastTransitionTime"] = present.get("lastTransitionTime")
        meta = pod["metadata"]
        await self.client.patch(
            PODS, meta["name"], {"status": {"conditions": [condition]}}, meta["namespace"],
            kind="strategic", subresource="status",
        )  # fmt: skip

    async def _flush(self) -> None:
        while True:
            await self.clock.sleep(1.0)
            self.queue.flush()


def _spec_changed(old: Mapping, new: Mapping) -> bool:
    """Whether a Pod that waits has become another to the scheduler; its status does not count."""
    return old["spec"] != new["spec"] or objects.labels(old) != objects.labels(new)
