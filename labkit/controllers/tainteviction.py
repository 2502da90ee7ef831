"""The taint eviction controller: Pods leave nodes whose NoExecute taints they do not tolerate.

A toleration with `tolerationSeconds` lets a Pod stay for so long; every Pod gets such tolerations
of 300 s for not-ready and unreachable nodes by default, so that a short outage moves nothing.  The
time counts from the taint's `timeAdded`, which is in the API: a restart of this controller forgets
nothing.  The evicted Pod is deleted; its ReplicaSet makes another one elsewhere.

Source: kube-controller-manager's tainteviction controller; documentation "Taints and Tolerations",
section "Taint based Evictions".
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.controllers.node_health import eviction_delay
from labkit.controllers.nodelifecycle import BY_NODE, index_by_node
from labkit.kube import conditions, objects, pods, taints, times
from labkit.kube.resources import NODES, PODS


class TaintEvictionController(SharingController):
    """Evicts Pods from tainted nodes."""

    name = "taint-eviction-controller"
    workers = 8

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._nodes = self.watch(NODES, enqueue=False)
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(BY_NODE, index_by_node)
        self.on_change(self._nodes, self._node_changed)
        self.on_change(self._pods, self._pod_changed)
        self._scheduled: set[str] = set()  # keys of Pods that wait for their eviction
        self._first_seen: dict[tuple[str, str], float] = {}  # of taints without timeAdded

    async def reconcile(self, key: str) -> float | None:
        """Evict one Pod if its time has come; else say when it will."""
        pod = self._pods.store.get(key)
        node = self._nodes.get(pods.node_name(pod)) if pod else None
        if pod is None or node is None or objects.is_deleting(pod) or pods.is_terminal(pod):
            self._scheduled.discard(key)
            return None
        present = _no_execute(node)
        ages = [self._age(node, taint) for taint in present]
        delay = eviction_delay(present, pod["spec"].get("tolerations") or (), ages)
        if delay is None:
            self._cancel(key, pod)
            return None
        if delay > 0:
            self._scheduled.add(key)
            return delay
        self._scheduled.discard(key)
        await self._evict(key, pod)
        return None

    def _node_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        before, after = _no_execute(old), _no_execute(new)
        if before != after:
            for pod in self._pods.by_index(BY_NODE, (new or old)["metadata"]["name"]):
                self.queue.add(objects.key(pod))

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        node = self._nodes.get(pods.node_name(new or old))
        if _no_execute(node) or objects.key(new or old) in self._scheduled:
            self.queue.add(objects.key(new or old))

    def _age(self, node: Mapping, taint: Mapping) -> float:
        now = self.clock.now()
        if added := taint.get("timeAdded"):
            return now - times.parse(added)
        identity = (node["metadata"]["uid"], taint["key"])
        return now - self._first_seen.setdefault(identity, now)

    def _cancel(self, key: str, pod: Mapping) -> None:
        if key in self._scheduled:
            self._scheduled.discard(key)
            message = f"Cancelling deletion of Pod {key}"
            self.events.event(pod, NORMAL, "TaintManagerEviction", message)

    async def _evict(self, key: str, pod: Mapping) -> None:
        message = f"Marking for deletion Pod {key}"
        self.events.event(pod, NORMAL, "TaintManagerEviction", message)
        meta, status = pod["metadata"], pod.get("status") or {}
        found = conditions.updated(
            status.get("conditions"), "DisruptionTarget", "True", "DeletionByTaintManager",
            "Taint manager: deleting due to NoExecute taint", self.clock.timestamp(),
        )  # fmt: skip
        try:
            await self.client.update(
                PODS, {**pod, "status": {**status, "conditions": found}}, "status"
            )
            await self.client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            if not error.not_found:
                raise


def _no_execute(node: Mapping | None) -> list[Mapping]:
    present = ((node or {}).get("spec") or {}).get("taints") or ()
    return [taint for taint in present if taint["effect"] == taints.NO_EXECUTE]
