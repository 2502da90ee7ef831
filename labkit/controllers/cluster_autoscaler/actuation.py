"""Giving nodes back: taint, empty, delete.

All nodes of a batch are tainted before the first Pod is evicted, so that nothing moves from one of
them to another.  Pods leave by the eviction API, which their PodDisruptionBudgets can refuse; what
is refused is tried again for two minutes.  If a node cannot be emptied it gets its taint off again.

Source: core/scaledown/actuation (actuator, drain, softtaint), utils/taints.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from labkit.client import ApiError, Client, EventRecorder, Informer
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers.cluster_autoscaler.drainability import Drain
from labkit.controllers.cluster_autoscaler.scale_down import (
    DELETION_CANDIDATE,
    TO_BE_DELETED,
    Removal,
)
from labkit.controllers.cluster_autoscaler.seams import CloudProvider
from labkit.controllers.cluster_autoscaler.settings import ClusterAutoscalerSettings
from labkit.errors import LabkitError
from labkit.kube import objects, taints
from labkit.kube.resources import NODES, PODS

log = logging.getLogger(__name__)

_EVICTION_RETRY = 10.0  # seconds
_HEADROOM = 30.0  # seconds that a Pod may take beyond its grace period
_POLL = 5.0  # seconds between two looks whether the Pods have gone
_DEFAULT_GRACE = 30


class DrainError(LabkitError):
    """A node could not be emptied; the message is upstream's."""


class Actuator:
    """`deleting` are the nodes that go, and whether they are emptied first.

    `examine` says which Pods of a node have to move, on the cluster as it is then; `done` hears
    whether a node has gone.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        events: EventRecorder,
        provider: CloudProvider,
        settings: ClusterAutoscalerSettings,
        nodes: Informer,
        examine: Callable[[str], Drain],
        done: Callable[[bool], None],
    ) -> None:
        self._client, self._clock, self._events = client, clock, events
        self._provider, self._settings, self._nodes = provider, settings, nodes
        self._examine, self._done = examine, done
        self.deleting: dict[str, bool] = {}
        self._tasks: set[asyncio.Task] = set()

    async def stop(self) -> None:
        """Let go of all deletions.  Safe to repeat."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def start_deletion(self, found: Sequence[Removal]) -> None:
        """Taint these nodes, and see to the rest in the background."""
        for removal in found:
            self.deleting[removal.name] = bool(removal.pods)
        for removal in found:
            try:
                await self._mark(removal)
            except (ApiError, OSError) as error:
                await self._fail(removal, f"failed to mark the node as toBeDeleted: {error}")
                continue
            task = asyncio.create_task(self._delete(removal), name=f"delete {removal.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _delete(self, removal: Removal) -> None:
        try:
            await self._clock.sleep(self._settings.node_delete_delay_after_taint)
            await self._empty(removal)
            group = self._provider.node_group_for_node(removal.name)
            if group is None:
                raise DrainError("picked node that doesn't belong to a node group")
            await group.delete_nodes([removal.name])
        except (ApiError, OSError, DrainError) as error:
            what = "drain and delete node" if removal.pods else "delete empty node"
            await self._fail(removal, f"failed to {what}: {error}")
            return
        words = "nodes removed by cluster autoscaler"
        self._events.event(removal.node, NORMAL, "ScaleDown", words)
        del self.deleting[removal.name]
        self._done(True)

    async def _fail(self, removal: Removal, message: str) -> None:
        self._events.event(removal.node, WARNING, "ScaleDownFailed", message)
        try:
            await self._unmark(removal.name)
        except (ApiError, OSError) as error:
            log.warning("taint not removed node=%s error=%s", removal.name, error)
        del self.deleting[removal.name]
        self._done(False)

    # Emptying.

    async def _empty(self, removal: Removal) -> None:
        """Evict what has to move, and wait until it has gone.  Raises DrainError."""
        found = self._examine(removal.name)
        if found.blocking:
            raise DrainError(f"{objects.key(found.blocking)}: {found.reason}")
        if not found.pods:
            return
        if not removal.pods:
            raise DrainError("new pods got scheduled")
        errors = await asyncio.gather(*(self._evict(pod) for pod in found.pods))
        if refused := [error for error in errors if error]:
            raise DrainError(f"due to following errors: {'; '.join(refused)}")
        longest = max(self._grace(pod) for pod in found.pods)
        await self._gone(found.pods, removal.name, longest + _HEADROOM)

    def _grace(self, pod: Mapping) -> float:
        given = pod["spec"].get("terminationGracePeriodSeconds")
        seconds = _DEFAULT_GRACE if given is None else given
        return min(seconds, self._settings.max_graceful_termination_sec)

    async def _evict(self, pod: Mapping) -> str:
        """Evict one Pod; why that failed, empty if it did not."""
        self._events.event(pod, NORMAL, "ScaleDown", "deleting pod for node scale down")
        meta = pod["metadata"]
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
            "deleteOptions": {"gracePeriodSeconds": int(self._grace(pod))},
        }
        until = self._clock.monotonic() + self._settings.max_pod_eviction_time
        while True:
            try:
                await self._client.create(PODS, eviction, meta["namespace"], "eviction")
                return ""
            except ApiError as error:
                if error.not_found:
                    return ""
                last = error
            await self._clock.sleep(_EVICTION_RETRY)
            if self._clock.monotonic() >= until:
                words = "failed to delete pod for ScaleDown"
                self._events.event(pod, WARNING, "ScaleDownFailed", words)
                return (
                    f"failed to evict pod {objects.key(pod)} within allowed timeout "
                    f"(last error: {last})"
                )

    async def _gone(self, evicted: Iterable[Mapping], node: str, patience: float) -> None:
        left = list(evicted)
        until = self._clock.monotonic() + patience
        while True:
            left = [pod for pod in left if await self._is_there(pod)]
            if not left:
                return
            if self._clock.monotonic() >= until:
                raise DrainError(f"Failed to drain node {node}: pods remaining after timeout")
            await self._clock.sleep(_POLL)

    async def _is_there(self, pod: Mapping) -> bool:
        meta = pod["metadata"]
        try:
            found = await self._client.get(PODS, meta["name"], meta["namespace"])
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return found["metadata"]["uid"] == meta["uid"]

    # Marks on nodes.

    async def clean_up(self) -> None:
        """Take back what a cluster autoscaler before this one has begun (CleanAllToBeDeleted)."""
        for name, node in list(self._nodes.store.items()):
            if _has(node, TO_BE_DELETED):
                await self._unmark(name)

    async def _mark(self, removal: Removal) -> None:
        """Taint a node, and cordon it."""
        taint = self._taint(TO_BE_DELETED, taints.NO_SCHEDULE)
        await self._set_taint(removal.name, TO_BE_DELETED, [taint], unschedulable=True)
        words = "marked the node as toBeDeleted/unschedulable"
        self._events.event(removal.node, NORMAL, "ScaleDown", words)

    async def _unmark(self, name: str) -> None:
        await self._set_taint(name, TO_BE_DELETED, [], unschedulable=None)

    async def mark_candidates(self, names: Iterable[str], unneeded: Iterable[str]) -> None:
        """Let the scheduler avoid nodes that are unneeded, and no longer those that are needed."""
        wanted = set(unneeded)
        known = ((name, self._nodes.store.get(name)) for name in names)
        changes = [
            name
            for name, node in known
            if node is not None and _has(node, DELETION_CANDIDATE) != (name in wanted)
        ]
        taint = self._taint(DELETION_CANDIDATE, taints.PREFER_NO_SCHEDULE)
        for name in changes[: self._settings.max_bulk_soft_taint_count]:
            await self._set_taint(name, DELETION_CANDIDATE, [taint] if name in wanted else [])

    def _taint(self, key: str, effect: str) -> Mapping:
        return {"key": key, "value": str(int(self._clock.now())), "effect": effect}

    async def _set_taint(
        self, name: str, key: str, wanted: Sequence[Mapping], **spec: bool | None
    ) -> None:
        """Replace a node's taints of one key; nothing happens if the node has gone.

        Others write taints, too: a patch of what has changed meanwhile is refused, and made anew.
        """
        while True:
            try:
                node = await self._client.get(NODES, name)
                others = [each for each in node["spec"].get("taints") or () if each["key"] != key]
                version = {"resourceVersion": node["metadata"]["resourceVersion"]}
                patch = {"metadata": version, "spec": {**spec, "taints": [*others, *wanted]}}
                await self._client.patch(NODES, name, patch)
                return
            except ApiError as error:
                if error.not_found:
                    return
                if not error.conflict:
                    raise


def _has(node: Mapping, key: str) -> bool:
    return any(each["key"] == key for each in node["spec"].get("taints") or ())
