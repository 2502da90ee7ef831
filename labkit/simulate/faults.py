"""What goes wrong in a simulation, and when.

    node-lost         a node falls silent for good, and its Pods with it
    container-killed  the container of a Pod dies (exit code 137); the kubelet starts it again, from
                      the second time on after a back-off, and meanwhile the Pod is not Ready
    pod-deleted       a Pod is deleted, as by `kubectl delete pod`: another takes its place
    metrics-missing   the metrics API does not answer for some seconds
    image-pull-slow   Pods that are bound within some seconds take `factor` times as long to start

A Pod is one of the Deployment under load: the one that has been Ready for longest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import UsageError
from labkit.kube.resources import PODS
from labkit.simulate import fields

if TYPE_CHECKING:
    from labkit.simulate.cluster import SimulatedCluster

_NEEDS: dict[str, Collection[str]] = {
    "node-lost": (),
    "container-killed": (),
    "pod-deleted": (),
    "metrics-missing": ("seconds",),
    "image-pull-slow": ("seconds", "factor"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong (`kind`), `at` so many seconds after the beginning.

    Some kinds pass after some `seconds`, and one has a `factor`; for the others these are 0.
    """

    at: float
    kind: str
    seconds: float = 0.0
    factor: float = 0.0


def check(fault: Fault, end: float) -> None:
    """Raise UsageError for a fault that cannot be, or not before the `end` (seconds)."""
    fields.check(fault, "a fault")
    if fault.kind not in _NEEDS:
        raise UsageError(
            f"There is no fault {fault.kind!r}.", f"There are {', '.join(_NEEDS)}.", fields.EXAMPLE
        )
    for name in ("seconds", "factor"):
        needed, given = name in _NEEDS[fault.kind], getattr(fault, name)
        if needed and not given:
            why = "It is for how long." if name == "seconds" else "It is how many times as long."
            raise UsageError(f"{fault.kind} needs {name}.", why, f"Write for example {name}: 60")
        if given and not needed:
            raise UsageError(
                f"{fault.kind} has no {name}.", "It happens once.", f"Leave {name} out."
            )
    if fault.at >= end:
        raise UsageError(
            f"{fault.kind} at {fault.at:g} s never happens.",
            f"The scenario ends after {end:g} s.",
            "Let it happen earlier, or the scenario last longer.",
        )


async def strike(fault: Fault, cluster: SimulatedCluster, ready: Collection[str]) -> str:
    """Let it happen; what has happened, in words.

    `ready` are the uids of the Deployment's Pods that are Ready, the oldest first.
    """
    nodes = cluster.nodes
    if fault.kind == "node-lost":
        name = nodes.lose()
        return f"{name} is lost" if name else "no node is left to be lost"
    if fault.kind == "metrics-missing":
        cluster.miss_metrics(fault.seconds)
        return f"no metrics for {fault.seconds:g} s"
    if fault.kind == "image-pull-slow":
        nodes.slow_down(fault.factor, fault.seconds)
        return f"Pods take {fault.factor:g} times as long to start, for {fault.seconds:g} s"
    pod = next((nodes.running[uid] for uid in ready if uid in nodes.running), None)
    if pod is None:
        return f"{fault.kind}: no Pod is Ready"
    meta = pod["metadata"]
    if fault.kind == "container-killed":
        nodes.kill(meta["uid"])
        return f"the container of {meta['name']} is killed"
    await cluster.client.delete(PODS, meta["name"], meta["namespace"])
    return f"{meta['name']} is deleted"
