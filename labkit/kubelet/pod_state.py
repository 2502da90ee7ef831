"""What the kubelet holds about one Pod between syncs, and what its workers share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from labkit.client import Client, EventRecorder
from labkit.clock import Clock
from labkit.kubelet import instances as inst
from labkit.kubelet.backoff import BackOff
from labkit.kubelet.container_config import NodePlace
from labkit.kubelet.elastic import Elastic
from labkit.kubelet.hooks import Hooks
from labkit.kubelet.images import Images, field_path
from labkit.kubelet.instances import Instance
from labkit.kubelet.node import NodeAgent
from labkit.kubelet.probes import Prober
from labkit.kubelet.runtime import Runtime
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.sources import Sources
from labkit.kubelet.status_manager import StatusManager
from labkit.kubelet.view import Blocked, Evicted
from labkit.kubelet.volume_manager import Mounts, VolumeManager


@dataclass(slots=True)
class PodState:
    """One Pod (one uid).  Only its sync and the kubelet's event handlers change it."""

    pod: Mapping  # the newest known object; read-only
    stand_in: bool = False  # `pod` is made from a container's labels, the API's is not seen yet
    gone: bool = False  # no longer in the API
    instances: dict[str, Instance] = field(default_factory=dict)  # by container id
    back_offs: dict[str, BackOff] = field(default_factory=dict)  # by container name
    blocked: dict[str, Blocked] = field(default_factory=dict)  # by container name
    with_image: set[str] = field(default_factory=set)  # containers whose image was looked after
    pull_secrets: list[Mapping] | None = None  # None: not fetched yet
    mounts: Mounts = field(default_factory=Mounts)
    hooked: set[str] = field(default_factory=set)  # container ids whose postStart is under way
    stopping: dict[str, int] = field(default_factory=dict)  # container id → grace in seconds
    evicted: Evicted | None = None
    admitted: bool = False  # it was looked whether the node takes it
    told: set[str] = field(default_factory=set)  # what needs no second Event
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, seen: Instance) -> bool:
        """Take over what was seen of a container; whether it is news."""
        known = self.instances.get(seen.id)
        newest = inst.newer(known, seen)
        self.instances[seen.id] = newest
        self._wake()
        return newest != known

    def lose(self, container_id: str) -> bool:
        """The engine has no such container any more; whether that is news."""
        known = self.instances.pop(container_id, None)
        self._wake()
        return known is not None

    @property
    def is_running(self) -> bool:
        """Whether any of its containers runs."""
        return any(one.state == inst.RUNNING for one in self.instances.values())

    async def change(self) -> None:
        """Return when something was seen of a container."""
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(frozen=True, slots=True)
class Tools:
    """What the workers of one node share."""

    client: Client
    clock: Clock
    settings: KubeletSettings
    runtime: Runtime
    recorder: EventRecorder
    images: Images
    prober: Prober
    hooks: Hooks
    sources: Sources
    volumes: VolumeManager
    statuses: StatusManager
    node: NodeAgent
    elastic: Elastic | None  # of a virtual node
    place: NodePlace
    address: Callable[[str], str]  # for the sandbox of the Pod of this uid; empty: any
    refusal: Callable[[Mapping], Evicted | None]  # why the node does not take a Pod
    node_ip: str
    service_env: bool
    wake: Callable[[str], None]  # have the Pod of this uid synced
    background: Callable[[object], None]  # run a coroutine that the kubelet's stop cancels


@dataclass(frozen=True, slots=True)
class Desk:
    """One Pod's state with the tools to work on it, and the ways to speak of it."""

    state: PodState
    tools: Tools

    @property
    def pod(self) -> Mapping:
        return self.state.pod

    @property
    def uid(self) -> str:
        return self.state.pod["metadata"]["uid"]

    def wake(self) -> None:
        """Have the Pod synced."""
        self.tools.wake(self.uid)

    def block(self, name: str, reason: str, message: str, seconds: float) -> None:
        """Do not start the container `name` for some time, and say why."""
        self.state.blocked[name] = Blocked(reason, message, self.tools.clock.now() + seconds)

    def unblock(self, name: str) -> None:
        """What the container waited for is here."""
        self.state.blocked.pop(name, None)
        self.wake()

    def tell(self, kind: str, reason: str, message: str, name: str = "") -> None:
        """Record an Event about the Pod, or about its container `name`."""
        where = field_path(self.pod, name) if name else ""
        self.tools.recorder.event(self.pod, kind, reason, message, where)

    def tell_once(
        self, kind: str, reason: str, message: str, name: str = "", key: str = ""
    ) -> None:
        """The same, unless it was told before (`key` or the message)."""
        key = key or message
        if key not in self.state.told:
            self.state.told.add(key)
            self.tell(kind, reason, message, name)
