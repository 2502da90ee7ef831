"""The map in words: the facts that its text face carries, and its one-line finding."""

from __future__ import annotations

from labkit.widgets.map_state import MapState, NodeSeen, PodSeen, PodState
from labkit.widgets.map_svg import in_bytes, in_cores, per_second
from labkit.widgets.traffic import Traffic


def finding(state: MapState) -> str:
    """`3 nodes, 30 Pods: 28 Ready, 2 Pending; 1 Service`."""
    nodes = [node for node in state.nodes if node.name]
    down = sum(not node.ready for node in nodes)
    text = _count(len(nodes), "node") + (f" ({down} NotReady)" if down else "")
    text += f", {_count(len(state.pods), 'Pod')}"
    counts = [f"{count} {one.value}" for one in PodState if (count := state.count(one))]
    text += f": {', '.join(counts)}" if counts else ""
    return f"{text}; {_count(len(state.services), 'Service')}"


def facts(state: MapState, traffic: Traffic) -> str:
    """All of it, a line for each node, Service and Pod that is not Ready."""
    lines = [finding(state)]
    lines += [_node(node) for node in state.nodes if node.name]
    for service in state.services:
        rate = traffic.to_service(service.key)
        flow = f", {per_second(rate)} new connections" if traffic.known else ""
        ports = ", ".join(service.ports)
        ready = f"{len(service.ready)} of {len(service.all)} endpoints ready"
        lines.append(f"  service {service.key} {service.type} {ports}: {ready}{flow}")
    lines += [_pod(pod) for pod in state.pods if pod.state is not PodState.READY]
    return "\n".join(lines)


def _node(node: NodeSeen) -> str:
    words = "Ready" if node.ready else "NotReady"
    words += ", cordoned" if node.cordoned else ""
    cpu = f"CPU {in_cores(node.cpu.requested)} of {in_cores(node.cpu.allocatable)}"
    memory = f"memory {in_bytes(node.memory.requested)} of {in_bytes(node.memory.allocatable)}"
    return f"  node {node.name} {words}: {_count(len(node.pods), 'Pod')}, {cpu}, {memory} requested"


def _pod(pod: PodSeen) -> str:
    where = f" on {pod.node}" if pod.node else ", on no node"
    return f"  pod {pod.key}: {pod.state.value} ({pod.status}){where}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
