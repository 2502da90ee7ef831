"""The row of a Pod: READY, STATUS, RESTARTS and the wide columns.

STATUS starts as the Pod's phase (or reason) and is overwritten by what is more telling, in this
order: the first init container that has not succeeded, then the containers from last to first (so
that the first one wins), then deletion.

Source: printPod in pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.apiserver.tables.format import AGE, NAME, NONE, Column, Printer, age, since, wide
from labkit.kube import conditions, pods, times


def cells(pod: Mapping, now: float) -> list:
    """Name, ready, status, restarts, age; IP, node, nominated node, readiness gates."""
    spec, status = pod["spec"], pod.get("status") or {}
    sidecars = {c["name"] for c in spec.get("initContainers") or () if _is_sidecar(c)}
    init_reason, ready_sidecars = _initialization(spec, status, sidecars)
    ready, reason = ready_sidecars, init_reason or _phase(status)
    counted = status.get("initContainerStatuses") or ()
    if not init_reason or conditions.is_true(pod, "Initialized"):
        main = status.get("containerStatuses") or ()
        ready += sum(1 for c in main if c.get("ready") and _state(c, "running") is not None)
        reason = _running(pod, main, reason)
        counted = [*(c for c in counted if c["name"] in sidecars), *main]
    reason = _deletion(pod, status) or reason
    total = len(spec.get("containers") or ()) + len(sidecars)
    return [
        pod["metadata"]["name"],
        f"{ready}/{total}",
        reason,
        _restarts(counted, now),
        age(pod, now),
        *_wide(pod, spec, status),
    ]


def row_conditions(pod: Mapping) -> list[dict] | None:
    """The row's Completed condition, by which clients may hide Pods that have ended."""
    messages = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    phase = pods.phase(pod)
    if phase not in messages:
        return None
    return [{"type": "Completed", "status": "True", "reason": phase, "message": messages[phase]}]


def _is_sidecar(container: Mapping) -> bool:
    return container.get("restartPolicy") == "Always"


def _state(status: Mapping, kind: str) -> Mapping | None:
    return (status.get("state") or {}).get(kind)


def _phase(status: Mapping) -> str:
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return status.get("reason") or status.get("phase") or ""


def _initialization(spec: Mapping, status: Mapping, sidecars: set[str]) -> tuple[str, int]:
    """(STATUS while initializing, else empty; number of ready sidecars)."""
    ready = 0
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        terminated, waiting = _state(container, "terminated"), _state(container, "waiting")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if container["name"] in sidecars and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}", ready
        why = (waiting or {}).get("reason")
        if why and why != "PodInitializing":
            return f"Init:{why}", ready
        return f"Init:{index}/{len(spec['initContainers'])}", ready
    return "", ready


def _ended(terminated: Mapping) -> str:
    if terminated.get("reason"):
        return terminated["reason"]
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _running(pod: Mapping, statuses: Iterable[Mapping], reason: str) -> str:
    """STATUS from the containers; the first container's word counts."""
    error, runs = "", False
    for container in reversed(list(statuses)):
        terminated, waiting = _state(container, "terminated"), _state(container, "waiting")
        if waiting and waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _ended(terminated)
            error = reason if terminated.get("exitCode") else error
        elif container.get("ready") and _state(container, "running") is not None:
            runs = True
    if reason != "Completed":
        return reason
    if runs and pods.is_ready(pod):
        return "Running"
    return error or ("NotReady" if runs else reason)


def _deletion(pod: Mapping, status: Mapping) -> str:
    if not pod["metadata"].get("deletionTimestamp"):
        return ""
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return "" if pods.is_terminal(pod) else "Terminating"


def _restarts(statuses: Iterable[Mapping], now: float) -> str:
    count, last = 0, ""
    for container in statuses:
        count += container.get("restartCount", 0)
        ended = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
        if ended and (not last or times.parse(ended) > times.parse(last)):
            last = ended
    return f"{count} ({since(last, now)} ago)" if count and last else str(count)


def _wide(pod: Mapping, spec: Mapping, status: Mapping) -> list[str]:
    gates = [gate["conditionType"] for gate in spec.get("readinessGates") or ()]
    passed = sum(conditions.is_true(pod, gate) for gate in gates)
    addresses = status.get("podIPs") or ()
    return [
        (addresses[0].get("ip") if addresses else "") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{passed}/{len(gates)}" if gates else NONE,
    ]


POD = Printer(
    (
        NAME,
        Column("Ready"),
        Column("Status"),
        Column("Restarts"),
        AGE,
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ),
    cells,
)
