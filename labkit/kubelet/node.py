"""The kubelet's own Node: registers it, keeps its status and its Lease, prepares its network.

Two loops: the Lease in kube-node-lease is renewed every 10 s and is the heartbeat; the status is
computed every 10 s and written when it changed (or after 5 minutes).  The Pods' network is made as
soon as the Node has its spec.podCIDR, whoever sets it.  Trouble with the API or the engine is
logged and tried again; the engine's trouble is what the Ready condition says.

Source: kubelet_node_status.go, component-helpers/apimachinery/lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from labkit.client import ApiError, Client, EventRecorder, Informer, WorkQueue
from labkit.client.events import NORMAL
from labkit.clock import Clock
from labkit.kube import quantity
from labkit.kube.resources import LEASES, NODES
from labkit.kubelet import node_status
from labkit.kubelet.eviction import threshold as eviction_threshold
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.virtual import TAINT

log = logging.getLogger(__name__)

_LEASE_NAMESPACE = "kube-node-lease"
_API_ERRORS = (ApiError, OSError)
# Seconds between attempts to register the Node, or to get hold of its Lease.
_FIRST_RETRY, _LAST_RETRY = 0.1, 7.0
_NO_NETWORK = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:"
)


class NodeAgent:
    """Speaks for one Node.  `on_network` is called once the Pods' network is ready."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        runtime: Runtime,
        settings: KubeletSettings,
        name: str,
        ip: str,
        on_network: Callable[[], None],
        recorder: EventRecorder,
        network: str = "",
    ) -> None:
        self._client, self._clock, self._runtime = client, clock, runtime
        self._recorder = recorder
        self._settings, self._name, self._ip = settings, name, ip
        self._on_network = on_network
        self._network = network  # that nodes share; empty: one of the Node's own
        self._informer = Informer(client, NODES, clock, field_selector=f"metadata.name={name}")
        self._informer.add_handler(self._changed)
        self._tasks: list[asyncio.Task] = []
        self._queue = WorkQueue(clock)  # holds the Node's name when its status is to be computed
        self._engine: Mapping = {}
        self._written = 0.0  # when the status was written, by the monotonic clock
        self._lease: dict | None = None
        self._retry = 0.0  # seconds until the Node is registered again, 0 once it is
        self.memory_pressure = False
        self.port = settings.port  # of the kubelet's server; set before `start`
        self.network_error = f"{_NO_NETWORK}the Node has no spec.podCIDR yet"

    @property
    def node(self) -> Mapping | None:
        """The Node as the API has it, or None."""
        return self._informer.get(self._name)

    @property
    def pod_cidr(self) -> str:
        """The Node's spec.podCIDR, known once its network is ready."""
        return (self.node or {"spec": {}})["spec"].get("podCIDR") or self._settings.pod_cidr

    @property
    def allocatable(self) -> Mapping[str, str]:
        """What Pods may use on this node."""
        if self._settings.virtual:
            return self._settings.virtual.capacity
        return node_status.allocatable(self.capacity, self.eviction_threshold)

    @property
    def capacity(self) -> Mapping[str, str]:
        """What the node has."""
        settings = self._settings
        if settings.virtual:
            return settings.virtual.capacity
        return node_status.capacity(self._engine, settings.max_pods, settings.node_memory)

    @property
    def memory(self) -> int:
        """The bytes of memory that the node has."""
        return quantity.value(self.capacity["memory"])

    @property
    def eviction_threshold(self) -> int:
        """The bytes of memory below which Pods are evicted."""
        return eviction_threshold(self._settings.eviction_hard, self.memory)

    @property
    def reference(self) -> Mapping:
        """The Node as Events name it: a kubelet's have its name for its uid."""
        meta = {"name": self._name, "uid": self._name}
        return {"apiVersion": "v1", "kind": "Node", "metadata": meta}

    def set_memory_pressure(self, pressure: bool) -> None:
        """Memory is short, or is no longer."""
        if pressure != self.memory_pressure:
            self.memory_pressure = pressure
            self._queue.add(self._name)

    async def start(self) -> None:
        """Register the Node, then keep it.  Returns after the first attempt to register."""
        self._tell("Starting", "Starting kubelet.")
        try:
            self._engine = await self._runtime.info()
            await self._register()
        except (*_API_ERRORS, *ENGINE_ERRORS) as error:
            log.warning("node not registered yet node=%s error=%s", self._name, error)
            self._retry = _FIRST_RETRY
        self._informer.start()
        for loop in (self._keep_status, self._keep_lease):
            self._tasks.append(asyncio.create_task(loop(), name=f"{loop.__name__} {self._name}"))

    async def stop(self) -> None:
        """End the loops; the Node stays.  Safe to repeat."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._queue.close()
        await self._informer.stop()

    def _changed(self, old: Mapping | None, new: Mapping | None) -> None:
        cidr = new and new["spec"].get("podCIDR")
        if new is None or (cidr and self.network_error):
            self._queue.add(self._name)

    # Registration and status

    async def _register(self) -> None:
        labels = node_status.node_labels(self._name, self._engine)
        spec = {"podCIDR": self._settings.pod_cidr} if self._settings.pod_cidr else {}
        if spec:
            spec["podCIDRs"] = [self._settings.pod_cidr]
        if self._settings.virtual:
            labels |= self._settings.virtual.labels
            spec["taints"] = [TAINT]
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self._name, "labels": labels},
            "spec": spec,
            "status": await self._status({}),
        }
        try:
            node = await self._client.create(NODES, node)
            self._tell_news((), node["status"].get("conditions") or ())
        except ApiError as error:
            if not error.already_exists:
                raise
            meta = {"labels": labels}
            node = await self._client.patch(NODES, self._name, {"metadata": meta})
        await self._prepare_network(node)
        await self._write(node)

    async def _keep_status(self) -> None:
        while True:
            self._queue.add_after(
                self._name, self._retry or self._settings.node_status_update_frequency
            )
            await self._queue.get()
            try:
                await self._refresh()
                self._retry = 0.0
            except _API_ERRORS as error:
                log.info("node status not written node=%s error=%s", self._name, error)
                self._retry = min(self._retry * 2, _LAST_RETRY)
            except Exception:
                log.exception("node status failed node=%s", self._name)
            self._queue.done(self._name)

    async def _refresh(self) -> None:
        node = self.node
        if node is None:
            await self._register()
            return
        await self._prepare_network(node)
        await self._write(node)

    def engine_lost(self, why: str) -> None:
        """The engine cannot be reached; when it can be again, it may be without our network."""
        self.network_error = f"{_NO_NETWORK}{why}"
        self._queue.add(self._name)

    async def engine_connected(self) -> None:
        """The engine was reached (again)."""
        if self.node:
            await self._prepare_network(self.node)

    async def _prepare_network(self, node: Mapping) -> None:
        cidr = node["spec"].get("podCIDR")
        if not cidr or not self.network_error:
            return
        try:
            if self._network:
                await self._runtime.find_network(self._network)
            else:
                await self._runtime.ensure_network(self._name, cidr)
        except ENGINE_ERRORS as error:
            self.network_error = f"{_NO_NETWORK}{message_of(error)}"
            log.warning("no network for Pods node=%s error=%s", self._name, error)
            return
        self.network_error = ""
        self._queue.add(self._name)
        self._on_network()

    async def _status(self, old: Mapping) -> dict:
        problem, listed = self.network_error, []
        try:
            self._engine = await self._runtime.info()
            listed = await self._runtime.images()
        except ENGINE_ERRORS as error:
            problem = f"container runtime is down: {message_of(error)}"
        others = node_status.extended(old.get("capacity"))
        gone = dict.fromkeys(node_status.extended(old.get("allocatable")).keys() - others)
        status = {
            "capacity": {**others, **self.capacity},
            "allocatable": {**gone, **others, **self.allocatable},
            "conditions": node_status.node_conditions(
                old.get("conditions") or (),
                problem,
                self._clock.now(),
                pressure=self.memory_pressure,
            ),
            "addresses": [
                {"type": "InternalIP", "address": self._ip},
                {"type": "Hostname", "address": self._name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": node_status.node_info(self._engine),
        }
        return status | ({"images": node_status.images(listed)} if listed else {})

    async def _write(self, node: Mapping) -> None:
        old = node.get("status") or {}
        status = await self._status(old)
        known = {key: old.get(key) for key in status}
        due = self._written + self._settings.node_status_report_frequency
        same = node_status.without_heartbeat(known) == node_status.without_heartbeat(status)
        if same and self._clock.monotonic() < due:
            return
        await self._client.patch(
            NODES, self._name, {"status": status}, kind="strategic", subresource="status"
        )
        self._written = self._clock.monotonic()
        self._tell_news(old.get("conditions") or (), status["conditions"])

    def _tell_news(self, old: Iterable[Mapping], new: Iterable[Mapping]) -> None:
        for reason in node_status.news(old, new):
            self._tell(reason, f"Node {self._name} status is now: {reason}")

    def _tell(self, reason: str, message: str) -> None:
        self._recorder.event(self.reference, NORMAL, reason, message)

    # The Lease

    async def _keep_lease(self) -> None:
        interval, retry = self._settings.node_lease_renew_interval, _FIRST_RETRY
        while True:
            pause, next_retry = interval, _FIRST_RETRY
            try:
                await self._renew()
            except _API_ERRORS as error:
                self._lease = None
                log.info("lease not renewed node=%s error=%s", self._name, error)
                pause, next_retry = min(retry, interval), min(retry * 2, _LAST_RETRY)
            except Exception:
                self._lease = None
                log.exception("lease failed node=%s", self._name)
            retry = next_retry
            await self._clock.sleep(pause)

    async def _renew(self) -> None:
        if self._lease is None:
            self._lease = await self._find_lease()
        now = {"renewTime": self._clock.micro_timestamp()}
        await self._client.patch(LEASES, self._name, {"spec": now}, _LEASE_NAMESPACE)

    async def _find_lease(self) -> dict:
        try:
            return await self._client.get(LEASES, self._name, _LEASE_NAMESPACE)
        except ApiError as error:
            if not error.not_found:
                raise
        return await self._client.create(LEASES, self._new_lease())

    def _new_lease(self) -> dict:
        meta: dict = {"name": self._name, "namespace": _LEASE_NAMESPACE}
        if self.node:
            # The Lease goes with its Node.
            meta["ownerReferences"] = [
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "name": self._name,
                    "uid": self.node["metadata"]["uid"],
                }
            ]
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": self._settings.node_lease_duration_seconds,
            "renewTime": self._clock.micro_timestamp(),
        }
        return {"metadata": meta, "spec": spec}
