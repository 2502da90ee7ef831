"""A snapshot of the cluster to try things out on: what would fit where, if.

The same filters that decide, asked by somebody else: the cluster autoscaler wants to know whether
Pods would fit on nodes that do not exist yet, and whether those of a node would fit elsewhere.  It
hands in what its watches see (`changed`), tries something, and takes it back (`mark`, `revert`).

Nothing is summed up anew for a question: what is tried is a change of the cache like any other, so
that only the rows of nodes that it touches are computed again.

Source: cluster-autoscaler's simulator/clustersnapshot and PredicateChecker, which run
kube-scheduler's plugins in the same way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping

from labkit.kube import objects, pods
from labkit.kube.resources import (
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICES,
    STORAGE_CLASSES,
    Resource,
)
from labkit.scheduler.cache import Cache
from labkit.scheduler.needs import OWNERS, needs_of, owner_of
from labkit.scheduler.placement import Placer, PodClass
from labkit.scheduler.podview import CPU, MEMORY, PodView, amounts, pod_requests, view
from labkit.scheduler.table import Needs
from labkit.scheduler.volumes import Storage

_STORAGE = (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES)


class Snapshot:
    """The cluster, and what is tried on it.  `resources` are those whose changes it wants."""

    resources: tuple[Resource, ...] = (
        NODES, PODS, NAMESPACES, SERVICES, *OWNERS.values(), *_STORAGE,
    )  # fmt: skip

    def __init__(self) -> None:
        self._cache = Cache()
        # It places nothing, so that chance has no part in it.
        self._placer = Placer(self._cache, random.Random(0))
        self._objects: dict[str, Mapping] = {}  # the Pods on nodes, by uid
        others = (SERVICES, *OWNERS.values(), *_STORAGE)
        self._stores: dict[Resource, dict[str, Mapping]] = {each: {} for each in others}
        self._storage = Storage(*(self._stores[each] for each in _STORAGE), {})
        self._undo: list[Callable[[], object]] = []

    # What is.

    def changed(self, resource: Resource, old: Mapping | None, new: Mapping | None) -> None:
        """A watch has seen a change."""
        if resource == NODES:
            self._cache.set_node(old, new)
        elif resource == PODS:
            self._pod_changed(old, new)
        elif resource == NAMESPACES:
            self._cache.set_namespace(old, new)
        elif new is None:
            self._stores[resource].pop(objects.key(old), None)
        else:
            self._stores[resource][objects.key(new)] = new

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        self._cache.set_pod(old, new)
        uid = (new or old)["metadata"]["uid"]
        if self._cache.is_assumed(uid):
            self._objects[uid] = new
        else:
            self._objects.pop(uid, None)
        waits = new is not None and not pods.node_name(new) and not pods.is_terminal(new)
        wanted = _nominated(new) if waits else ""
        if wanted != self._cache.nomination(uid):
            self._cache.nominate(view(new or old), wanted)

    def pods(self, name: str) -> list[Mapping]:
        """The Pods on a node, those included that were placed there in thought."""
        info = self._cache.infos.get(name)
        return [self._objects[uid] for uid in info.pods] if info else []

    def share(self, found: Iterable[Mapping], node: Mapping) -> tuple[float, float]:
        """What Pods request together, as a share of the CPU and memory that a Node can allocate."""
        status = node.get("status") or {}
        room = amounts(status.get("allocatable") or status.get("capacity"))
        requests = [self._requests(pod) for pod in found]
        cpu, memory = (
            sum(each.get(name, 0) for each in requests) / room[name] if room.get(name) else 0.0
            for name in (CPU, MEMORY)
        )
        return cpu, memory

    def _requests(self, pod: Mapping) -> Mapping[str, int]:
        uid = pod["metadata"]["uid"]
        info = self._cache.infos.get(pods.node_name(pod))
        known = info.pods.get(uid) if info else None
        return known.requests if known else pod_requests(pod["spec"])

    # What if.

    def mark(self) -> int:
        """Where `revert` goes back to."""
        return len(self._undo)

    def revert(self, mark: int) -> None:
        """Take back all that was tried since."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def add_node(self, node: Mapping, daemons: Iterable[Mapping] = ()) -> None:
        """A Node joins, and some Pods are on it from the outset."""
        self._set_node(None, node)
        for pod in daemons:
            self.place(pod, node["metadata"]["name"])

    def set_node(self, node: Mapping) -> None:
        """A Node becomes another, such as one with a taint."""
        self._set_node(self._cache.infos[node["metadata"]["name"]].node, node)

    def _set_node(self, old: Mapping | None, new: Mapping | None) -> None:
        self._cache.set_node(old, new)
        self._undo.append(lambda: self._cache.set_node(new, old))

    def remove_pod(self, pod: Mapping) -> None:
        """A Pod leaves its node."""
        uid = pod["metadata"]["uid"]
        name = self._cache.node_of(uid)
        if name:
            known = self._cache.infos[name].pods[uid]
            self._cache.set_pod(pod, None)
            found = self._objects.pop(uid)
            self._undo.append(lambda: self._put(known, name, found))

    def place(self, pod: Mapping, name: str) -> None:
        """A Pod comes to a node, from wherever it is."""
        self.remove_pod(pod)
        self._put(view(_free(pod)), name, pod)
        self._undo.append(lambda: self._take(pod))

    def _put(self, seen: PodView, name: str, pod: Mapping) -> None:
        self._cache.assume(seen, name)
        self._objects[seen.uid] = pod

    def _take(self, pod: Mapping) -> None:
        self._cache.set_pod(pod, None)
        del self._objects[pod["metadata"]["uid"]]

    # Would it fit?

    def find(self, pod: Mapping, among: Collection[str] | None = None) -> str | None:
        """The first node that can take the Pod, of all or of those `among`; None if none can."""
        seen, needs, alike = self._alike(pod)
        if needs.volumes.blocked:
            return None
        enough = 1 if among is None else len(alike.names)
        places = alike.feasible(0, enough, self._cache.guests(seen))
        found = (alike.names[place] for place in places)
        return next((name for name in found if among is None or name in among), None)

    def refusal(self, pod: Mapping, name: str) -> tuple[str, ...]:
        """Why a node cannot take the Pod, in the scheduler's words; empty if it can."""
        seen, needs, alike = self._alike(pod)
        if needs.volumes.blocked:
            return needs.volumes.blocked.reasons
        guests = self._cache.guests(seen)
        if alike.can_take(name, guests):
            return ()
        return alike.refusals(guests)[name].reasons

    def _alike(self, pod: Mapping) -> tuple[PodView, Needs, PodClass]:
        free = _free(pod)
        seen = view(free)
        services = [
            each
            for each in self._stores[SERVICES].values()
            if each["metadata"]["namespace"] == seen.namespace
        ]
        needs = needs_of(free, seen, services, owner_of(free, self._owner), self._storage)
        return seen, needs, self._placer.alike(seen, needs)

    def _owner(self, kind: str, namespace: str, name: str) -> Mapping | None:
        return self._stores[OWNERS[kind]].get(f"{namespace}/{name}")


def _nominated(pod: Mapping) -> str:
    return (pod.get("status") or {}).get("nominatedNodeName") or ""


def _free(pod: Mapping) -> Mapping:
    """The Pod as if it had no node."""
    if not pods.node_name(pod):
        return pod
    return {**pod, "spec": {key: one for key, one in pod["spec"].items() if key != "nodeName"}}
