"""What the nodes of a simulation say of their Pods: status, as a kubelet writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

_KILLED = 137  # 128 + SIGKILL


class Ending(Protocol):
    """Why a node ends a Pod by itself: a `labkit.kubelet.view.Evicted`."""

    message: str
    reason: str


def running(pod: Mapping, number: int, stamp: str) -> dict:
    """The status of the `number`-th Pod that started."""
    address = f"10.{244 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    true = {"status": "True", "lastProbeTime": None, "lastTransitionTime": stamp}
    return {
        "phase": "Running",
        "startTime": stamp,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            {"type": kind, **true} for kind in ("Initialized", "Ready", "ContainersReady")
        ],
        "containerStatuses": [
            {
                "name": one["name"],
                "image": one.get("image", ""),
                "imageID": "",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": stamp}},
            }
            for one in pod["spec"]["containers"]
        ],
    }


def killed(pod: Mapping, stamp: str, wait: float) -> dict:
    """The status of a Pod whose first container was killed and may start again in `wait` s."""
    first, *others = pod["status"]["containerStatuses"]
    meta, begun = pod["metadata"], first["state"]["running"]["startedAt"]
    end = {"exitCode": _KILLED, "reason": "Error", "startedAt": begun, "finishedAt": stamp}
    state: dict = {"state": {"terminated": end}}
    if wait:
        message = (
            f"back-off {wait:g}s restarting failed container={first['name']} "
            f"pod={meta['name']}_{meta['namespace']}({meta['uid']})"
        )
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        state = {"state": waiting, "lastState": {"terminated": end}}
    unready = {
        "status": "False",
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{first['name']}]",
        "lastTransitionTime": stamp,
    }
    return {
        "conditions": [{"type": kind, **unready} for kind in ("Ready", "ContainersReady")],
        "containerStatuses": [{**first, "ready": False, "started": False, **state}, *others],
    }


def restarted(pod: Mapping, stamp: str) -> dict:
    """The status of a Pod whose first container runs again."""
    first, *others = pod["status"]["containerStatuses"]
    end = first["state"].get("terminated") or first["lastState"]["terminated"]
    ready = {"status": "True", "reason": None, "message": None, "lastTransitionTime": stamp}
    first = {
        **first,
        "ready": True,
        "started": True,
        "restartCount": first["restartCount"] + 1,
        "state": {"running": {"startedAt": stamp}},
        "lastState": {"terminated": end},
    }
    return {
        "conditions": [{"type": kind, **ready} for kind in ("Ready", "ContainersReady")],
        "containerStatuses": [first, *others],
    }


def failed(pod: Mapping, why: Ending, stamp: str) -> dict:
    """The status of a Pod that its node has ended."""
    over = {"status": "False", "lastTransitionTime": stamp, "reason": "PodFailed"}
    cause = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
    return {
        "phase": "Failed",
        "reason": why.reason,
        "message": why.message,
        "conditions": [
            {"type": "Ready", **over},
            {"type": "ContainersReady", **over},
            {**cause, "message": why.message, "lastTransitionTime": stamp},
        ],
        "containerStatuses": [
            {
                **one,
                "ready": False,
                "started": False,
                "state": {"terminated": {"exitCode": 143, "reason": "Error", "finishedAt": stamp}},
            }
            for one in pod["status"]["containerStatuses"]
        ],
    }
