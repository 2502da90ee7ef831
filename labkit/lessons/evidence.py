"""What exercises ask of objects again and again.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.kube import conditions, pods

#: Why a container waits that will not start by itself until somebody mends it.
PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
CRASH = ("CrashLoopBackOff",)
CONFIG = ("CreateContainerConfigError", "CreateContainerError")


def waiting(found: Iterable[Mapping], reasons: Iterable[str]) -> str | None:
    """The first Pod with a container that waits for one of `reasons`: `web-1: ErrImagePull`."""
    wanted = set(reasons)
    for pod in found:
        status = pod.get("status") or {}
        for entry in status.get("containerStatuses") or ():
            reason = ((entry.get("state") or {}).get("waiting") or {}).get("reason", "")
            if reason in wanted:
                return f"{pod['metadata']['name']}: {reason} ({entry.get('image', '')})"
    return None


def ended(found: Iterable[Mapping], reason: str) -> str | None:
    """The first Pod that waits since a container ended for `reason`: `web-1: OOMKilled`."""
    for pod in found:
        for entry in (pod.get("status") or {}).get("containerStatuses") or ():
            state, last = entry.get("state") or {}, entry.get("lastState") or {}
            end = (last if "waiting" in state else state).get("terminated") or {}
            if end.get("reason") == reason:
                return f"{pod['metadata']['name']}: {reason}"
    return None


def unschedulable(found: Iterable[Mapping]) -> str | None:
    """The first Pod that no node takes, with the scheduler's reason."""
    for pod in found:
        scheduled = conditions.get(pod, "PodScheduled")
        if scheduled and scheduled["status"] == "False":
            return f"{pod['metadata']['name']}: {scheduled.get('message', 'no node')}"
    return None


def ready(found: Iterable[Mapping]) -> int:
    """How many of these Pods are ready."""
    return sum(pods.is_ready(pod) for pod in found)


def images(template_owner: Mapping) -> list[str]:
    """The images of the containers in the template of a Deployment."""
    return [entry.get("image", "") for entry in containers(template_owner)]


def containers(template_owner: Mapping) -> list[dict]:
    """The containers in the template of a Deployment."""
    return template_owner["spec"]["template"]["spec"]["containers"]


def labels(words: Mapping[str, str] | None) -> str:
    """`app=myapp, tier=web`, or `none`."""
    return ", ".join(f"{key}={text}" for key, text in (words or {}).items()) or "none"
