"""API objects → what the map shows.  Pure.

A Pod's state is one of six, told from what `kubectl get pods` says of it; its STATUS is kubectl's
own word.  A node's requests are those of all Pods on it that have not ended, whatever namespaces
the map shows, for the scheduler counts these too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from labkit.apiserver.tables.pods import cells
from labkit.kube import conditions, objects, pods, resourcelist
from labkit.kube.quantity import parse_quantity

SERVICE_NAME = "kubernetes.io/service-name"
#: Namespaces of the cluster itself; local-path-storage is kind's.
SYSTEM = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")


class PodState(Enum):
    """What the map tells apart; the value is its name."""

    READY = "Ready"
    NOT_READY = "Running, not ready"
    PENDING = "Pending"
    TERMINATING = "Terminating"
    FAILING = "Failing"
    COMPLETED = "Completed"


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A Pod; `status`, `ready` and `restarts` as kubectl says them."""

    key: str
    node: str
    state: PodState
    status: str
    ready: str
    restarts: str
    address: str

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Share:
    """How much of what a node can give its Pods request (cores, bytes)."""

    requested: float
    allocatable: float

    @property
    def part(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.requested / self.allocatable) if self.allocatable else 0.0


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node and the shown Pods on it; `name` is empty for Pods that have no node yet."""

    name: str
    ready: bool
    cordoned: bool
    cpu: Share
    memory: Share
    pods: tuple[PodSeen, ...]


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """A Service; `ready` and `all` are addresses of its endpoints."""

    key: str
    type: str
    ports: tuple[str, ...]
    ready: tuple[str, ...]
    all: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]


@dataclass(frozen=True, slots=True)
class MapState:
    """All of it.  `namespaces` are those that there are to choose from."""

    nodes: tuple[NodeSeen, ...]
    services: tuple[ServiceSeen, ...]
    namespaces: tuple[str, ...]

    @property
    def pods(self) -> list[PodSeen]:
        """All shown Pods."""
        return [pod for node in self.nodes for pod in node.pods]

    def count(self, state: PodState) -> int:
        """How many shown Pods are in a state."""
        return sum(pod.state is state for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Objects:
    """What the API server said."""

    nodes: tuple[Mapping, ...] = ()
    pods: tuple[Mapping, ...] = ()
    services: tuple[Mapping, ...] = ()
    slices: tuple[Mapping, ...] = ()


def map_state(seen: Objects, now: float, namespace: str = "") -> MapState:
    """What the map shows of one namespace, or without one of all but the cluster's own."""
    running = [pod for pod in seen.pods if not pods.is_terminal(pod)]
    shown = sorted(
        (one for one in seen.pods if _is_shown(one, namespace)),
        key=lambda pod: objects.key(pod),
    )
    by_node: dict[str, list[PodSeen]] = {}
    for pod in shown:
        by_node.setdefault(pods.node_name(pod), []).append(pod_seen(pod, now))
    nodes = [
        _node(node, running, by_node.pop(node["metadata"]["name"], []))
        for node in sorted(seen.nodes, key=_natural)
    ]
    nothing = Share(0.0, 0.0)
    nodes += [
        NodeSeen(name, False, False, nothing, nothing, tuple(left))
        for name, left in sorted(by_node.items())
    ]
    services = [
        _service(one, seen.slices)
        for one in sorted(seen.services, key=objects.key)
        if _is_shown(one, namespace) and objects.key(one) != "default/kubernetes"
    ]
    return MapState(tuple(nodes), tuple(services), _namespaces(seen))


def pod_seen(pod: Mapping, now: float) -> PodSeen:
    """A Pod as the map shows it."""
    _, ready, status, restarts, *_ = cells(pod, now)
    return PodSeen(
        key=objects.key(pod),
        node=pods.node_name(pod),
        state=pod_state(pod, status),
        status=status,
        ready=ready,
        restarts=restarts.partition(" ")[0],
        address=(pod.get("status") or {}).get("podIP") or "",
    )


def pod_state(pod: Mapping, status: str) -> PodState:
    """The state of a Pod whose STATUS is `status`."""
    if objects.is_deleting(pod):
        return PodState.TERMINATING
    phase = pods.phase(pod)
    if phase == "Succeeded":
        return PodState.COMPLETED
    if phase in ("Failed", "Unknown"):
        return PodState.FAILING
    if pods.is_ready(pod):
        return PodState.READY
    if _is_failing(status):
        return PodState.FAILING
    return PodState.PENDING if phase == "Pending" else PodState.NOT_READY


def _is_failing(status: str) -> bool:
    """Whether a STATUS is bad news: a back-off, or an error (`Init:0/1` and the like are not)."""
    word = status.rpartition(":")[2]
    return any(part in word for part in ("BackOff", "Err", "Error", "Invalid", "OOMKilled"))


def _node(node: Mapping, running: Iterable[Mapping], shown: Iterable[PodSeen]) -> NodeSeen:
    name = node["metadata"]["name"]
    status = node.get("status") or {}
    allocatable = status.get("allocatable") or status.get("capacity") or {}
    requests = [
        resourcelist.pod_requests(pod["spec"]) for pod in running if pods.node_name(pod) == name
    ]

    def share(resource: str) -> Share:
        total = sum(parse_quantity(each[resource]) for each in requests if resource in each)
        return Share(float(total), float(parse_quantity(allocatable.get(resource, "0"))))

    return NodeSeen(
        name=name,
        ready=conditions.is_true(node, "Ready"),
        cordoned=bool((node.get("spec") or {}).get("unschedulable")),
        cpu=share("cpu"),
        memory=share("memory"),
        pods=tuple(shown),
    )


def _service(service: Mapping, slices: Iterable[Mapping]) -> ServiceSeen:
    meta, spec = service["metadata"], service["spec"]
    ready, known = set(), set()
    for slice_ in slices:
        mine = objects.labels(slice_).get(SERVICE_NAME) == meta["name"]
        if not mine or slice_["metadata"]["namespace"] != meta["namespace"]:
            continue
        for endpoint in slice_.get("endpoints") or ():
            known.add(endpoint["addresses"][0])
            if (endpoint.get("conditions") or {}).get("ready") in (True, None):
                ready.add(endpoint["addresses"][0])
    kind = spec.get("type", "ClusterIP")
    return ServiceSeen(
        key=objects.key(service),
        type="Headless" if spec.get("clusterIP") == "None" else kind,
        ports=tuple(_port(port) for port in spec.get("ports") or ()),
        ready=tuple(sorted(ready)),
        all=tuple(sorted(known)),
    )


def _port(port: Mapping) -> str:
    return f":{port['port']}" + (f" → {port['nodePort']}" if port.get("nodePort") else "")


def _is_shown(obj: Mapping, namespace: str) -> bool:
    mine = obj["metadata"].get("namespace", "")
    return mine == namespace if namespace else mine not in SYSTEM


def _namespaces(seen: Objects) -> tuple[str, ...]:
    found = {one["metadata"].get("namespace", "") for one in (*seen.pods, *seen.services)}
    return tuple(sorted(found | {"default"}))


def _natural(node: Mapping) -> list[tuple[int, str]]:
    """worker2 before worker10: runs of digits count as numbers."""
    parts = re.findall(r"\d+|\D+", node["metadata"]["name"])
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
