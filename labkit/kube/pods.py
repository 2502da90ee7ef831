"""What the parts of the control plane agree on about Pods."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.kube import conditions, objects

TERMINAL_PHASES = ("Succeeded", "Failed")


def phase(pod: Mapping) -> str:
    """`status.phase`, Pending where it is not set."""
    return (pod.get("status") or {}).get("phase") or "Pending"


def is_terminal(pod: Mapping) -> bool:
    """Whether the Pod has ended for good."""
    return phase(pod) in TERMINAL_PHASES


def is_active(pod: Mapping) -> bool:
    """Neither ended nor being deleted: what a ReplicaSet counts (controller.IsPodActive)."""
    return not is_terminal(pod) and not objects.is_deleting(pod)


def is_ready(pod: Mapping) -> bool:
    """Whether the Pod's Ready condition is True."""
    return conditions.is_true(pod, "Ready")


def ready_since(pod: Mapping) -> str | None:
    """When the Pod became Ready (RFC 3339), or None while it is not."""
    condition = conditions.get(pod, "Ready")
    if condition and condition["status"] == "True":
        return condition.get("lastTransitionTime")
    return None


def node_name(pod: Mapping) -> str:
    """`spec.nodeName`, empty until the Pod is scheduled."""
    return pod["spec"].get("nodeName") or ""
