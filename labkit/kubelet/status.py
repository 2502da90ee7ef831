"""The status of a Pod, computed from a `View` and the `Plan` that follows from it.

`pod_status` gives the whole status as the kubelet wants it, `status_patch` the difference from
what the API has, so that nothing is written where nothing changed.

Source: kubelet's generateAPIPodStatus, getPhase, status/generate.go (conditions).  Left out:
resize and resource status, readiness gates other than as conditions that
others write and the Ready condition obeys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.kube import conditions, pods, times
from labkit.kubelet.decide import CRASH_LOOP, Plan
from labkit.kubelet.instances import CREATED, EXITED, Instance
from labkit.kubelet.view import View, is_sidecar

PENDING, ACTIVE, SUCCEEDED, FAILED = "Pending", "Running", "Succeeded", "Failed"


def pod_status(view: View, plan: Plan, node_ip: str) -> dict:
    """`status` as it should be now."""
    own = {
        "initContainerStatuses": [
            container_status(view, plan, one, is_init=True) for one in view.init_containers
        ],
        "containerStatuses": [container_status(view, plan, one) for one in view.containers],
        "ephemeralContainerStatuses": [
            {**container_status(view, plan, one), "ready": False}
            for one in view.ephemeral_containers
        ],
    }
    phase = _phase(view, plan, own)
    status = {
        **view.status,
        **{key: value for key, value in own.items() if value},
        "phase": phase,
        "startTime": view.status.get("startTime") or times.rfc3339(view.now),
        "hostIP": node_ip,
        "hostIPs": [{"ip": node_ip}],
    }
    if plan.deadline_exceeded:
        status["reason"] = "DeadlineExceeded"
        status["message"] = "Pod was active on the node longer than the specified deadline"
    if view.facts.evicted:
        evicted = view.facts.evicted
        status |= {"reason": evicted.reason, "message": evicted.message}
    if view.sandbox_ready:
        status |= {"podIP": view.pod_ip, "podIPs": [{"ip": view.pod_ip}]}
    if "generation" in view.pod["metadata"]:
        status["observedGeneration"] = view.pod["metadata"]["generation"]
    status["conditions"] = _conditions(view, phase, own["containerStatuses"])
    return status


def container_status(view: View, plan: Plan, container: Mapping, *, is_init: bool = False) -> dict:
    """One entry of containerStatuses."""
    name, old = container["name"], view.container_status(container["name"])
    run = view.run(name)
    state, last = _state(view, plan, name, run), _last_state(view, plan, name, run)
    running = view.is_up(run)
    probed = view.probed(container, run) if running else None
    status = {
        "name": name,
        "state": state,
        "lastState": last or old.get("lastState") or {},
        "ready": bool(probed and probed.started and probed.ready),
        "restartCount": run.attempt if run else old.get("restartCount") or 0,
        "image": container["image"],
        "imageID": f"docker://{run.image_id}" if run and run.image_id else "",
        "started": bool(probed and probed.started),
    }
    if is_init and not is_sidecar(container):
        status["ready"] = bool(run and run.state == EXITED and not run.exit_code)
        status["started"] = running
    if run and run.id:
        status["containerID"] = f"docker://{run.id}"
    return status


def _state(view: View, plan: Plan, name: str, run: Instance | None) -> dict:
    wait = plan.waiting.get(name)
    if view.is_up(run):
        return {"running": {"startedAt": times.rfc3339(run.started)}}
    if wait:
        message = {"message": wait.message} if wait.message else {}
        return {"waiting": {"reason": wait.reason, **message}}
    if run and run.state == EXITED:
        return {"terminated": terminated(run)}
    initializing = view.init_containers and not view.is_initialized()
    return {"waiting": {"reason": "PodInitializing" if initializing else "ContainerCreating"}}


def _last_state(view: View, plan: Plan, name: str, run: Instance | None) -> dict:
    if run and run.state == EXITED and name in plan.waiting:
        return {"terminated": terminated(run)}
    previous = view.previous(name)
    if previous and previous.state != CREATED:
        return {"terminated": terminated(previous)}
    return {}


def terminated(run: Instance) -> dict:
    """A ContainerStateTerminated."""
    result = {"exitCode": run.exit_code, "reason": run.reason}
    if run.message:
        result["message"] = run.message
    result["startedAt"] = times.rfc3339(run.started) if run.started else None
    result["finishedAt"] = times.rfc3339(run.finished) if run.finished else None
    if run.id:
        result["containerID"] = f"docker://{run.id}"
    return result


def _phase(view: View, plan: Plan, own: Mapping) -> str:
    if pods.is_terminal(view.pod):
        return pods.phase(view.pod)
    if plan.deadline_exceeded or view.facts.evicted:
        return FAILED
    if view.deleting and plan.finished:
        # Nothing runs and nothing will: the end has a phase of its own, whatever restartPolicy.
        return _phase_of_containers("Never", own["containerStatuses"])
    policy = view.spec.get("restartPolicy") or "Always"
    waiting = _phase_before_init(view, policy, own["initContainerStatuses"])
    phase = waiting or _phase_of_containers(policy, own["containerStatuses"])
    # As long as a sidecar runs, the Pod does, whatever has become of its containers.
    ended = phase in (SUCCEEDED, FAILED) and not waiting
    return ACTIVE if ended and _sidecar_runs(view) else phase


def _sidecar_runs(view: View) -> bool:
    sidecars = (one for one in view.init_containers if is_sidecar(one))
    return any(view.is_up(view.run(one["name"])) for one in sidecars)


def _phase_before_init(view: View, policy: str, statuses: Iterable[Mapping]) -> str:
    """Pending or Failed while init containers are not done; else empty."""
    sidecars = {one["name"] for one in view.init_containers if is_sidecar(one)}
    for status in statuses:
        ended = _ended(status)
        if status["name"] in sidecars:
            if not status["started"] and not _any_began(view):
                return PENDING
        elif not (ended and ended["exitCode"] == 0):
            return FAILED if ended and policy == "Never" else PENDING
    return ""


def _any_began(view: View) -> bool:
    return any(view.run(one["name"]) for one in view.containers)


def _phase_of_containers(policy: str, statuses: list[Mapping]) -> str:
    ends = [_ended(one) for one in statuses]
    running = any("running" in one["state"] for one in statuses)
    if any("waiting" in one["state"] and not end for one, end in zip(statuses, ends, strict=True)):
        # A container that never ran holds the Pod back, except at the Pod's end.
        return FAILED if policy == "Never" and all(ends) else PENDING
    if running or policy == "Always":
        return ACTIVE
    if all(end and end["exitCode"] == 0 for end in ends):
        return SUCCEEDED
    return FAILED if policy == "Never" else ACTIVE


def _ended(status: Mapping) -> Mapping | None:
    """How the container ended, if it is not running now."""
    if "running" in status["state"]:
        return None
    last = (status.get("lastState") or {}).get("terminated")
    return status["state"].get("terminated") or last


def _conditions(view: View, phase: str, statuses: list[Mapping]) -> list[dict]:
    now = times.rfc3339(view.now)
    result = view.status.get("conditions")
    for kind, (status, reason, message) in _wanted_conditions(view, phase, statuses).items():
        if _differs(view.pod, kind, status, reason, message):
            result = conditions.updated(_without_words(result, kind), kind, status, reason,
                                        message, now)  # fmt: skip
    return list(result or ())


def _differs(pod: Mapping, kind: str, *wanted: str) -> bool:
    known = conditions.get(pod, kind) or {}
    return wanted != tuple(known.get(key, "") for key in ("status", "reason", "message"))


def _without_words(result: list[dict] | None, kind: str) -> list[dict]:
    """The conditions with the reason and message of one dropped: they explained its old status."""
    words = ("reason", "message")
    return [
        {key: text for key, text in one.items() if key not in words} if one["type"] == kind else one
        for one in result or ()
    ]


def _wanted_conditions(view: View, phase: str, statuses: list[Mapping]) -> dict[str, tuple]:
    containers = _containers_ready(phase, statuses)
    # The network is there as long as the sandbox is.
    network = ("True" if view.sandbox_ready else "False", "", "")
    return {
        **_disruption(view),
        "PodReadyToStartContainers": network,
        "Initialized": _initialized(view, phase),
        "Ready": _ready(view, containers),
        "ContainersReady": containers,
        "PodScheduled": ("True", "", ""),
    }


def _disruption(view: View) -> dict[str, tuple]:
    evicted = view.facts.evicted
    if evicted is None or not evicted.disrupts:
        return {}
    return {"DisruptionTarget": ("True", "TerminationByKubelet", evicted.message)}


def _initialized(view: View, phase: str) -> tuple[str, str, str]:
    incomplete = view.incomplete()
    if not incomplete or _any_began(view):
        return "True", "PodCompleted" if phase == SUCCEEDED else "", ""
    message = f"containers with incomplete status: [{' '.join(incomplete)}]"
    return "False", "ContainersNotInitialized", message


def _containers_ready(phase: str, statuses: list[Mapping]) -> tuple[str, str, str]:
    if phase == SUCCEEDED:
        return "False", "PodCompleted", ""
    if phase == FAILED:
        return "False", "PodFailed", ""
    unready = [one["name"] for one in statuses if not one["ready"]]
    if not unready:
        return "True", "", ""
    message = f"containers with unready status: [{' '.join(unready)}]"
    return "False", "ContainersNotReady", message


def _ready(view: View, containers: tuple[str, str, str]) -> tuple[str, str, str]:
    if containers[0] != "True":
        return containers
    gates = [gate["conditionType"] for gate in view.spec.get("readinessGates") or ()]
    closed = [gate for gate in gates if not conditions.is_true(view.pod, gate)]
    if not closed:
        return containers
    missing = [
        f'corresponding condition of pod readiness gate "{gate}" '
        + ("does not exist." if conditions.get(view.pod, gate) is None else "is not True.")
        for gate in closed
    ]
    return "False", "ReadinessGatesNotReady", ", ".join(missing)


def is_crash_loop(plan: Plan, name: str) -> bool:
    """Whether the container `name` waits for its back-off to end."""
    wait = plan.waiting.get(name)
    return wait is not None and wait.reason == CRASH_LOOP


def status_patch(old: Mapping, new: Mapping) -> dict:
    """The strategic merge patch of `status` that makes `old` to `new`; empty if they are equal.

    Conditions merge by type: only those that changed are sent, so that conditions of other
    writers are never touched.
    """
    patch = {key: value for key, value in new.items() if old.get(key) != value}
    if "conditions" in patch:
        known = {one["type"]: one for one in old.get("conditions") or ()}
        patch["conditions"] = [
            _with_nulls(known.get(one["type"]) or {}, one)
            for one in new["conditions"]
            if known.get(one["type"]) != one
        ]
    if "podIPs" in patch and old.get("podIPs"):
        # These merge by ip; a new sandbox has a new address and the old one is void.
        patch["podIPs"] = [{"$patch": "replace"}, *new["podIPs"]]
    return patch


def _with_nulls(old: Mapping, new: Mapping) -> dict:
    return {**{key: None for key in old if key not in new}, **new}
