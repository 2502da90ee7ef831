"""The nodes of a simulation: one model of all kubelets.

A Pod that is bound starts after a delay (image pull, container start, readiness), drawn from a
distribution; one that is deleted ends after another; a node that is lost falls silent.  What the
Pods do meanwhile is the application's model.

In place of kubelets and engines, as KWOK does it for real control planes.  Left out: probes,
containers that end by themselves, everything that needs a volume.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from labkit.client import ApiError, Client, Informer
from labkit.client.informer import Handler
from labkit.clock import Clock
from labkit.kube import objects, pods
from labkit.kube.resources import LEASES, NODES, PODS
from labkit.kubelet import backoff
from labkit.simulate import pod_status
from labkit.simulate.pod_status import Ending

_LEASES = "kube-node-lease"
_FIRST_BACK_OFF, _LAST_BACK_OFF = 10.0, 300.0  # seconds: the kubelet's, for containers that die


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds, drawn anew each time: log-normal around `median`, `spread` times as long or short
    in a sixth of the cases each (1: always the same).
    """

    median: float
    spread: float = 1.0

    def draw(self, source: random.Random) -> float:
        """One delay."""
        if self.spread == 1.0 or not self.median:
            return self.median
        return self.median * math.exp(source.gauss(0.0, math.log(self.spread)))


class Provider(Protocol):
    """Who runs the Pods of a node that is no machine: see `virtual_nodes`."""

    def wait(self, pod: Mapping) -> float:
        """Seconds until there is something for the Pod to run on."""

    def seen(self, pod: Mapping, runs: bool) -> None:
        """The Pod's containers run, or none does."""

    def forget(self, uid: str) -> None:
        """The Pod is no more."""


class ModelNodes:
    """All kubelets of a cluster.  `pods` are all Pods by key, `running` those that are Ready."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        source: random.Random,
        *,
        start: Delay,
        stop: Delay,
        renew: float = 10.0,
    ) -> None:
        self._client, self._clock, self._source = client, clock, source
        self._start_delay, self._stop_delay, self._renew = start, stop, renew
        self._informer = Informer(client, PODS, clock)
        self._informer.add_handler(self._changed)
        self.pods = self._informer.store
        self.running: dict[str, Mapping] = {}  # by uid
        self.lost: set[str] = set()  # nodes
        self._names: list[str] = []
        self._providers: dict[str, Provider] = {}  # by node, where it is no machine
        self._numbers = itertools.count(1)
        self._begun: set[str] = set()
        self._ending: set[str] = set()
        self._slowness = (1.0, 0.0)  # Pods take so many times as long to start, until then
        self._back_offs: dict[str, backoff.BackOff] = {}  # by uid, of Pods whose container died
        self._tasks: set[asyncio.Task] = set()

    def follow(self, handler: Handler) -> None:
        """Tell `handler(old, new)` of every change of a Pod; to be called before `start`."""
        self._informer.add_handler(handler)

    async def start(self) -> None:
        """Follow the Pods, and keep the Leases of all nodes."""
        self._informer.start()
        await self._informer.synced()
        self.in_background(self._renew_leases())

    def in_background(self, work: Coroutine) -> None:
        """Run `work` beside all else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def add(
        self,
        name: str,
        capacity: Mapping[str, str],
        *,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Mapping[str, str]] = (),
        provider: Provider | None = None,
    ) -> None:
        """Register a node, Ready."""
        node = node_object(name, capacity, labels or {}, taints)
        stamp = self._clock.timestamp()
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
            "lastHeartbeatTime": stamp,
            "lastTransitionTime": stamp,
        }
        node["status"]["conditions"] = [ready]
        spec = {"holderIdentity": name, "renewTime": self._clock.micro_timestamp()}
        if provider:
            self._providers[name] = provider
        await self._client.create(NODES, node)
        lease = {"metadata": {"name": name, "namespace": _LEASES}, "spec": spec}
        await self._client.create(LEASES, lease)
        self._names.append(name)

    def lose(self) -> str | None:
        """A node falls silent, and its Pods with it: the last machine that is left.  Its name."""
        gone = self.lost | self._providers.keys()
        name = next((each for each in reversed(self._names) if each not in gone), None)
        if name:
            self._silence(name)
        return name

    def slow_down(self, factor: float, seconds: float) -> None:
        """Pods that are bound within so many seconds take `factor` times as long to start."""
        self._slowness = factor, self._clock.monotonic() + seconds

    def kill(self, uid: str) -> None:
        """A container of a Pod dies, and is started again as a kubelet does it."""
        pod = self.running.pop(uid)
        self.in_background(self._restart(pod))

    def _silence(self, name: str) -> None:
        self.lost.add(name)
        for uid in [uid for uid, pod in self.running.items() if pods.node_name(pod) == name]:
            del self.running[uid]

    async def remove(self, name: str) -> None:
        """A machine is switched off for good, and its Node is taken out of the API."""
        self._silence(name)
        self._names.remove(name)
        await self._client.delete(NODES, name)
        await self._client.delete(LEASES, name, _LEASES)

    def evict(self, uid: str, why: Ending) -> None:
        """A node ends a Pod by itself; as in life it stays in the API, failed."""
        pod = self.running.pop(uid, None)
        if pod is not None:
            self.in_background(self._after(self._stop_delay, partial(self._fail, why), pod))

    def _changed(self, old: Mapping | None, new: Mapping | None) -> None:
        uid = (new or old)["metadata"]["uid"]
        if new is None:
            self.running.pop(uid, None)
            self._begun.discard(uid)
            self._ending.discard(uid)
            self._back_offs.pop(uid, None)
            if provider := self._provider(old):
                provider.forget(uid)
        elif not pods.node_name(new) or pods.node_name(new) in self.lost:
            return
        elif objects.is_deleting(new):
            # Endpoints lose it now; what it was answering it answers in the time that it has.
            self.running.pop(uid, None)
            if uid not in self._ending:
                self._ending.add(uid)
                self.in_background(self._after(self._stop_delay, self._end, new))
        elif uid not in self._begun:
            self._begun.add(uid)
            provider = self._provider(new)
            wait = provider.wait(new) if provider else 0.0
            factor, until = self._slowness
            delay = self._start_delay
            if self._clock.monotonic() < until:
                delay = replace(delay, median=delay.median * factor)
            self.in_background(self._after(delay, self._begin, new, wait))

    def _provider(self, pod: Mapping) -> Provider | None:
        return self._providers.get(pods.node_name(pod))

    async def _after(
        self, delay: Delay, what: Callable[[Mapping], Awaitable], pod: Mapping, wait: float = 0.0
    ) -> None:
        await self._clock.sleep(wait + delay.draw(self._source))
        if pods.node_name(pod) in self.lost:
            return
        try:
            await what(pod)
        except ApiError as error:
            if not error.not_found and not error.conflict:
                raise

    async def _begin(self, pod: Mapping) -> None:
        uid = pod["metadata"]["uid"]
        if uid not in self._begun or uid in self._ending:
            return  # deleted before it began
        status = pod_status.running(pod, next(self._numbers), self._clock.timestamp())
        self.running[uid] = await self._tell(pod, status)
        if provider := self._provider(pod):
            provider.seen(pod, True)

    async def _fail(self, why: Ending, pod: Mapping) -> None:
        if provider := self._provider(pod):
            provider.seen(pod, False)
        await self._tell(pod, pod_status.failed(pod, why, self._clock.timestamp()))

    async def _restart(self, pod: Mapping) -> None:
        uid, now = pod["metadata"]["uid"], self._clock.now()
        entry = self._back_offs.get(uid)
        wait = backoff.remaining(entry, now, now)
        self._back_offs[uid] = backoff.raised(entry, now, now, _FIRST_BACK_OFF, _LAST_BACK_OFF)
        dead = await self._tell(pod, pod_status.killed(pod, self._clock.timestamp(), wait))
        await self._after(self._start_delay, self._run_again, dead, wait)

    async def _run_again(self, pod: Mapping) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._begun and uid not in self._ending:
            status = pod_status.restarted(pod, self._clock.timestamp())
            self.running[uid] = await self._tell(pod, status)

    async def _tell(self, pod: Mapping, status: Mapping) -> Mapping:
        """Write into the API what has become of a Pod; the Pod as it is then."""
        meta, changed = pod["metadata"], {"status": status}
        where = {"kind": "strategic", "subresource": "status"}
        return await self._client.patch(PODS, meta["name"], changed, meta["namespace"], **where)

    async def _end(self, pod: Mapping) -> None:
        meta = pod["metadata"]
        await self._client.delete(
            PODS, meta["name"], meta["namespace"], grace_period_seconds=0, uid=meta["uid"]
        )

    async def _renew_leases(self) -> None:
        while True:
            await self._clock.sleep(self._renew)
            now = {"spec": {"renewTime": self._clock.micro_timestamp()}}
            for name in list(self._names):
                if name not in self.lost:
                    await self._client.patch(LEASES, name, now, _LEASES)


def node_object(
    name: str,
    capacity: Mapping[str, str],
    labels: Mapping[str, str],
    taints: Sequence[Mapping[str, str]],
) -> dict:
    """The Node of a machine, as its kubelet registers it."""
    return {
        "apiVersion": NODES.api_version,
        "kind": NODES.kind,
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {"taints": [dict(taint) for taint in taints]} if taints else {},
        "status": {"capacity": dict(capacity), "allocatable": dict(capacity)},
    }
