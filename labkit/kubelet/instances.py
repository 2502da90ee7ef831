"""One container of the engine as the kubelet sees it, and how Pods are written on containers.

All that a kubelet must know after its own restart is in the names and labels of the containers;
they are those of dockershim and cri-dockerd, so that `docker ps` on a node reads as it always did:
`k8s_<container>_<pod>_<namespace>_<uid>_<attempt>`.  One label is ours: several nodes share one
engine here, so each container also carries its node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labkit.kube import times

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
TYPE = "io.kubernetes.docker.type"
SANDBOX_ID = "io.kubernetes.sandbox.id"
RESTART_COUNT = "annotation.io.kubernetes.container.restartCount"
HASH = "annotation.io.kubernetes.container.hash"
GRACE_PERIOD = "annotation.io.kubernetes.pod.terminationGracePeriod"
MESSAGE_PATH = "annotation.io.kubernetes.container.terminationMessagePath"
MESSAGE_POLICY = "annotation.io.kubernetes.container.terminationMessagePolicy"
NODE = "io.labkit.node"

SANDBOX = "POD"  # the container name of a sandbox in Docker names and labels
CREATED, RUNNING, EXITED = "created", "running", "exited"
_ORDER = {CREATED: 0, RUNNING: 1, EXITED: 2}


@dataclass(frozen=True, slots=True)
class Instance:
    """One run of a container.  Times are Unix seconds, 0 where unknown."""

    id: str
    pod_uid: str
    name: str  # the container's name in the Pod, or SANDBOX
    attempt: int = 0  # 0 for the first run: the container's restartCount
    state: str = RUNNING
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    reason: str = ""  # of the exit
    message: str = ""
    image_id: str = ""
    ip: str = ""  # of a sandbox
    sandbox_id: str = ""
    labels: Mapping[str, str] | None = None
    message_file: str = ""  # on the node, where a container may leave its termination message

    @property
    def is_sandbox(self) -> bool:
        return self.name == SANDBOX


def docker_name(pod: Mapping, container: str, attempt: int) -> str:
    """The engine's name for one run of one container of `pod`."""
    meta = pod["metadata"]
    return f"k8s_{container}_{meta['name']}_{meta['namespace']}_{meta['uid']}_{attempt}"


def hash_of(container: Mapping) -> str:
    """Changes when a running Pod's container is to be another one: its image was changed."""
    text = f"{container['name']} {container.get('image', '')}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def labels(
    pod: Mapping, container: str, attempt: int, owner: Mapping[str, str], sandbox_id: str
) -> dict:
    """The labels by which a later kubelet knows the container again; `owner` are its own."""
    meta = pod["metadata"]
    grace = pod["spec"].get("terminationGracePeriodSeconds")
    result = {
        **{str(key): str(text) for key, text in (meta.get("labels") or {}).items()},
        POD_NAME: meta["name"],
        POD_NAMESPACE: meta["namespace"],
        POD_UID: meta["uid"],
        CONTAINER_NAME: container,
        TYPE: "podsandbox" if container == SANDBOX else "container",
        RESTART_COUNT: str(attempt),
        GRACE_PERIOD: str(30 if grace is None else grace),
        **owner,
    }
    return result | ({SANDBOX_ID: sandbox_id} if sandbox_id else {})


def message_labels(container: Mapping) -> dict[str, str]:
    """Where a container leaves its last words, and what stands in for them."""
    given = {
        MESSAGE_PATH: container.get("terminationMessagePath"),
        MESSAGE_POLICY: container.get("terminationMessagePolicy"),
    }
    return {key: text for key, text in given.items() if text}


def _message_file(data: Mapping, path: str | None) -> str:
    """What is mounted at the container's terminationMessagePath."""
    mounts = data.get("Mounts") or ()
    return next((one["Source"] for one in mounts if one["Destination"] == path), "")


def from_inspect(data: Mapping, host_ip: str) -> Instance:
    """The answer of `GET /containers/{id}/json` as an Instance.

    A sandbox on the host's network has the node's own address, `host_ip`.
    """
    marks, state = data["Config"].get("Labels") or {}, data["State"]
    # A container that could not be started stays "created", with an exit code and an error.
    failed = state["Status"] == "created" and bool(state.get("ExitCode") or state.get("Error"))
    kind = EXITED if failed else _kind(state)
    created = _seconds(data.get("Created"))
    on_host = (data.get("HostConfig") or {}).get("NetworkMode") == "host"
    return Instance(
        id=data["Id"],
        pod_uid=marks.get(POD_UID, ""),
        name=marks.get(CONTAINER_NAME, ""),
        attempt=int(marks.get(RESTART_COUNT) or 0),
        state=kind,
        started=_seconds(state.get("StartedAt")) or created * failed,
        finished=(_seconds(state.get("FinishedAt")) or created) if kind == EXITED else 0.0,
        exit_code=state.get("ExitCode") or 0,
        reason=_reason(state, failed) if kind == EXITED else "",
        message=state.get("Error") or "",
        image_id=data.get("Image") or "",
        ip=host_ip if on_host else _address(data.get("NetworkSettings") or {}),
        sandbox_id=marks.get(SANDBOX_ID, ""),
        labels=marks,
        message_file=_message_file(data, marks.get(MESSAGE_PATH)),
    )


def _kind(state: Mapping) -> str:
    if state["Status"] in ("running", "paused", "restarting"):
        return RUNNING
    return CREATED if state["Status"] == "created" else EXITED


def _reason(state: Mapping, failed: bool) -> str:
    if failed:
        return "ContainerCannotRun"
    if state.get("OOMKilled"):
        return "OOMKilled"
    return "Error" if state.get("ExitCode") else "Completed"


def _address(network: Mapping) -> str:
    for attached in (network.get("Networks") or {}).values():
        if attached.get("IPAddress"):
            return attached["IPAddress"]
    return network.get("IPAddress") or ""


def _seconds(text: str | None) -> float:
    """Docker's nanosecond RFC 3339 → Unix seconds; its zero time is the year 1."""
    if not text or text.startswith("0001-"):
        return 0.0
    return times.parse(text)


def newer(known: Instance | None, seen: Instance) -> Instance:
    """Of two views of one container the later: a container never goes back from its exit."""
    if known is None or _ORDER[seen.state] >= _ORDER[known.state]:
        return seen
    return known


def latest(instances: Iterable[Instance], name: str) -> Instance | None:
    """The newest run of the container `name`, or None."""
    runs = [one for one in instances if one.name == name]
    return max(runs, key=lambda one: one.attempt) if runs else None
