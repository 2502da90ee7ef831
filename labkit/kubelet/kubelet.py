"""The kubelet: makes the Pods of one Node run on a container engine.

Two streams wake it: the Pods with its `spec.nodeName` (an informer) and the engine's events about
its containers.  Each names a Pod, whose uid goes into a work queue; a sync of that Pod
(`pod_worker`) compares what should be with what is and does the next steps.  There is no polling
per container; a relist every 10 s compares the kubelet's picture with the engine's list, in case
an event was lost.

Invariants: at most one sync per Pod at a time; a container's exit, once seen, is never unseen; the
end of the kubelet ends no container, and a new kubelet finds them again by their labels.

Left out compared with the real one: static Pods, image and container garbage collection beyond the
last dead instance, device and topology managers.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import aclosing
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
from labkit.kubelet.instances import EXITED, Instance
from labkit.kubelet.ipam import AddressPool
from labkit.kubelet.node import NodeAgent
from labkit.kubelet.pod_state import PodState, Tools
from labkit.kubelet.pod_worker import PodWorker
from labkit.kubelet.probe_actions import Result
from labkit.kubelet.probes import Prober
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of
from labkit.kubelet.server import KubeletServer
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.sources import Sources
from labkit.kubelet.stats import Meter
from labkit.kubelet.status_manager import StatusManager
from labkit.kubelet.tokens import Tokens
from labkit.kubelet.view import Evicted
from labkit.kubelet.volume_manager import VolumeManager

log = logging.getLogger(__name__)

_RECONNECT = 1.0  # seconds between attempts to reach the engine
_ENGINE_WORDS = {"created": inst.CREATED, "running": inst.RUNNING, "paused": inst.RUNNING}


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
        self._engine_up = True  # until the contrary is seen
        self._pods_started = False  # whether the Pods' informer runs
        self._pods_listed = False  # whether its first list is here
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
        self._spawn(self._follow_engine())
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

    # The engine

    async def _follow_engine(self) -> None:
        """Follow the engine's events, and begin anew when the connection breaks."""
        while True:
            try:
                async with aclosing(self._runtime.events()) as events:
                    await self._follow(events)
            except ENGINE_ERRORS as error:
                self._engine_lost(message_of(error))
            except Exception:
                # Without this loop the kubelet is deaf: whatever happens, it goes on.
                log.exception("engine's events not understood node=%s", self.node_name)
            await self._clock.sleep(_RECONNECT)

    async def _follow(self, events: AsyncIterator[Mapping]) -> None:
        await anext(events)
        # Connected: from now on no event is lost, so a list now completes the picture.
        self._engine_up = True
        await self._node.engine_connected()
        await self._relist()
        self._pods_known()
        relisting = self._spawn(self._keep_relisting())
        try:
            async for event in events:
                await self._engine_event(event)
        finally:
            relisting.cancel()
        raise ConnectionError("the engine ended its stream of events")

    def _engine_lost(self, why: str) -> None:
        if self._engine_up:
            log.warning("engine lost node=%s error=%s", self.node_name, why)
        self._engine_up = False
        self._node.engine_lost(why)

    def _pods_known(self) -> None:
        """The engine's containers are known, so Pods may be looked at."""
        if not self._pods_started:
            self._pods_started = True
            self._pods.start()
            self._spawn(self._find_orphans())

    async def _keep_relisting(self) -> None:
        while True:
            await self._clock.sleep(self.settings.relist_period)
            try:
                await self._relist()
            except ENGINE_ERRORS as error:
                log.info("relist failed node=%s error=%s", self.node_name, message_of(error))

    async def _engine_event(self, event: Mapping) -> None:
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
            # Before the informer's first list the Pod may still come; after it, it is gone.
            state = PodState(_stand_in(seen), stand_in=True, gone=self._pods_listed)
            self._states[seen.pod_uid] = state
        if state.note(seen):
            self._queue.add(seen.pod_uid)

    def _lost(self, state: PodState, container_id: str) -> None:
        if state.lose(container_id):
            self._queue.add(state.pod["metadata"]["uid"])

    async def _find_orphans(self) -> None:
        """Containers whose Pod went while no kubelet was looking: their Pods are gone."""
        await self._pods.synced()
        self._pods_listed = True
        self._tools.volumes.remove_others(self._states)
        for uid in [uid for uid, state in self._states.items() if state.stand_in]:
            self._pod_gone(uid)


def _revision(pod: Mapping) -> int:
    return int(pod["metadata"].get("resourceVersion") or 0)


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
