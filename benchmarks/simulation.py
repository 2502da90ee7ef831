"""The control plane in virtual time: the lesson's hour, and ten thousand Pods on a thousand nodes.

Each runs in a process of its own, so that its peak of memory is its own.  The Pods are those of
one Deployment: from nothing until its status says that all are Ready, and a minute of them at work.
"""

from __future__ import annotations

import logging
import multiprocessing
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from labkit.simulate import Scenario, Simulation
from labkit.simulate.cli import LESSON

NODES, PODS = 1000, 10_000
_MINUTE = 60
_TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {"name": "web", "image": "web", "resources": {"requests": {"cpu": "100m"}}},
        ]
    },
}
_DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": PODS,
        "selector": {"matchLabels": {"app": "web"}},
        "template": _TEMPLATE,
    },
}
_MANY = {
    "nodes": {"count": NODES, "cpu": "16", "memory": "64Gi"},
    "start": {"median": 2.5, "spread": 1.3},
    "load": [{"rate": 5000, "seconds": _MINUTE}],
    "manifests": [_DEPLOYMENT],
}


class Cost(NamedTuple):
    """Seconds by the clock on the wall and by that of the processor; the peak of memory, MiB."""

    wall: float
    processor: float
    peak: float

    def __str__(self) -> str:
        times = f"{self.wall:.1f} s, {self.processor:.1f} s of the processor"
        return f"{times}, peak {self.peak:,.0f} MiB"


def measure() -> Iterator[tuple[str, str]]:
    """(what, figure) one after the other."""
    yield "the lesson's hour, simulated", str(_alone(_lesson)[0])
    ready, minute = _alone(_many)
    yield f"{PODS:,} Pods on {NODES:,} nodes, Ready", str(ready)
    yield "a minute of them at work", str(minute)


def _alone(work: Callable[[], list[Cost]]) -> list[Cost]:
    # Events that a full queue drops are told as warnings: there are thousands.
    fresh, quiet = multiprocessing.get_context("spawn"), (logging.WARNING,)
    with ProcessPoolExecutor(1, fresh, logging.disable, quiet) as pool:
        return pool.submit(work).result()


def _lesson() -> list[Cost]:
    return [_cost(lambda: Simulation(Scenario.read(LESSON)).run())[1]]


def _many() -> list[Cost]:
    simulation, ready = _cost(lambda: Simulation(Scenario.read(_MANY)))
    _, minute = _cost(lambda: simulation.advance(_MINUTE))
    simulation.close()
    return [ready, minute]


def _cost(work: Callable) -> tuple[object, Cost]:
    """What `work` gives, and what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    took = time.perf_counter() - wall, time.process_time() - processor
    return found, Cost(*took, _peak())


def _peak() -> float:
    """The most memory that this process ever had, MiB (a child's ru_maxrss is its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
