"""Resource usage of a node's Pods: `/metrics/resource` and `/stats/summary`.

Every request takes one sample of each running container from the engine.  The node's usage is the
sum of its containers', as in kind, where a node is itself a container: several nodes share this
machine, and what others do on it is not theirs.  CPU time is a counter and never goes down: what
ended containers used stays counted.

Source: kubelet server/metrics (resource_metrics.go), k8s.io/kubelet stats/v1alpha1.  Left out: file
systems, network, page faults, pressure stalls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labkit.clock import Clock
from labkit.kube import times
from labkit.kubelet.instances import RUNNING, Instance
from labkit.kubelet.pod_state import PodState
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds since the container's start, working set in bytes, and what its CPU limit did."""

    cpu: float
    memory: int
    at: float = 0.0  # Unix seconds
    periods: int = 0
    throttled_periods: int = 0
    throttled: float = 0.0  # seconds


@dataclass(frozen=True, slots=True)
class PodUsage:
    """One Pod: each running container's sample, and the Pod's sum (with its sandbox)."""

    pod: Mapping
    containers: Mapping[str, tuple[Instance, Sample]]
    total: Sample


@dataclass(frozen=True, slots=True)
class Usage:
    """One node at one moment."""

    node: Sample
    pods: tuple[PodUsage, ...] = field(default=())


def sample(stats: Mapping, at: float) -> Sample:
    """The engine's answer as a Sample; the working set leaves out inactive page cache."""
    memory = stats.get("memory_stats") or {}
    details = memory.get("stats") or {}
    inactive = details.get("total_inactive_file", details.get("inactive_file", 0))
    used = memory.get("usage") or 0
    spent = stats.get("cpu_stats") or {}
    cpu, held = (spent.get("cpu_usage") or {}).get("total_usage") or 0, spent.get("throttling_data")
    held = {"periods": 0, "throttled_periods": 0, "throttled_time": 0, **(held or {})}
    return Sample(
        cpu / 1e9,
        max(0, used - inactive),
        at,
        held["periods"],
        held["throttled_periods"],
        held["throttled_time"] / 1e9,
    )


class Meter:
    """Measures, and remembers the CPU time of containers that have ended."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock
        self._last: dict[str, float] = {}  # CPU seconds by container id
        self._ended = 0.0

    async def measure(self, states: Iterable[PodState]) -> Usage:
        """Sample all running containers."""
        states = list(states)
        running = [
            one for state in states for one in state.instances.values() if one.state == RUNNING
        ]
        taken = await asyncio.gather(*(self._take(one.id) for one in running))
        samples = {one.id: got for one, got in zip(running, taken, strict=True) if got}
        return Usage(self._node(samples), tuple(_pod_usages(states, samples, self._clock.now())))

    async def _take(self, container_id: str) -> Sample | None:
        try:
            return sample(await self._runtime.stats(container_id), self._clock.now())
        except ENGINE_ERRORS:
            return None  # ended meanwhile

    def _node(self, samples: Mapping[str, Sample]) -> Sample:
        for gone in self._last.keys() - samples.keys():
            self._ended += self._last.pop(gone)
        for container_id, got in samples.items():
            self._last[container_id] = max(got.cpu, self._last.get(container_id, 0.0))
        memory = sum(got.memory for got in samples.values())
        return Sample(self._ended + sum(self._last.values()), memory, self._clock.now())


def _pod_usages(
    states: Iterable[PodState], samples: Mapping[str, Sample], now: float
) -> Iterable[PodUsage]:
    for state in states:
        own = [one for one in state.instances.values() if one.id in samples]
        if not own:
            continue
        cpu = sum(samples[one.id].cpu for one in own)
        memory = sum(samples[one.id].memory for one in own)
        containers = {one.name: (one, samples[one.id]) for one in own if not one.is_sandbox}
        yield PodUsage(state.pod, containers, Sample(cpu, memory, now))


_HELP = {
    "container_cpu_usage_seconds_total": (
        "counter",
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
    ),
    "container_memory_working_set_bytes": (
        "gauge",
        "[STABLE] Current working set of the container in bytes",
    ),
    "container_start_time_seconds": (
        "gauge",
        "[STABLE] Start time of the container since unix epoch in seconds",
    ),
    "node_cpu_usage_seconds_total": (
        "counter",
        "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
    ),
    "node_memory_working_set_bytes": (
        "gauge",
        "[STABLE] Current working set of the node in bytes",
    ),
    "pod_cpu_usage_seconds_total": (
        "counter",
        "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
    ),
    "pod_memory_working_set_bytes": (
        "gauge",
        "[STABLE] Current working set of the pod in bytes",
    ),
    "resource_scrape_error": (
        "gauge",
        "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
    ),
}


def prometheus_text(usage: Usage) -> str:
    """`/metrics/resource` in Prometheus' text format, with timestamps in milliseconds."""
    lines: dict[str, list[str]] = {name: [] for name in _HELP}

    def add(name: str, labels: str, value: float, at: float) -> None:
        lines[name].append(f"{name}{labels} {value} {int(at * 1000)}")

    for one in usage.pods:
        meta = one.pod["metadata"]
        where = f'namespace="{meta["namespace"]}",pod="{meta["name"]}"'
        for name, (run, got) in sorted(one.containers.items()):
            labels = f'{{container="{name}",{where}}}'
            add("container_cpu_usage_seconds_total", labels, got.cpu, got.at)
            add("container_memory_working_set_bytes", labels, got.memory, got.at)
            add("container_start_time_seconds", labels, run.started, got.at)
        add("pod_cpu_usage_seconds_total", f"{{{where}}}", one.total.cpu, one.total.at)
        add("pod_memory_working_set_bytes", f"{{{where}}}", one.total.memory, one.total.at)
    add("node_cpu_usage_seconds_total", "", usage.node.cpu, usage.node.at)
    add("node_memory_working_set_bytes", "", usage.node.memory, usage.node.at)
    lines["resource_scrape_error"].append("resource_scrape_error 0")
    return "".join(_family(name, rows) for name, rows in lines.items() if rows)


def _family(name: str, rows: list[str]) -> str:
    kind, text = _HELP[name]
    return "\n".join([f"# HELP {name} {text}", f"# TYPE {name} {kind}", *rows]) + "\n"


def summary(usage: Usage, node: str) -> dict:
    """`/stats/summary`, as far as it is about CPU and memory."""
    return {
        "node": {"nodeName": node, **_amounts(usage.node)},
        "pods": [
            {
                "podRef": {key: one.pod["metadata"][key] for key in ("name", "namespace", "uid")},
                "containers": [
                    {"name": name, "startTime": times.rfc3339(run.started), **_amounts(got)}
                    for name, (run, got) in sorted(one.containers.items())
                ],
                **_amounts(one.total),
            }
            for one in usage.pods
        ],
    }


def _amounts(got: Sample) -> dict:
    stamp = times.rfc3339(got.at)
    return {
        "cpu": {"time": stamp, "usageCoreNanoSeconds": round(got.cpu * 1e9)},
        "memory": {"time": stamp, "workingSetBytes": got.memory},
    }
