"""What the kubelet knows of one Pod at one moment: the input of every decision.

A `View` joins three sources: the Pod as the API has it, the runs of its containers as the engine
has them, and the few facts that live only in the kubelet (back-offs, results of probes, reasons
why a container cannot be started now).

Where the engine has lost a container that the Pod's status still tells of, the status is the
memory: a container that ran is taken for dead (ContainerStatusUnknown, as upstream), and one that
had ended stays ended, so that work that was done is not done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from labkit.kube import objects, times
from labkit.kubelet import instances as inst
from labkit.kubelet.backoff import BackOff
from labkit.kubelet.instances import EXITED, RUNNING, Instance

_LOST = "The container could not be located when the pod was terminated"
_DEFAULT_GRACE = 30


class Blocked(NamedTuple):
    """Why a container is not started now (a waiting reason), and until when (Unix seconds)."""

    reason: str
    message: str
    until: float


class Probed(NamedTuple):
    """What the probes of one running container say; `failed` is liveness, startup or empty."""

    started: bool
    ready: bool
    failed: str = ""


class Evicted(NamedTuple):
    """That the kubelet itself ends a Pod, or does not take it: why, and the seconds of grace.

    `disrupts` is that the node's need is the cause and not the Pod's own excess.
    """

    message: str
    grace: int
    disrupts: bool
    reason: str = "Evicted"


@dataclass(frozen=True)
class Facts:
    """What only the kubelet knows.  `probes` is by container id, the rest by container name."""

    back_offs: Mapping[str, BackOff] = field(default_factory=dict)
    blocked: Mapping[str, Blocked] = field(default_factory=dict)
    probes: Mapping[str, Probed] = field(default_factory=dict)
    hooked: frozenset[str] = frozenset()  # container ids whose postStart hook is under way
    unmounted: float | None = None  # volumes are not there; when that is tried again (Unix seconds)
    evicted: Evicted | None = None
    gone: bool = False  # the Pod is no longer in the API


@dataclass(frozen=True)
class View:
    """One Pod, at `now` (Unix seconds)."""

    pod: Mapping
    instances: tuple[Instance, ...]
    facts: Facts
    now: float

    @property
    def spec(self) -> Mapping:
        return self.pod["spec"]

    @property
    def status(self) -> Mapping:
        return self.pod.get("status") or {}

    @property
    def deleting(self) -> bool:
        """Whether the Pod is to go, its API object being marked or already gone."""
        return self.facts.gone or objects.is_deleting(self.pod)

    @property
    def init_containers(self) -> list[Mapping]:
        return self.spec.get("initContainers") or []

    @property
    def containers(self) -> list[Mapping]:
        return self.spec["containers"]

    @property
    def ephemeral_containers(self) -> list[Mapping]:
        return self.spec.get("ephemeralContainers") or []

    @cached_property
    def sandbox(self) -> Instance | None:
        """The newest sandbox, running or not."""
        return inst.latest(self.instances, inst.SANDBOX)

    @property
    def sandbox_ready(self) -> bool:
        return self.sandbox is not None and self.sandbox.state == RUNNING and bool(self.pod_ip)

    @property
    def pod_ip(self) -> str:
        """The sandbox's address; a Pod on the host's network has the node's."""
        return self.sandbox.ip if self.sandbox else ""

    @cached_property
    def _runs(self) -> dict[str, list[Instance]]:
        runs: dict[str, list[Instance]] = {}
        for one in sorted(self.instances, key=lambda one: -one.attempt):
            runs.setdefault(one.name, []).append(one)
        for name, old in self._remembered():
            known = runs.setdefault(name, [])
            if all(one.attempt != old.attempt for one in known):
                known.append(old)
                known.sort(key=lambda one: -one.attempt)
        return runs

    def run(self, name: str) -> Instance | None:
        """The latest run of the container `name`."""
        runs = self._runs.get(name)
        return runs[0] if runs else None

    def previous(self, name: str) -> Instance | None:
        """The run before the latest one."""
        runs = self._runs.get(name, [])
        return runs[1] if len(runs) > 1 else None

    def container_status(self, name: str) -> Mapping:
        """What the API has about the container `name`, or an empty mapping."""
        for one in self._container_statuses():
            if one["name"] == name:
                return one
        return {}

    def is_up(self, run: Instance | None) -> bool:
        """Whether a container runs and its postStart hook, if it has one, is done."""
        return run is not None and run.state == RUNNING and run.id not in self.facts.hooked

    def probed(self, container: Mapping, run: Instance) -> Probed:
        """What the probes say of a running container; before the first result, nothing good."""
        known = self.facts.probes.get(run.id)
        return known or unprobed(container)

    def is_initialized(self) -> bool:
        """Whether all init containers are done, or its sidecars started."""
        return not any(self._is_incomplete(one) for one in self.init_containers)

    def _is_incomplete(self, container: Mapping) -> bool:
        run = self.run(container["name"])
        if run is None:
            return True
        if is_sidecar(container):
            return not (self.is_up(run) and self.probed(container, run).started)
        return not (run.state == EXITED and run.exit_code == 0)

    def incomplete(self) -> list[str]:
        """The init containers that stand in the way, in order."""
        return [one["name"] for one in self.init_containers if self._is_incomplete(one)]

    def _container_statuses(self) -> Iterable[Mapping]:
        yield from self.status.get("initContainerStatuses") or ()
        yield from self.status.get("containerStatuses") or ()
        yield from self.status.get("ephemeralContainerStatuses") or ()

    def _remembered(self) -> Iterable[tuple[str, Instance]]:
        for one in self._container_statuses():
            run = _remembered_run(one, self.pod["metadata"]["uid"])
            if run:
                yield one["name"], run


def _remembered_run(status: Mapping, uid: str) -> Instance | None:
    """The run that a container status tells of, as one that has ended."""
    state, last = status.get("state") or {}, status.get("lastState") or {}
    common = {
        "id": (status.get("containerID") or "").removeprefix("docker://"),
        "pod_uid": uid,
        "name": status["name"],
        "attempt": status.get("restartCount") or 0,
        "state": EXITED,
        "image_id": (status.get("imageID") or "").removeprefix("docker://"),
    }
    if "running" in state:
        started = _seconds(state["running"].get("startedAt"))
        lost = {"exit_code": 137, "reason": "ContainerStatusUnknown", "message": _LOST}
        return Instance(started=started, **lost, **common)
    ended = state.get("terminated") or last.get("terminated")
    if not ended:
        return None
    return Instance(
        started=_seconds(ended.get("startedAt")),
        finished=_seconds(ended.get("finishedAt")),
        exit_code=ended.get("exitCode") or 0,
        reason=ended.get("reason") or "",
        message=ended.get("message") or "",
        **common,
    )


def _seconds(text: str | None) -> float:
    return times.parse(text) if text else 0.0


def is_sidecar(container: Mapping) -> bool:
    """Whether an init container is a sidecar: it runs on while the others start (KEP-753)."""
    return container.get("restartPolicy") == "Always"


def unprobed(container: Mapping) -> Probed:
    """What counts before any probe has run: what is not probed is well."""
    return Probed(started="startupProbe" not in container, ready="readinessProbe" not in container)


def restarts(spec: Mapping, container: Mapping, run: Instance) -> bool:
    """Whether a container that ended as `run` is to run again."""
    policy = container.get("restartPolicy") or spec.get("restartPolicy") or "Always"
    return policy == "Always" or (policy == "OnFailure" and run.exit_code != 0)


def grace_period(pod: Mapping) -> int:
    """Seconds from SIGTERM to SIGKILL: the deletion's, else the spec's."""
    given = pod["metadata"].get("deletionGracePeriodSeconds")
    if given is None:
        given = pod["spec"].get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE if given is None else given
