"""The node lifecycle controller: notices nodes that stopped to answer, and taints them.

Every `node_monitor_period` each node is looked at: has its Lease been renewed, or its status?  One
that was silent for `node_monitor_grace_period` gets Ready=Unknown, its Pods are marked not ready
(so that Services stop to send requests there), and taints keep new Pods away.  The eviction of the
Pods that are there is another controller's (`tainteviction`), driven by the NoExecute taint set
here.

The time of the last heartbeat is when this controller saw it change, not what the node wrote: the
clocks of nodes need not agree.

Source: kube-controller-manager's nodelifecycle controller; documentation "Nodes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import node_health
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import conditions, pods
from labkit.kube.resources import LEASES, NODES, PODS

LEASE_NAMESPACE = "kube-node-lease"
BY_NODE = "node"


@dataclass(frozen=True)
class NodeLifecycleSettings:
    """Flags of kube-controller-manager, with its defaults (seconds, nodes per second)."""

    node_monitor_period: float = 5.0
    node_monitor_grace_period: float = 50.0
    node_startup_grace_period: float = 60.0
    node_eviction_rate: float = 0.1
    secondary_node_eviction_rate: float = 0.01
    unhealthy_zone_threshold: float = 0.55
    large_cluster_size_threshold: int = 50


class Heartbeat(NamedTuple):
    """By what a node shows that it lives."""

    lease: str | None  # renewTime
    posted: str | None  # the Ready condition's lastHeartbeatTime
    ready: str | None  # its status

    def is_later_than(self, other: Heartbeat) -> bool:
        """Whether the node has shown something new; Unknown is our own verdict, and none."""
        if self[:2] != other[:2]:
            return True
        return self.ready != other.ready and self.ready != "Unknown"


class NodeLifecycleController(SharingController):
    """Keeps conditions and taints of nodes true to their heartbeats."""

    name = "node-lifecycle-controller"
    component = "node-controller"

    def __init__(
        self,
        client: Client,
        clock: Clock,
        settings: NodeLifecycleSettings | None = None,
        informers: InformerFactory | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self.settings = settings or NodeLifecycleSettings()
        self._nodes = self.watch(NODES)
        self._leases = self.watch(LEASES, enqueue=False)
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(BY_NODE, index_by_node)
        self._heartbeats: dict[str, tuple[Heartbeat, float]] = {}  # what was seen, and since when
        self._was_ready: dict[str, bool] = {}
        self._next_eviction = 0.0  # monotonic seconds

    async def reconcile(self, key: str) -> float | None:
        """Judge one node; look again after the monitor period."""
        node = self._nodes.store.get(key)
        if node is None:
            self._heartbeats.pop(key, None)
            self._was_ready.pop(key, None)
            return None
        self._greet(node)
        if self._is_silent(node) and not _is_unknown(node):
            node = await self._set_unknown(node)
        await self._follow_readiness(node)
        wait = await self._taint(node)
        return min(wait, self.settings.node_monitor_period)

    # Is it alive?

    def _is_silent(self, node: Mapping) -> bool:
        name, now = node["metadata"]["name"], self.clock.monotonic()
        lease = self._leases.get(name, LEASE_NAMESPACE) or {}
        ready = conditions.get(node, "Ready") or {}
        beat = Heartbeat(
            (lease.get("spec") or {}).get("renewTime"),
            ready.get("lastHeartbeatTime"),
            ready.get("status"),
        )
        known, since = self._heartbeats.get(name, (None, now))
        if known is None or beat.is_later_than(known):
            since = now
        self._heartbeats[name] = beat, since
        settings = self.settings
        grace = settings.node_monitor_grace_period if ready else settings.node_startup_grace_period
        return now - since > grace

    async def _set_unknown(self, node: Mapping) -> Mapping:
        name = node["metadata"]["name"]
        found = node_health.unknown_conditions(node, self.clock.timestamp())
        status = {**(node.get("status") or {}), "conditions": found}
        updated = await self.client.update(NODES, {**node, "status": status}, "status")
        message = f"Node {name} status is now: NodeNotReady"
        self.events.event(updated, NORMAL, "NodeNotReady", message)
        return updated

    def _greet(self, node: Mapping) -> None:
        name = node["metadata"]["name"]
        if name not in self._was_ready:
            message = f"Node {name} event: Registered Node {name} in Controller"
            self.events.event(node, NORMAL, "RegisteredNode", message)

    # What follows.

    async def _follow_readiness(self, node: Mapping) -> None:
        """When a node ceases to be ready, so do its Pods: nobody else could say so of them."""
        name = node["metadata"]["name"]
        ready = node_health.ready_status(node) == "True"
        if not ready and self._was_ready.get(name, True):
            for pod in self._pods.by_index(BY_NODE, name):
                if pods.is_ready(pod):
                    await self._mark_not_ready(pod)
        self._was_ready[name] = ready

    async def _mark_not_ready(self, pod: Mapping) -> None:
        status = pod["status"]
        found = conditions.updated(
            status["conditions"], "Ready", "False", "", "", self.clock.timestamp()
        )
        fresh = {**pod, "status": {**status, "conditions": found}}
        try:
            await self.client.update(PODS, fresh, "status")
        except ApiError as error:
            if not error.not_found:
                raise
        else:
            self.events.event(pod, WARNING, "NodeNotReady", "Node is not ready")

    async def _taint(self, node: Mapping) -> float:
        """Write the taints; seconds until more may be written."""
        evict, wait = self._may_evict(node)
        wanted = node_health.with_taints(node, evict, self.clock.timestamp())
        present = (node.get("spec") or {}).get("taints") or []
        if wanted != present:
            spec = {key: value for key, value in node["spec"].items() if key != "taints"}
            if wanted:
                spec["taints"] = wanted
            await self.client.update(NODES, {**node, "spec": spec})
        return wait

    def _may_evict(self, node: Mapping) -> tuple[str | None, float]:
        """(the key of the NoExecute taint for the node or None, seconds until it may be set)."""
        never = float("inf")
        key = node_health.no_execute_key(node)
        if key is None:
            return None, never
        settings, nodes = self.settings, self._nodes.store.values()
        state = node_health.disruption(nodes, settings.unhealthy_zone_threshold)
        if state == node_health.FULL:
            return None, never
        if _has_no_execute(node):
            return key, never  # it is tainted already, perhaps with the other key
        rate = node_health.eviction_rate(
            state, len(nodes), settings.node_eviction_rate,
            settings.secondary_node_eviction_rate, settings.large_cluster_size_threshold,
        )  # fmt: skip
        now = self.clock.monotonic()
        if not rate or now < self._next_eviction:
            return None, self._next_eviction - now if rate else never
        self._next_eviction = now + 1 / rate
        return key, never


def index_by_node(pod: Mapping) -> tuple[str, ...]:
    """The Pod's node: an index function."""
    name = pods.node_name(pod)
    return (name,) if name else ()


def _is_unknown(node: Mapping) -> bool:
    ready = conditions.get(node, "Ready")
    return bool(ready) and ready["status"] == "Unknown"


def _has_no_execute(node: Mapping) -> bool:
    keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    present = (node.get("spec") or {}).get("taints") or ()
    return any(each["effect"] == "NoExecute" and each["key"] in keys for each in present)
