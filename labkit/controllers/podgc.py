"""The Pod garbage collector: Pods that nobody else will ever remove.

Pods bound to a node that no longer exists (no kubelet will confirm their end), Pods that were being
deleted before they got a node, and ended Pods beyond a threshold, oldest first.

Source: kube-controller-manager's podgc controller.  Left out: Pods on nodes tainted out-of-service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import conditions, objects, pods
from labkit.kube.resources import NODES, PODS

PERIOD = 20.0  # seconds (gcCheckPeriod)
QUARANTINE = 40.0  # seconds that a node must be absent before its Pods go (quarantineTime)
_ALL = "all"


class PodGCController(SharingController):
    """Looks at all Pods every 20 s."""

    name = "pod-garbage-collector-controller"
    component = "pod-garbage-collector"

    def __init__(
        self,
        client: Client,
        clock: Clock,
        terminated_pod_gc_threshold: int = 12500,
        informers: InformerFactory | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self.threshold = terminated_pod_gc_threshold
        self._pods = self.watch(PODS, enqueue=False)
        self._nodes = self.watch(NODES, enqueue=False)
        self._absent: dict[str, float] = {}  # nodes that Pods name, and since when they are missed

    async def start(self) -> None:
        """As `Controller.start`; the first look is at once."""
        await super().start()
        self.queue.add(_ALL)

    async def reconcile(self, key: str) -> float:
        """Remove what has to go."""
        everything = list(self._pods.store.values())
        for pod in surplus(everything, self.threshold):
            await self._remove(pod)
        gone = await self._gone_nodes(everything)
        for pod in everything:
            if pods.node_name(pod) in gone:
                await self._remove_orphan(pod)
            elif objects.is_deleting(pod) and not pods.node_name(pod):
                await self._remove(pod)
        return PERIOD

    async def _gone_nodes(self, everything: Iterable[Mapping]) -> set[str]:
        """Names of nodes that Pods are bound to and that have been absent for the quarantine."""
        now = self.clock.monotonic()
        named = {pods.node_name(pod) for pod in everything} - {""}
        missing = {name for name in named if name not in self._nodes.store}
        self._absent = {name: self._absent.get(name, now) for name in missing}
        due = [name for name, since in self._absent.items() if now - since >= QUARANTINE]
        return {name for name in due if not await self._exists(name)}

    async def _exists(self, name: str) -> bool:
        try:
            await self.client.get(NODES, name)
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return True

    async def _remove_orphan(self, pod: Mapping) -> None:
        """Say that the Pod has failed, and why, then remove it."""
        if not pods.is_terminal(pod):
            status = pod.get("status") or {}
            found = conditions.updated(
                status.get("conditions"), "DisruptionTarget", "True", "DeletionByPodGC",
                "PodGC: node no longer exists", self.clock.timestamp(),
            )  # fmt: skip
            fresh = {**status, "phase": "Failed", "conditions": found}
            try:
                await self.client.update(PODS, {**pod, "status": fresh}, "status")
            except ApiError as error:
                if error.not_found:
                    return
                raise
        await self._remove(pod)

    async def _remove(self, pod: Mapping) -> None:
        meta = pod["metadata"]
        try:
            await self.client.delete(
                PODS, meta["name"], meta["namespace"], grace_period_seconds=0, uid=meta["uid"]
            )
        except ApiError as error:
            if not error.not_found and not error.conflict:
                raise


def surplus(everything: Iterable[Mapping], threshold: int) -> list[Mapping]:
    """The ended Pods beyond `threshold`, oldest first; none if the threshold is not positive."""
    if threshold <= 0:
        return []
    ended = [pod for pod in everything if pods.is_terminal(pod) and not objects.is_deleting(pod)]
    ended.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", objects.key(pod)))
    return ended[: max(0, len(ended) - threshold)]
