"""What the scheduler tells the API: bindings, refusals, evictions.

A few tasks send what was decided, from a bounded queue, so that deciding waits for the API only
when it is far ahead.  A Pod whose volumes have to be bound first is bound by a task of its own,
which waits for them.  A binding that fails gives the place in the cache back.

Source: kube-scheduler's binding cycle, handleSchedulingFailure, preemption.Executor, and PreBind of
VolumeBinding.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from labkit.client import ApiError, Client, EventRecorder, Informer
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.kube import conditions, objects, pods
from labkit.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, Resource
from labkit.kube.storage import BOUND_BY_CONTROLLER, SELECTED_NODE
from labkit.scheduler import messages
from labkit.scheduler.cache import Cache
from labkit.scheduler.podview import PREEMPTED, PodView
from labkit.scheduler.preemption import Victims
from labkit.scheduler.queue import SchedulingQueue
from labkit.scheduler.telemetry import ERROR, SCHEDULED, SchedulerMetrics
from labkit.scheduler.volumes import is_bound, selected_node

log = logging.getLogger(__name__)

_SENDERS = 16  # requests to the API at a time
_PENDING = 64  # decisions on their way before deciding waits
_BIND_TIMEOUT = 600.0  # seconds for volumes (bindTimeoutSeconds)


class VolumesNotBound(Exception):
    """The volumes of a Pod could not be bound; the text is for people."""


class Binder:
    """Sends decisions; `taken` are volumes that are promised to claims, by name."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        events: EventRecorder,
        cache: Cache,
        queue: SchedulingQueue,
        informers: Mapping[Resource, Informer],
        metrics: SchedulerMetrics,
        name: str,
    ) -> None:
        self.client, self.clock, self.events, self.name = client, clock, events, name
        self.taken: dict[str, str] = {}
        self._cache, self._queue, self._metrics = cache, queue, metrics
        self._pods = informers[PODS]
        self._claims = informers[PERSISTENT_VOLUME_CLAIMS]
        self._volumes = informers[PERSISTENT_VOLUMES]
        self._outbox: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(_PENDING)
        self._senders: list[asyncio.Task] = []
        self._waits: set[asyncio.Task] = set()  # for volumes
        self._change = asyncio.Event()
        # Pods whose victims are being told, and whether somebody wanted to try them meanwhile.
        self._preempting: dict[str, bool] = {}

    def start(self) -> None:
        """Begin to send."""
        self._senders = [
            asyncio.create_task(self._send_all(), name=f"{self.name} sender")
            for _ in range(_SENDERS)
        ]

    async def stop(self) -> None:
        """End all tasks.  Safe to repeat."""
        tasks = [*self._senders, *self._waits]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._senders.clear()
        await self.events.stop()

    async def _send_all(self) -> None:
        while True:
            send = await self._outbox.get()
            try:
                await send()
            except (ApiError, OSError) as error:
                log.info("not told error=%s", error)
            except Exception:  # one Pod's trouble must not end the sender for all others
                log.exception("telling failed scheduler=%s", self.name)

    # Bindings.

    async def bind(
        self, pod: Mapping, seen: PodView, node: str, volumes: Mapping[str, str]
    ) -> None:
        """Bind a Pod to its node, and before that {claim: volume} of its claims, if any."""
        send = partial(self._bind, pod, seen, node)
        if not volumes:
            await self._outbox.put(send)
            return
        self.taken |= {volume: f"{seen.namespace}/{claim}" for claim, volume in volumes.items()}
        task = asyncio.create_task(self._bind_with_volumes(pod, seen, node, volumes, send))
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

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
            self._not_bound(pod, seen, f"binding rejected: {error}")
            return
        self._metrics.ended(seen.uid, SCHEDULED)
        self.events.event(pod, NORMAL, "Scheduled", messages.scheduled(seen.key, node))

    def _not_bound(self, pod: Mapping, seen: PodView, message: str) -> None:
        log.info("not bound pod=%s message=%s", seen.key, message)
        self._metrics.ended(seen.uid, ERROR)
        self._cache.forget(seen)
        current = self._pods.store.get(seen.key)
        if current is None or pods.node_name(current):
            return  # gone, or bound by another: nothing is left to do
        self.events.event(pod, WARNING, "FailedScheduling", messages.note(message))
        self._queue.failed(seen.key, error=True)

    # Volumes.

    def look_again(self) -> None:
        """A claim or a volume has changed, or a Pod has gone: maybe one that is waited for."""
        self._change.set()

    async def _bind_with_volumes(
        self, pod: Mapping, seen: PodView, node: str, volumes: Mapping[str, str], bind: Callable
    ) -> None:
        try:
            async with asyncio.timeout(_BIND_TIMEOUT):
                told = {
                    claim: await self._bind_claim(seen.namespace, claim, volume, node)
                    for claim, volume in volumes.items()
                }
                while not self._all_bound(seen, told, node):
                    self._change.clear()
                    await self._change.wait()
        except (VolumesNotBound, ApiError, OSError, TimeoutError) as error:
            why = "context deadline exceeded" if isinstance(error, TimeoutError) else error
            words = f'running PreBind plugin "VolumeBinding": binding volumes: {why}'
            self._not_bound(pod, seen, words)
        else:
            await bind()
        finally:
            for volume in volumes.values():
                self.taken.pop(volume, None)

    async def _bind_claim(self, namespace: str, claim: str, volume: str, node: str) -> int:
        """Begin to bind one claim; the revision of the claim with its node, 0 with a volume."""
        if not volume:
            patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
            told = await self.client.patch(PERSISTENT_VOLUME_CLAIMS, claim, patch, namespace)
            return int(told["metadata"]["resourceVersion"])
        reference = objects.object_reference(self._claims.store[f"{namespace}/{claim}"])
        reference.pop("resourceVersion", None)
        patch = {
            "metadata": {"annotations": {BOUND_BY_CONTROLLER: "yes"}},
            "spec": {"claimRef": reference},
        }
        await self.client.patch(PERSISTENT_VOLUMES, volume, patch)
        return 0

    def _all_bound(self, seen: PodView, told: Mapping[str, int], node: str) -> bool:
        """Whether all claims are bound.  Raises VolumesNotBound where one never will be."""
        if seen.key not in self._pods.store:
            raise VolumesNotBound("pod does not exist any more")
        bound = True
        for claim, revision in told.items():
            current = self._claims.store.get(f"{seen.namespace}/{claim}")
            if current is None:
                raise VolumesNotBound(f'persistentvolumeclaim "{claim}" not found')
            news = int(current["metadata"]["resourceVersion"]) >= revision
            if news and revision and selected_node(current) != node:
                # The provisioner takes the node back when it cannot make the volume there.
                raise VolumesNotBound(f'provisioning failed for PVC "{claim}"')
            bound = bound and is_bound(current)
        return bound

    # Refusals.

    def skip(self, pod: Mapping) -> None:
        """Say that a Pod that is being deleted gets no node any more."""
        message = f"skip schedule deleting pod: {objects.key(pod)}"
        self.events.event(pod, WARNING, "FailedScheduling", message)

    async def refuse(self, pod: Mapping, message: str, nominated: str) -> None:
        """Say that no node can take the Pod, and where it is expected once others have left."""
        await self._outbox.put(partial(self._refuse, pod, message, nominated))

    async def _refuse(self, pod: Mapping, message: str, nominated: str) -> None:
        self.events.event(pod, WARNING, "FailedScheduling", messages.note(message))
        patch: dict = {}
        if condition := self._condition(pod, message):
            patch["conditions"] = [condition]
        if nominated != ((pod.get("status") or {}).get("nominatedNodeName") or ""):
            patch["nominatedNodeName"] = nominated or None
        if patch:
            await self._patch_status(pod, patch)

    def _condition(self, pod: Mapping, message: str) -> dict | None:
        """The condition PodScheduled=False, or None if the Pod has it."""
        present = conditions.get(pod, "PodScheduled") or {}
        told = (present.get("status"), present.get("reason"), present.get("message"))
        if told == ("False", "Unschedulable", message):
            return None
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
        return condition

    async def _patch_status(self, pod: Mapping, status: Mapping) -> None:
        meta = pod["metadata"]
        await self.client.patch(
            PODS, meta["name"], {"status": status}, meta["namespace"],
            kind="strategic", subresource="status",
        )  # fmt: skip

    # Preemption.

    def is_preempting(self, pod: PodView) -> bool:
        """Whether the Pod's victims are still being told: it waits until they are."""
        if pod.key not in self._preempting:
            return False
        self._preempting[pod.key] = True
        return True

    async def evict(self, pod: PodView, victims: Victims) -> None:
        """Make the victims leave, in the time that each of them may take to end."""
        self._preempting[pod.key] = False
        await self._outbox.put(partial(self._evict_all, pod, victims))

    async def _evict_all(self, pod: PodView, victims: Victims) -> None:
        for each in self._lower_nominations(pod, victims.node):
            self._cache.nominate(each, "")
            await self._clear_nomination(each)
            self._queue.retry(each.key)
        evictions = [
            self._evict(pod, victim, victims.node) for victim in victims.pods if not victim.deleting
        ]
        failed = [
            error for error in await asyncio.gather(*evictions, return_exceptions=True) if error
        ]
        for error in failed:
            log.info("not preempted error=%s", error)
        if self._preempting.pop(pod.key, False) or failed:
            self._queue.retry(pod.key)

    def _lower_nominations(self, pod: PodView, node: str) -> list[PodView]:
        """Less important Pods that are expected on the node: they may not fit any more."""
        expected = self._cache.nominated.get(node, {}).values()
        return [each for each in expected if each.priority < pod.priority]

    async def _clear_nomination(self, pod: PodView) -> None:
        current = self._pods.store.get(pod.key)
        if current is None:
            return
        try:
            await self._patch_status(current, {"nominatedNodeName": None})
        except (ApiError, OSError) as error:
            log.info("nomination not cleared pod=%s error=%s", pod.key, error)

    async def _evict(self, pod: PodView, victim: PodView, node: str) -> None:
        current = self._pods.store.get(victim.key)
        if current is None or current["metadata"]["uid"] != victim.uid:
            return  # gone
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": PREEMPTED,
            "message": messages.preempting(self.name),
            "lastProbeTime": None,
            "lastTransitionTime": self.clock.timestamp(),
        }
        await self._patch_status(current, {"conditions": [condition]})
        meta = current["metadata"]
        await self.client.delete(PODS, meta["name"], meta["namespace"], uid=victim.uid)
        self.events.event(current, NORMAL, "Preempted", messages.preempted(pod.uid, node))
