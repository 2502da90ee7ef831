"""The kubelet: makes the Pods of one Node run on a container engine.

Two streams wake it: the Pods with its `spec.nodeName` (an informer) and the engine's events about
its containers (`pleg`).  Each names a Pod, whose uid goes into a work queue; a sync of that Pod
(`pod_worker`) compares what should be with what is and does the next steps.

Invariants: at most one sync per Pod at a time; a container's exit, once seen, is never unseen; the
end of the kubelet ends no container, and a new kubelet finds them again by their labels.

Left out compared with the real one: static Pods, image and container garbage collection beyond the
last dead instance, device and topology managers.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Coroutine, Mapping
from pathlib import Path

from labkit.client import Client, EventRecorder, Informer, WorkQueue
from labkit.client.events import WARNING
from labkit.clock import Clock
from labkit.kube import pods
from labkit.kube.resources import PODS
from labkit.kubelet import admission
from labkit.kubelet import instances as inst
from labkit.kubelet.container_config import ClusterDns, NodePlace
from labkit.kubelet.elastic import Elastic
from labkit.kubelet.eviction_manager import EvictionManager
from labkit.kubelet.hooks import Hooks
from labkit.kubelet.images import Images, field_path
from labkit.kubelet.ipam import AddressPool
from labkit.kubelet.node import NodeAgent
from labkit.kubelet.pleg import Pleg
from labkit.kubelet.pod_state import PodState, Tools
from labkit.kubelet.pod_worker import PodWorker
from labkit.kubelet.probe_actions import Result
from labkit.kubelet.probes import Prober
from labkit.kubelet.runtime import Runtime
from labkit.kubelet.server import KubeletServer
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.sources import Sources
from labkit.kubelet.stats import Meter
from labkit.kubelet.status_manager import StatusManager
from labkit.kubelet.tokens import Tokens
from labkit.kubelet.view import Evicted
from labkit.kubelet.volume_manager import VolumeManager

log = logging.getLogger(__name__)


class Kubelet:
    """One node's agent.  `start` returns when the Node is registered (or the attempt failed).

    `docker_url` is the engine's, such as `unix:///run/docker.sock`; `cluster_dns` the address that
    Pods ask for names (None for none); `serving_ssl` must ask for the CA's client certificates,
    None serves plain HTTP (for tests).  `network` is a Docker network that nodes share; without one
    the kubelet makes the node's own.  `labels` mark the containers of the cluster.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        node_name: str,
        node_ip: str,
        docker_url: str,
        cluster_dns: str | None,
        cluster_dns_port: int = 53,
        cluster_domain: str = "cluster.local",
        service_env: bool = True,
        root_dir: Path,
        serving_ssl: ssl.SSLContext | None = None,
        settings: KubeletSettings | None = None,
        network: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings or KubeletSettings()
        self.node_name, self.node_ip, self._clock = node_name, node_ip, clock
        self._root_dir = root_dir
        self._pods = Informer(client, PODS, clock, field_selector=f"spec.nodeName={node_name}")
        self._pods.add_handler(self._pod_changed)
        self._queue = WorkQueue(clock)
        self._states: dict[str, PodState] = {}  # by Pod uid
        self._tasks: set[asyncio.Task] = set()
        self._pods_started = False  # whether the Pods' informer runs
        marks = {inst.NODE: node_name, **(labels or {})}
        self._runtime = Runtime(docker_url, marks, node_ip)
        self._shared_network, self._addresses = network, AddressPool()
        self._recorder = EventRecorder(client, clock, "kubelet", node_name)
        self._node = NodeAgent(
            client,
            clock,
            self._runtime,
            self.settings,
            node_name,
            node_ip,
            self._network_ready,
            self._recorder,
            network,
        )
        self._pleg = Pleg(
            self._runtime,
            clock,
            self._node,
            self.settings.relist_period,
            self._states,
            self._queue.add,
            self._pods_known,
        )
        dns = ClusterDns(cluster_dns, cluster_dns_port, cluster_domain)
        place = NodePlace(marks, network or node_name, dns, node_ip)
        self._elastic = self._make_elastic(client)
        self._tools = self._make_tools(client, service_env, place)
        self._server = KubeletServer(self, self._runtime, clock, serving_ssl)
        self._eviction = EvictionManager(
            clock, self.settings, self._node, self._recorder, self._tools.volumes, self._evict
        )

    def _make_elastic(self, client: Client) -> Elastic | None:
        contract = self.settings.virtual
        if contract is None:
            return None
        recorder, work = self._recorder, (self._evict, self._spawn)
        return Elastic(contract, client, self._clock, self.node_name, recorder, *work)

    def _evict(self, uid: str, evicted: Evicted) -> None:
        """End a Pod that has done nothing to be ended."""
        state = self._states.get(uid)
        if state and not state.evicted:
            state.evicted = evicted
            self._queue.add(uid)

    def _make_tools(self, client: Client, service_env: bool, place: NodePlace) -> Tools:
        runtime, clock, recorder = self._runtime, self._clock, self._recorder
        sources = Sources(client, clock)
        volumes = VolumeManager(
            self._root_dir,
            sources,
            Tokens(client, clock),
            clock,
            self.settings,
            lambda: self._node.allocatable,
        )
        return Tools(
            client=client,
            clock=clock,
            settings=self.settings,
            runtime=runtime,
            recorder=recorder,
            images=Images(runtime, recorder, clock, self.settings),
            prober=Prober(runtime, clock, self._queue.add, self._tell_probe),
            hooks=Hooks(runtime, clock),
            sources=sources,
            volumes=volumes,
            statuses=StatusManager(client, clock, self._pod_written),
            node=self._node,
            elastic=self._elastic,
            place=place,
            address=self._address,
            refusal=self._refusal,
            node_ip=self.node_ip,
            service_env=service_env,
            wake=self._queue.add,
            background=self._spawn,
        )

    @property
    def port(self) -> int:
        """The port of the HTTPS server."""
        return self._server.port

    @property
    def pods(self) -> dict[str, PodState]:
        """What the kubelet holds about its Pods, by uid.  Read-only."""
        return self._states

    @property
    def node(self) -> Mapping | None:
        """The Node as the API has it."""
        return self._node.node

    async def fetch_image(self, image: str) -> str:
        """Have an image on the node before a Pod asks for it; what prevents it, or ""."""
        return await self._tools.images.fetch(image)

    async def start(self) -> None:
        """Register the Node, find running containers again, take on Pods."""
        self._root_dir.mkdir(parents=True, exist_ok=True)
        await self._server.start(self.node_ip, self.settings.port)
        self._node.port = self._server.port
        self._tools.sources.start()
        await self._node.start()
        if self._elastic:
            await self._elastic.start()
        self._spawn(self._pleg.run())
        if not self.settings.virtual:
            meter = Meter(self._runtime, self._clock)
            self._spawn(self._eviction.run(meter, self._states))
        self._spawn(self._dispatch())

    async def stop(self) -> None:
        """End all tasks and give back all sockets.  Pods run on.  Safe to repeat."""
        await self._pods.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._queue.close()
        if self._elastic:
            await self._elastic.stop()
        await self._server.stop()
        for part in (self._node, self._recorder, self._tools.images, self._tools.prober):
            await part.stop()
        await self._tools.statuses.stop()
        await self._tools.sources.stop()
        await self._runtime.close()

    def _spawn(self, work: Coroutine) -> asyncio.Task:
        task = asyncio.create_task(work, name=f"kubelet {self.node_name} {work.__name__}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # What wakes the kubelet

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        if old and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._pod_gone(old["metadata"]["uid"])
        if new:
            self._pod_seen(new)
            self._queue.add(new["metadata"]["uid"])

    def _pod_seen(self, pod: Mapping) -> None:
        state = self._states.setdefault(pod["metadata"]["uid"], PodState(pod))
        if state.stand_in or _revision(pod) >= _revision(state.pod):
            state.pod, state.stand_in = pod, False

    def _pod_gone(self, uid: str) -> None:
        state = self._states.get(uid)
        if state:
            state.gone = True
            self._tools.statuses.forget(uid)
            self._queue.add(uid)

    def _pod_written(self, pod: Mapping) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._states:
            self._pod_seen(pod)
            self._queue.add(uid)

    def _network_ready(self) -> None:
        for uid, state in self._states.items():
            # Whatever failed may have failed for want of the network, or of the engine.
            state.blocked.clear()
            self._queue.add(uid)

    def _tell_probe(self, pod: Mapping, container: str, kind: str, result: Result) -> None:
        reason, how = ("ProbeWarning", "warning") if result.warning else ("Unhealthy", "failed")
        message = f"{kind.capitalize()} probe {how}: {result.output}"
        self._recorder.event(pod, WARNING, reason, message, field_path(pod, container))

    # Syncs

    async def _dispatch(self) -> None:
        while True:
            uid = await self._queue.get()
            self._spawn(self._sync(uid))

    async def _sync(self, uid: str) -> None:
        again = None
        try:
            state = self._states.get(uid)
            if state and (state.gone or not state.stand_in):
                again = await PodWorker(state, self._tools).sync()
                if state.gone and not state.instances and not state.stopping:
                    self._forget(uid)
        except Exception:
            log.exception("sync failed node=%s pod=%s", self.node_name, uid)
            again = self.settings.back_off_period
        finally:
            self._queue.done(uid)
        if again is not None:
            self._queue.add_after(uid, again)

    def _forget(self, uid: str) -> None:
        del self._states[uid]
        self._addresses.give_back(uid)
        self._tools.images.forget(uid)
        if self._elastic:
            self._elastic.forget(uid)
        self._tools.statuses.forget(uid)

    def _refusal(self, pod: Mapping) -> Evicted | None:
        """Why the node does not take a Pod."""
        others = [
            state.pod
            for state in self._states.values()
            if state.admitted and not (state.gone or pods.is_terminal(state.pod))
        ]
        pressure = self._node.memory_pressure
        return admission.refusal(pod, others, self._node.allocatable, pressure=pressure)

    def _address(self, uid: str) -> str:
        """The address that a Pod's next sandbox is to have; empty where the engine chooses."""
        if not self._shared_network:
            return ""
        runs = (one for state in self._states.values() for one in state.instances.values())
        used = {one.ip for one in runs if one.is_sandbox}
        return self._addresses.take(uid, self._node.pod_cidr, used)

    # The first picture

    def _pods_known(self) -> None:
        """The engine's containers are known, so Pods may be looked at."""
        if not self._pods_started:
            self._pods_started = True
            self._pods.start()
            self._spawn(self._find_orphans())

    async def _find_orphans(self) -> None:
        """Containers whose Pod went while no kubelet was looking: their Pods are gone."""
        await self._pods.synced()
        self._pleg.pods_listed = True
        self._tools.volumes.remove_others(self._states)
        for uid in [uid for uid, state in self._states.items() if state.stand_in]:
            self._pod_gone(uid)


def _revision(pod: Mapping) -> int:
    return int(pod["metadata"].get("resourceVersion") or 0)
