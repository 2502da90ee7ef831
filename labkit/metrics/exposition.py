"""What a kubelet says at `/metrics/resource`: Prometheus' text format, read into points.

Counters are cumulative CPU seconds; usage is made of two of them later.  A point's time is that of
its CPU counter, which the kubelet took when it read the counter, not when it was asked.

Source: Prometheus "Text-based format"; metrics-server pkg/scraper/client/resource.  Other than
there a counter of zero counts as a value: a container may have used no measurable CPU yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>.*)\})?\s*(?P<value>[^\s{}]+)(?:\s+(?P<at>-?\d+))?",
    re.ASCII,
)
_TYPE = re.compile(r"#\s*TYPE\s+(\S+)\s+(\w+)", re.ASCII)
_LABEL = re.compile(r'\s*(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)', re.ASCII)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n"}

# The metrics that matter, and which field of a point each fills.
_CONTAINER = {
    "container_cpu_usage_seconds_total": "cpu",
    "container_memory_working_set_bytes": "memory",
    "container_start_time_seconds": "start",
}
_NODE = {"node_cpu_usage_seconds_total": "cpu", "node_memory_working_set_bytes": "memory"}


class Point(NamedTuple):
    """One look at a container or node.

    `at` and `start` are Unix times in milliseconds (`start` 0 where unknown), `cpu` is what was
    used since `start`, in nanoseconds, `memory` the working set in bytes.
    """

    at: int
    cpu: int
    memory: int
    start: int = 0


class Sample(NamedTuple):
    """One line: `at` is its time in milliseconds, None where it has none."""

    name: str
    labels: dict[str, str]
    value: float
    at: int | None


@dataclass(slots=True)
class Batch:
    """What one round of scrapes brought: points by Node, and by Pod and container."""

    nodes: dict[str, Point] = field(default_factory=dict)
    pods: dict[tuple[str, str], dict[str, Point]] = field(default_factory=dict)


def parse(text: str) -> Iterator[Sample]:
    """The samples of a text.  Raises ValueError with the line that is none."""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield _sample(line, number)


def types(text: str) -> dict[str, str]:
    """The declared types: name → counter, gauge, histogram, summary or untyped."""
    return dict(_TYPE.findall(text))


def _sample(line: str, number: int) -> Sample:
    found = _SAMPLE.fullmatch(line)
    try:
        if not found:
            raise ValueError("no sample")
        labels, value = _labels(found["labels"] or ""), float(found["value"])
    except ValueError as error:
        raise ValueError(f"line {number} of the metrics is malformed: {line!r}") from error
    return Sample(found["name"], labels, value, int(found["at"]) if found["at"] else None)


def _labels(text: str) -> dict[str, str]:
    labels, end = {}, 0
    while end < len(text.rstrip()):
        found = _LABEL.match(text, end)
        if not found:
            raise ValueError(text)
        labels[found[1]] = _ESCAPE.sub(lambda one: _ESCAPED.get(one[1], one[1]), found[2])
        end = found.end()
    return labels


def decode(text: str, node: str, now: float) -> Batch:
    """The points of one kubelet's text; `now` (Unix seconds) stands in for a missing time.

    A Pod counts only if all its containers are complete.  Raises ValueError.
    """
    raw_node: dict[str, float] = {}
    raw_pods: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for sample in parse(text):
        if sample.name in _NODE:
            _put(raw_node, _NODE[sample.name], sample, now)
        elif sample.name in _CONTAINER:
            labels = sample.labels
            pod = raw_pods.setdefault((labels.get("namespace", ""), labels.get("pod", "")), {})
            container = pod.setdefault(labels.get("container", ""), {})
            _put(container, _CONTAINER[sample.name], sample, now)
    return _batch(node, raw_node, raw_pods)


def _put(raw: dict[str, float], field_name: str, sample: Sample, now: float) -> None:
    raw[field_name] = sample.value
    if field_name == "cpu":
        raw["at"] = now * 1000 if sample.at is None else sample.at


def _batch(
    node: str, raw_node: Mapping, raw_pods: Mapping[tuple[str, str], Mapping[str, Mapping]]
) -> Batch:
    batch = Batch()
    # A node without Pods may well use nothing that can be measured.
    if raw_node.keys() >= {"cpu", "memory"}:
        batch.nodes[node] = _point(raw_node)
    for key, containers in raw_pods.items():
        # A container without any working set has ended.
        if all("cpu" in raw and raw.get("memory") for raw in containers.values()):
            batch.pods[key] = {name: _point(raw) for name, raw in containers.items()}
    return batch


def _point(raw: Mapping[str, float]) -> Point:
    cpu, start = round(raw["cpu"] * 1e9), round(raw.get("start", 0) * 1000)
    return Point(int(raw["at"]), cpu, int(raw["memory"]), start)
