"""Pods, runs and views for tables."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.kube import times
from labkit.kubelet.instances import EXITED, RUNNING, SANDBOX, Instance
from labkit.kubelet.view import Facts, View

NOW = 1_800_000_000.0
UID = "uid-1"


def pod(*containers: Mapping, **fields: object) -> dict:
    """A Pod of `containers` (one named app where none is given).

    `status` and `meta` are the object's, all other fields the spec's.
    """
    status = fields.pop("status", {})
    meta = {"name": "web", "namespace": "default", "uid": UID, **fields.pop("meta", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": list(containers) or [{"name": "app", "image": "i"}], **fields},
        "status": status,
    }


def sandbox(attempt: int = 0, state: str = RUNNING) -> Instance:
    return Instance(f"s{attempt}", UID, SANDBOX, attempt, state, started=NOW - 60, ip="127.244.1.2")


def running(name: str = "app", attempt: int = 0, sandbox_id: str = "s0") -> Instance:
    return Instance(
        f"{name}{attempt}", UID, name, attempt, RUNNING, started=NOW - 50, sandbox_id=sandbox_id
    )


def exited(
    code: int = 0, name: str = "app", attempt: int = 0, ago: float = 5, reason: str = ""
) -> Instance:
    return Instance(
        f"{name}{attempt}",
        UID,
        name,
        attempt,
        EXITED,
        started=NOW - 50,
        finished=NOW - ago,
        exit_code=code,
        reason=reason or ("Error" if code else "Completed"),
        sandbox_id="s0",
    )


def view(pod: Mapping, *instances: Instance, **facts: object) -> View:
    return View(pod, instances, Facts(**facts), NOW)


def before(seconds: float) -> str:
    """The time `seconds` before NOW."""
    return times.rfc3339(NOW - seconds)
