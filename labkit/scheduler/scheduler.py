"""The scheduler: binds every Pod without a node to the best node.

One task takes Pods from the queue and decides (`placement`), which is pure computation on the
cache; the `binder` carries the decisions to the API, so that deciding never waits for it.  A
decision counts in the cache at once.  A Pod that fits nowhere gets the condition
PodScheduled=False and an Event, and waits for a change of the cluster that might help (`hints`);
if it is more important than Pods that run, these may have to leave (`preemption`).

Source: kube-scheduler; documentation "Kubernetes Scheduler".  Left out: extenders, several
profiles, dynamic resource allocation, gang scheduling.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import replace

from labkit.client import Client, EventRecorder, Informer
from labkit.client.telemetry import Address, Bind, MetricsPage
from labkit.clock import Clock
from labkit.kube import objects, pods
from labkit.kube.resources import (
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SERVICES,
    STORAGE_CLASSES,
)
from labkit.scheduler import hints, messages
from labkit.scheduler.binder import Binder
from labkit.scheduler.cache import Cache
from labkit.scheduler.needs import OWNERS, needs_of, owner_of
from labkit.scheduler.nodeinfo import node_info
from labkit.scheduler.placement import Decision, Placer
from labkit.scheduler.podview import PodView, view
from labkit.scheduler.preemption import Outcome, budget, preempt
from labkit.scheduler.queue import SchedulingQueue
from labkit.scheduler.table import Needs
from labkit.scheduler.telemetry import ERROR, UNSCHEDULABLE, SchedulerMetrics
from labkit.scheduler.volumes import Storage

log = logging.getLogger(__name__)

NAME = "default-scheduler"
_STORAGE = (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES)
_WATCHED = (
    NODES, PODS, NAMESPACES, SERVICES, *OWNERS.values(), *_STORAGE, POD_DISRUPTION_BUDGETS,
)  # fmt: skip


class Scheduler:
    """`start` returns when the caches have synced; `stop` ends everything and may be repeated.

    `source` breaks ties between equally good nodes; give a seeded one for repeatable runs.
    `page` is where the metrics are served, if anywhere: an address, and how it is taken.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        source: random.Random | None = None,
        name: str = NAME,
        page: tuple[Address, Bind] | None = None,
    ) -> None:
        self.clock, self.name = clock, name
        self.queue, self.cache = SchedulingQueue(clock), Cache()
        self.metrics = SchedulerMetrics(self.queue, clock, name)
        self._page = page and MetricsPage(page[0], self.metrics.text, page[1])
        self.placer = Placer(self.cache, source or random.Random())
        self.informers = {each: Informer(client, each, clock) for each in _WATCHED}
        self._pods = self.informers[PODS]
        self._services = self.informers[SERVICES]
        self._services.add_index("namespace", lambda obj: (obj["metadata"]["namespace"],))
        self._pods.add_handler(self._pod_changed)
        self.informers[NODES].add_handler(self._node_changed)
        self.informers[NAMESPACES].add_handler(self._namespace_changed)
        for each in _STORAGE:
            self.informers[each].add_handler(self._storage_changed)
        events = EventRecorder(client, clock, name)
        self.binder = Binder(
            client, clock, events, self.cache, self.queue, self.informers, self.metrics, name
        )
        stores = (self.informers[each].store for each in _STORAGE)
        self.storage = Storage(*stores, self.binder.taken)
        self._tasks: list[asyncio.Task] = []

    async def start(self) -> None:
        """Fill the caches, then schedule."""
        for informer in self.informers.values():
            informer.start()
        await asyncio.gather(*(informer.synced() for informer in self.informers.values()))
        self.binder.start()
        loops = [self._decide_all(), self._flush()]
        self._tasks = [asyncio.create_task(loop, name=self.name) for loop in loops]
        if self._page:
            await self._page.start()

    async def stop(self) -> None:
        """End all tasks and watches.  Safe to repeat."""
        if self._page:
            await self._page.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.binder.stop()
        await asyncio.gather(*(informer.stop() for informer in self.informers.values()))

    # What changes.

    def _node_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        if not self.cache.set_node(old, new):
            return
        if new is None:
            self.queue.move(hints.NODE_GONE)
        else:
            self.queue.move(hints.node_changed(old and node_info(old), node_info(new)))

    def _namespace_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        if self.cache.set_namespace(old, new):
            self.queue.move(hints.NAMESPACE_CHANGED)

    def _storage_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        self.binder.look_again()
        if new is not None:
            self.queue.move(hints.STORAGE_CHANGED)

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        self._tell_queue(*self.cache.set_pod(old, new))
        key = objects.key(new or old)
        if new is None or pods.node_name(new) or pods.is_terminal(new):
            self.queue.remove(key)
            self.binder.look_again()
            self._forget_nomination(new or old)
        elif self._is_ours(new):
            nominated = old is None or _nominated(old) != _nominated(new)
            changed = old is None or _spec_changed(old, new)
            seen = view(new) if nominated or changed else None
            if nominated:
                self.cache.nominate(seen, seen.nominated)
            if changed:
                self.queue.add(seen)

    def _tell_queue(self, before: PodView | None, after: PodView | None) -> None:
        """What a Pod on a node was, and what it is."""
        known = self.cache.namespaces
        if after is None and before is not None:
            self.queue.move(hints.pod_left(before, known))
        elif before is None and after is not None:
            self.queue.move(hints.pod_placed(after, known))
        elif after is not None and _of_interest(before) != _of_interest(after):
            self.queue.move(hints.pod_changed(after))

    def _forget_nomination(self, pod: Mapping) -> None:
        """Others may have the place that was kept for a Pod, if it has not come."""
        if self.cache.nomination(pod["metadata"]["uid"]):
            gone = view(pod)
            self.cache.nominate(gone, "")
            self.queue.move(hints.pod_left(gone, self.cache.namespaces))

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
                if seen := self.queue.waiting(key):
                    self.metrics.ended(seen.uid, ERROR)
                self.queue.failed(key, error=True)

    async def _decide(self, key: str) -> None:
        pod, seen = self._pods.store.get(key), self.queue.waiting(key)
        if pod is None or seen is None or self.cache.is_assumed(seen.uid):
            return
        if objects.is_deleting(pod):
            self.binder.skip(pod)
            return
        if self.binder.is_preempting(seen):
            self.queue.failed(key, ("DefaultPreemption",))
            return
        if (nominated := self.cache.nomination(seen.uid)) != seen.nominated:
            seen = replace(seen, nominated=nominated)
        self.metrics.began(seen.uid)
        needs = self.needs(seen, pod)
        decision = self.placer.decide(seen, needs)
        if decision.node:
            self.cache.assume(seen, decision.node)
            self.cache.nominate(seen, "")
            volumes = needs.volumes.choose(self.cache.infos[decision.node])
            await self.binder.bind(pod, seen, decision.node, volumes)
        else:
            await self._no_node(pod, seen, needs, decision)

    async def _no_node(self, pod: Mapping, seen: PodView, needs: Needs, decision: Decision) -> None:
        outcome = self._preempt(seen, needs, decision)
        node = seen.nominated
        if outcome.victims:
            node = outcome.victims.node
        elif outcome.hopeless:
            node = ""
        if node != seen.nominated:
            self.cache.nominate(seen, node)
        if seen.nominated and not node:
            self.queue.move(hints.pod_left(seen, self.cache.namespaces))
        self.queue.failed(seen.key, decision.plugins)
        self.metrics.ended(seen.uid, UNSCHEDULABLE)
        message = messages.failed_scheduling(decision, outcome.message)
        await self.binder.refuse(pod, message, node)
        if outcome.victims:
            await self.binder.evict(seen, outcome.victims)

    def _preempt(self, seen: PodView, needs: Needs, decision: Decision) -> Outcome:
        if decision.total == 0:
            return Outcome(hopeless=True)
        budgets = [budget(each) for each in self.informers[POD_DISRUPTION_BUDGETS].store.values()]
        alike = self.placer.alike(seen, needs)
        return preempt(seen, decision, alike, self.cache, budgets, self.placer.source)

    def needs(self, seen: PodView, pod: Mapping) -> Needs:
        """What other objects of the API say that the Pod needs."""
        services = self._services.by_index("namespace", seen.namespace)
        return needs_of(pod, seen, services, owner_of(pod, self._owner), self.storage)

    def _owner(self, kind: str, namespace: str, name: str) -> Mapping | None:
        return self.informers[OWNERS[kind]].get(name, namespace)

    async def _flush(self) -> None:
        while True:
            await self.clock.sleep(1.0)
            self.queue.flush()


def _of_interest(pod: PodView) -> tuple:
    return pod.signature, pod.deleting


def _nominated(pod: Mapping) -> str:
    return (pod.get("status") or {}).get("nominatedNodeName") or ""


def _spec_changed(old: Mapping, new: Mapping) -> bool:
    """Whether a Pod that waits has become another to the scheduler; its status does not count."""
    return old["spec"] != new["spec"] or objects.labels(old) != objects.labels(new)
