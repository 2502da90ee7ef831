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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from labkit.controllers.manager import ControllerManagerSettings
from labkit.errors import UsageError
from labkit.load.profile import Profile, check_noise
from labkit.simulate import faults, fields, loads, machines
from labkit.simulate.application import Application
from labkit.simulate.faults import Fault
from labkit.simulate.loads import Noise
from labkit.simulate.nodes import Delay

if TYPE_CHECKING:
    from labkit.kubelet.virtual import VirtualNode


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
class Phase:
    """Where in their periods two of the cluster's clocks are at the beginning: seconds until the
    Pods are measured, and until the autoscalers look.
    """

    metrics: float
    autoscaler: float


@dataclass(frozen=True)
class Settings(ControllerManagerSettings):
    """Flags of kube-controller-manager and of metrics-server, in snake case."""

    metric_resolution: float = 15.0


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
    noise: Noise | None = None  # of the load, second by second
    noisy: bool = False  # whether requests come at random moments, or evenly
    settings: Mapping[str, float] = field(default_factory=dict)
    phase: Phase | None = None  # as it comes
    faults: Sequence[Fault] = ()
    cluster_autoscaler: machines.ClusterAutoscaling | None = None
    virtual_nodes: Sequence[VirtualNode] = ()

    def __post_init__(self) -> None:
        fields.check(self, "scenario", above=("seconds",))
        if not isinstance(self.load, Profile):
            raise fields.wrong("load", self.load, "It must be a profile, such as step(5, 60).")
        for manifest in self.manifests:
            _check_manifest(manifest)
        fields.check(self.nodes, "nodes")
        for amount in self.nodes.capacity.values():
            fields.quantity(amount, "amount in nodes")
        fields.check(self.application, "application", above=("cpu_ms", "cores"))
        for what in ("start", "stop"):
            fields.check(getattr(self, what), what, spread=1)
        if self.noise:
            check_noise(self.noise.spread, self.noise.every)
        if self.phase:
            fields.check(self.phase, "phase")
        settings(self.settings)
        for fault in self.faults:
            faults.check(fault, self.seconds)

    def with_seed(self, seed: int) -> Scenario:
        """The same with other chances."""
        return replace(self, seed=seed)

    @classmethod
    def read(cls, text: str | Path | Mapping, directory: Path = Path()) -> Scenario:
        """From YAML, the path of a file, or what YAML would give.  Raises UsageError.

        Paths in it begin in the directory of the file, or else in `directory`.
        """
        directory = text.parent if isinstance(text, Path) else directory
        if isinstance(text, Path):
            text = _text(text)
        try:
            given = yaml.safe_load(text) if isinstance(text, str) else text
        except yaml.YAMLError as error:
            raise _no_yaml("scenario", error) from None
        if not isinstance(given, Mapping):
            raise UsageError("This is no scenario.", "A scenario is a mapping.", fields.EXAMPLE)
        return _scenario(dict(given), directory)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{path} cannot be read ({why}).", "", fields.EXAMPLE) from None


def read_part(name: str, given: object, nodes: object = None, directory: Path = Path()) -> object:
    """A part of a scenario from what YAML gives; one that is read already stays as it is.

    Machines of a cluster autoscaler are as in `nodes`, unless they say otherwise.
    """
    if given is None or is_dataclass(given):
        return given

    def listed(name: str, read: Callable) -> Callable:
        return lambda parts: [
            part if is_dataclass(part) else read(part) for part in fields.sequence(parts, name)
        ]

    known = {
        "manifests": _manifests,
        "load": lambda part: loads.read(part, directory),
        "nodes": lambda part: fields.build(Nodes, part, "nodes"),
        "application": lambda part: fields.build(Application, part, "application"),
        "start": lambda part: _delay(part, "start"),
        "stop": lambda part: _delay(part, "stop"),
        "noise": loads.read_noise,
        "phase": lambda part: fields.build(Phase, part, "phase"),
        "faults": listed("faults", lambda part: fields.build(Fault, part, "a fault")),
        "cluster_autoscaler": lambda part: machines.read(part, nodes or {}),
        "virtual_nodes": listed("virtual_nodes", _virtual_node),
    }
    return known.get(name, lambda part: part)(given)


def _scenario(given: dict[str, Any], directory: Path) -> Scenario:
    nodes = given.get("nodes")
    if "minutes" in given:
        given["seconds"] = fields.number(given.pop("minutes"), "minutes", above=True) * 60
    for name in ("manifests", "load"):
        if name not in given:
            why = "It cannot do without."
            raise UsageError(f"The scenario has no {name}.", why, fields.EXAMPLE)
    given = {name: read_part(name, part, nodes, directory) for name, part in given.items()}
    given.setdefault("seconds", given["load"].duration)
    return fields.build(Scenario, given, "scenario")


def _manifests(given: object) -> list[Mapping]:
    """The objects of manifests.  Raises UsageError."""
    try:
        found = list(yaml.safe_load_all(given)) if isinstance(given, str) else given
    except yaml.YAMLError as error:
        raise _no_yaml("manifests", error) from None
    return [one for one in fields.sequence(found, "manifests") if one]


def _check_manifest(given: object) -> None:
    what = "manifest of the scenario"
    name = fields.mapping(fields.mapping(given, what).get("metadata"), f"metadata of a {what}")
    for field_, value in ("apiVersion", given), ("kind", given), ("name", name):
        if not isinstance(value.get(field_), str):
            raise fields.wrong(f"{field_} of a {what}", value.get(field_), "It must be a text.")


def settings(given: object) -> Settings:
    """The control plane's flags, with defaults.  Raises UsageError."""
    found = fields.build(Settings, given, "settings")
    periods = ("horizontal_pod_autoscaler_sync_period", "metric_resolution")
    fields.check(found, "settings", above=periods)
    return found


def _delay(given: object, what: str) -> Delay:
    """`2.5`, or the fields of a Delay.  Raises UsageError."""
    parts = given if isinstance(given, Mapping) else {"median": given}
    return fields.build(Delay, parts, what)


def _no_yaml(what: str, error: yaml.YAMLError) -> UsageError:
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}" if mark else ""
    why = getattr(error, "problem", None) or str(error)
    return UsageError(f"The {what} cannot be read{where}.", f"YAML: {why}.", fields.EXAMPLE)


def _virtual_node(given: str | Mapping[str, Any]) -> VirtualNode:
    from labkit.kubelet.virtual import CAPACITY_TYPES, VirtualNode

    part = {"capacity_type": given} if isinstance(given, str) else given
    found = fields.build(VirtualNode, part, "a virtual node")
    if found.capacity_type not in CAPACITY_TYPES:
        raise UsageError(
            f"There is no virtual node {found.capacity_type!r}.",
            f"There are {' and '.join(CAPACITY_TYPES)}.",
            fields.EXAMPLE,
        )
    return found
