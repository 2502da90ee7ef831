"""What a kubelet tells of itself at `/metrics`, and of its containers at `/metrics/cadvisor`.

The second page has what `/metrics/resource` has not: how often a container's CPU limit made it
wait.  A period is a tenth of a second; in a throttled one the container had used up its share, and
wanted more.

Source: kubelet pkg/kubelet/metrics; cAdvisor, "Monitoring cAdvisor with Prometheus".  Left out:
runtime operations, PLEG, volumes; file systems and network of containers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from labkit.client import telemetry
from labkit.kubelet.instances import RUNNING
from labkit.kubelet.pod_state import PodState
from labkit.kubelet.stats import Sample, Usage

_LABELS = ["container", "image", "namespace", "pod"]
# name: type, words, value; a counter's name without its _total.
_CONTAINER: Mapping[str, tuple[type, str, Callable[[Sample], float]]] = {
    "container_cpu_usage_seconds": (
        CounterMetricFamily,
        "Cumulative cpu time consumed in seconds.",
        lambda got: got.cpu,
    ),
    "container_cpu_cfs_periods": (
        CounterMetricFamily,
        "Number of elapsed enforcement period intervals.",
        lambda got: got.periods,
    ),
    "container_cpu_cfs_throttled_periods": (
        CounterMetricFamily,
        "Number of throttled period intervals.",
        lambda got: got.throttled_periods,
    ),
    "container_cpu_cfs_throttled_seconds": (
        CounterMetricFamily,
        "Total time duration the container has been throttled.",
        lambda got: got.throttled,
    ),
    "container_memory_working_set_bytes": (
        GaugeMetricFamily,
        "Current working set in bytes.",
        lambda got: got.memory,
    ),
}


class KubeletMetrics:
    """The page of the kubelet of `node`; `known` are its Pods."""

    def __init__(self, node: str, known: Callable[[], Iterable[PodState]]) -> None:
        self._node, self._known = node, known
        self._page = telemetry.registry()
        self._page.register(self)

    def text(self) -> str:
        """The page."""
        return telemetry.text(self._page)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        """What runs now."""
        every = [one for state in self._known() for one in state.instances.values()]
        node = GaugeMetricFamily(
            "kubelet_node_name", "The node's name. The count is always 1.", labels=["node"]
        )
        node.add_metric([self._node], 1)
        yield node
        running = sum(one.is_sandbox and one.state == RUNNING for one in every)
        words = "Number of pods that have a running pod sandbox"
        yield GaugeMetricFamily("kubelet_running_pods", words, running)
        containers = GaugeMetricFamily(
            "kubelet_running_containers",
            "Number of containers currently running",
            labels=["container_state"],
        )
        states = Counter(one.state for one in every if not one.is_sandbox)
        for state, count in sorted(states.items()):
            containers.add_metric([state], count)
        yield containers


def cadvisor_text(usage: Usage) -> str:
    """`/metrics/cadvisor`."""
    page = CollectorRegistry()
    page.register(_Containers(usage))
    return telemetry.text(page)


class _Containers:
    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for name, (kind, words, value) in _CONTAINER.items():
            family = kind(name, words, labels=_LABELS)
            for one in self._usage.pods:
                for labels, got in _each(one.pod, one.containers):
                    # What has no CPU limit has no periods.
                    if got.periods or "_cfs_" not in name:
                        family.add_metric(labels, value(got))
            yield family


def _each(pod: Mapping, containers: Mapping) -> Iterator[tuple[list[str], Sample]]:
    meta = pod["metadata"]
    images = {one["name"]: one.get("image", "") for one in pod["spec"]["containers"]}
    for name, (_, got) in sorted(containers.items()):
        yield [name, images.get(name, ""), meta["namespace"], meta["name"]], got
