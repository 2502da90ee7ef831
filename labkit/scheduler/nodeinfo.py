"""What the scheduler knows of a Node: the Node, the Pods on it, and what is left.

A NodeInfo is kept up to date Pod by Pod, never summed up anew: with a thousand nodes and ten
thousand Pods, adding up would be the whole cost of scheduling.

Source: framework.NodeInfo of kube-scheduler.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from labkit.kube import objects
from labkit.scheduler.affinity import Terms
from labkit.scheduler.podview import CPU, MEMORY, PODS, Amounts, LabelSet, PodView, amounts, view


class NodeInfo:
    """A Node with the Pods that run there or are assumed to."""

    __slots__ = (
        "affine", "allocatable", "capacity", "groups", "images", "labels", "leaving", "name",
        "node", "nonzero_cpu", "nonzero_memory", "pods", "ports", "requested", "taints",
        "unschedulable", "version",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.node: Mapping | None = None  # None while only Pods speak of it
        self.pods: dict[str, PodView] = {}
        self.requested: dict[str, int] = {}
        self.nonzero_cpu = self.nonzero_memory = 0
        self.ports: Counter[tuple[str, str, int]] = Counter()
        # How many Pods of a namespace have which labels; those that are being deleted apart.
        self.groups: Counter[tuple[str, LabelSet]] = Counter()
        self.leaving: Counter[tuple[str, LabelSet]] = Counter()
        self.affine: Counter[Terms] = Counter()  # how many Pods have which affinity to others
        self.version = 0  # grows with every change of the Node itself
        self.set_node(None)

    def set_node(self, node: Mapping | None) -> None:
        """Take over a new version of the Node, or its disappearance."""
        self.node = node
        self.version += 1
        spec, status = (node or {}).get("spec") or {}, (node or {}).get("status") or {}
        self.labels: Mapping[str, str] = objects.labels(node) if node else {}
        self.taints: list[Mapping] = spec.get("taints") or []
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable: Amounts = amounts(status.get("allocatable") or status.get("capacity"))
        # Allocatable CPU (millicores) and memory (bytes).
        self.capacity = self.allocatable.get(CPU, 0), self.allocatable.get(MEMORY, 0)
        self.images: dict[str, int] = {
            name: image.get("sizeBytes") or 0
            for image in status.get("images") or ()
            for name in image.get("names") or ()
        }

    def add(self, pod: PodView) -> None:
        """A Pod was placed here; one that is here already is replaced."""
        self.remove(pod.uid)
        self.pods[pod.uid] = pod
        self._count(pod, 1)

    def remove(self, uid: str) -> None:
        """A Pod has gone; nothing happens if it was not here."""
        if pod := self.pods.pop(uid, None):
            self._count(pod, -1)

    def _count(self, pod: PodView, sign: int) -> None:
        for name, amount in pod.requests.items():
            self.requested[name] = self.requested.get(name, 0) + sign * amount
        self.nonzero_cpu += sign * pod.nonzero[0]
        self.nonzero_memory += sign * pod.nonzero[1]
        for port in pod.ports:
            _count_one(self.ports, port, sign)
        counted = self.leaving if pod.deleting else self.groups
        _count_one(counted, (pod.namespace, pod.label_set), sign)
        if pod.terms:
            _count_one(self.affine, pod.terms, sign)

    def copy(self) -> NodeInfo:
        """Another NodeInfo of the same state, to try something out on."""
        twin = NodeInfo.__new__(NodeInfo)
        for name in NodeInfo.__slots__:
            setattr(twin, name, getattr(self, name))
        for name in ("pods", "requested", "ports", "groups", "leaving", "affine"):
            setattr(twin, name, getattr(self, name).copy())
        return twin

    def free(self, name: str) -> int:
        """What is left of a resource."""
        used = len(self.pods) if name == PODS else self.requested.get(name, 0)
        return self.allocatable.get(name, 0) - used


def _count_one(counter: Counter, item: object, sign: int) -> None:
    counter[item] += sign
    if not counter[item]:
        del counter[item]


def node_info(node: Mapping, pods: Iterable[Mapping] = ()) -> NodeInfo:
    """A NodeInfo from objects of the API: a Node and the Pods on it."""
    info = NodeInfo(node["metadata"]["name"])
    info.set_node(node)
    for pod in pods:
        info.add(view(pod))
    return info
