"""What is simulated: manifests, nodes, an application, a load, and what goes wrong.

    name: the lesson
    seed: 1
    minutes: 20
    nodes: {count: 3, cpu: "2", memory: 4Gi}
    application: {cpu_ms: 20}
    load:
      - {rate: 5, seconds: 60}
      - {from: 5, to: 60, seconds: 120}
    manifests: |
      apiVersion: apps/v1
      ...

The manifests are Kubernetes' own; exactly one Deployment of them gets the load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from labkit.errors import UsageError
from labkit.load import profile
from labkit.load.profile import Profile
from labkit.simulate import machines
from labkit.simulate.application import Application
from labkit.simulate.nodes import Delay

if TYPE_CHECKING:
    from labkit.kubelet.virtual import VirtualNode

_EXAMPLE = "An example: labkit simulate --example"


@dataclass(frozen=True, slots=True)
class Nodes:
    """The machines that are always there: all alike.  `price` is dollars per hour for each."""

    count: int = 3
    cpu: str = "2"
    memory: str = "4Gi"
    pods: str = "110"
    price: float = 0.0

    @property
    def capacity(self) -> dict[str, str]:
        """status.capacity of each."""
        return {"cpu": self.cpu, "memory": self.memory, "pods": self.pods}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and when (seconds): `node-lost` loses a node for good, `metrics-missing`
    takes the metrics away for some seconds.
    """

    at: float
    kind: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Where in their periods two of the cluster's clocks are at the beginning: seconds until the
    Pods are measured, and until the autoscalers look.
    """

    metrics: float
    autoscaler: float


FAULTS = ("node-lost", "metrics-missing")


@dataclass(frozen=True)
class Scenario:
    """One simulation, all of it: the same scenario gives the same numbers."""

    manifests: Sequence[Mapping]
    load: Profile
    seconds: float
    seed: int = 1
    name: str = ""
    nodes: Nodes = field(default_factory=Nodes)
    application: Application = field(default_factory=Application)
    start: Delay = field(default_factory=lambda: Delay(2.0))  # from being bound to Ready
    stop: Delay = field(default_factory=lambda: Delay(1.0))  # from being deleted to gone
    noisy: bool = False  # whether requests come at random moments, or evenly
    settings: Mapping[str, float] = field(default_factory=dict)
    phase: Phase | None = None  # as it comes
    faults: Sequence[Fault] = ()
    cluster_autoscaler: machines.ClusterAutoscaling | None = None
    virtual_nodes: Sequence[VirtualNode] = ()

    def with_seed(self, seed: int) -> Scenario:
        """The same with other chances."""
        return replace(self, seed=seed)

    @classmethod
    def read(cls, text: str | Path | Mapping) -> Scenario:
        """From YAML, the path of a file, or what YAML would give.  Raises UsageError."""
        if isinstance(text, Path):
            text = text.read_text()
        given = yaml.safe_load(text) if isinstance(text, str) else text
        if not isinstance(given, Mapping):
            raise UsageError("This is no scenario.", "A scenario is a mapping.", _EXAMPLE)
        return _scenario(dict(given))


def _scenario(given: dict[str, Any]) -> Scenario:
    known = {
        "manifests": _manifests,
        "load": _load,
        "nodes": lambda part: _part(Nodes, part, "nodes"),
        "application": lambda part: _part(Application, part, "application"),
        "start": lambda part: _part(Delay, part, "start"),
        "stop": lambda part: _part(Delay, part, "stop"),
        "phase": lambda part: _part(Phase, part, "phase"),
        "faults": lambda parts: [_fault(part) for part in parts],
        "cluster_autoscaler": lambda part: machines.read(part, given.get("nodes") or {}),
        "virtual_nodes": lambda parts: [_virtual_node(part) for part in parts],
    }
    if "minutes" in given:
        given["seconds"] = float(given.pop("minutes")) * 60
    for name in ("manifests", "load"):
        if name not in given:
            raise UsageError(f"The scenario has no {name}.", "It cannot do without.", _EXAMPLE)
    given = {name: known.get(name, lambda part: part)(part) for name, part in given.items()}
    given.setdefault("seconds", given["load"].duration)
    return _part(Scenario, given, "scenario")


def _part(kind: type, given: Mapping[str, Any], what: str) -> Any:
    names = [one.name for one in fields(kind)]
    for name in given:
        if name not in names:
            raise UsageError(
                f"There is no {name!r} in {what}.", f"There are {', '.join(names)}.", _EXAMPLE
            )
    return kind(**given)


def _manifests(given: str | Sequence[Mapping]) -> list[Mapping]:
    found = yaml.safe_load_all(given) if isinstance(given, str) else given
    return [one for one in found if one]


def _fault(given: Mapping[str, Any]) -> Fault:
    found = _part(Fault, given, "a fault")
    if found.kind not in FAULTS:
        raise UsageError(
            f"There is no fault {found.kind!r}.", f"There are {', '.join(FAULTS)}.", _EXAMPLE
        )
    return found


def _virtual_node(given: str | Mapping[str, Any]) -> VirtualNode:
    from labkit.kubelet.virtual import CAPACITY_TYPES, VirtualNode

    part = {"capacity_type": given} if isinstance(given, str) else given
    found = _part(VirtualNode, part, "a virtual node")
    if found.capacity_type not in CAPACITY_TYPES:
        raise UsageError(
            f"There is no virtual node {found.capacity_type!r}.",
            f"There are {' and '.join(CAPACITY_TYPES)}.",
            _EXAMPLE,
        )
    return found


def _load(given: Sequence[Mapping[str, Any]]) -> Profile:
    parts = [_piece(dict(part)) for part in given]
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    return whole


def _piece(given: dict[str, Any]) -> Profile:
    if {"rate", "seconds"} == given.keys():
        return profile.step(given["rate"], given["seconds"])
    if {"from", "to", "seconds"} == given.keys():
        return profile.ramp(given["from"], given["to"], given["seconds"])
    if {"base", "peak", "at", "width", "seconds"} == given.keys():
        return profile.spike(**given)
    raise UsageError(
        f"A piece of load cannot have {', '.join(given)}.",
        "It has rate and seconds; or from, to and seconds; or base, peak, at, width and seconds.",
        _EXAMPLE,
    )
