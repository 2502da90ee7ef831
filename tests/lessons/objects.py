"""Objects as a cluster has them, in as few words as a case needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

APP = {"app": "myapp"}


def meta(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"name": name, "namespace": "default", "labels": labels or {}}


def condition(kind: str, status: bool, message: str = "", reason: str = "") -> dict[str, str]:
    said = {"message": message, "reason": reason}
    return {"type": kind, "status": "True" if status else "False", **said}


def pod(
    name: str,
    *,
    image: str = "todolist",
    labels: dict[str, str] = APP,
    ready: bool = True,
    phase: str = "Running",
    waiting: str = "",
    ended: str = "",
    unschedulable: str = "",
    port: int = 3001,
    address: str = "",
    args: Sequence[str] = (),
) -> dict:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    conditions = [condition("Ready", ready and not waiting and not unschedulable)]
    if unschedulable:
        conditions.append(condition("PodScheduled", False, unschedulable))
    return {
        "kind": "Pod",
        "metadata": meta(name, labels),
        "spec": {
            "containers": [{"image": image, "ports": [{"containerPort": port}], "args": [*args]}]
        },
        "status": {
            "phase": phase,
            "podIP": address,
            "conditions": conditions,
            "containerStatuses": [
                {"image": image, "state": state, "lastState": {"terminated": {"reason": ended}}}
            ],
        },
    }


def deployment(
    name: str = "myapp",
    *,
    replicas: int = 3,
    image: str = "todolist",
    resources: dict | None = None,
    status: dict | None = None,
    probe: dict | None = None,
    **spec: Any,
) -> dict:
    asked = {"requests": {"cpu": "200m"}} if resources is None else resources
    container = {"name": name, "image": image, "resources": asked, "readinessProbe": probe}
    return {
        "kind": "Deployment",
        "metadata": meta(name, {"app": name}),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
            **spec,
        },
        "status": status or {},
    }


def done(replicas: int) -> dict[str, int]:
    """The status of a Deployment whose roll-out has come to its end."""
    keys = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
    return dict.fromkeys(keys, replicas)


def service(
    name: str = "myapp",
    *,
    selector: dict[str, str] | None = APP,
    target: int | None = None,
    port: int = 3001,
    **spec: Any,
) -> dict:
    ports = [{"port": port} | ({"targetPort": target} if target else {})]
    return {
        "kind": "Service",
        "metadata": meta(name),
        "spec": {"selector": selector, "ports": ports, **spec},
    }


def ingress(
    name: str,
    *,
    host: str = "api.localhost",
    path: str = "/api/rule",
    backend: str = "rule",
    port: int = 3001,
) -> dict:
    target = {"service": {"name": backend, "port": {"number": port}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": target}]
    return {
        "kind": "Ingress",
        "metadata": meta(name),
        "spec": {"rules": [{"host": host, "http": {"paths": paths}}]},
    }


def endpoints(service: str = "myapp", *, ready: int = 0, unready: int = 0) -> dict:
    states = [True] * ready + [False] * unready
    return {
        "kind": "EndpointSlice",
        "metadata": meta(f"{service}-abcde", {"kubernetes.io/service-name": service}),
        "endpoints": [{"conditions": {"ready": state}} for state in states],
    }


def hpa(
    name: str = "myapp",
    *,
    of: str = "myapp",
    target: int | None = 30,
    limits: tuple[int, int] = (1, 3),
    active: bool | None = True,
    reason: str = "",
    seen: int | None = None,
    uid: str = "",
) -> dict:
    value = {"type": "Utilization", "averageUtilization": target}
    if target is None:
        value = {"type": "AverageValue", "averageValue": "100m"}
    cpu = {"name": "cpu", "target": value}
    current = [{"resource": {"name": "cpu", "current": {"averageUtilization": seen}}}]
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {**meta(name), "uid": uid},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": of},
            "minReplicas": limits[0],
            "maxReplicas": limits[1],
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
        "status": {
            "conditions": []
            if active is None
            else [condition("ScalingActive", active, "why", reason)],
            "currentMetrics": [] if seen is None else current,
        },
    }


def event(name: str, reason: str, message: str, *, uid: str = "") -> dict:
    return {
        "kind": "Event",
        "metadata": meta(f"{name}.1"),
        "involvedObject": {"name": name, "uid": uid},
        "reason": reason,
        "message": message,
    }


def container(
    name: str,
    *,
    image: str = "",
    labels: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    policy: str = "no",
    state: str = "running",
    address: str = "",
) -> dict:
    """A container of the engine: `rule-1` of the fleet's service rule."""
    service = name.partition("-")[0]
    return {
        "kind": "Container",
        "metadata": {"name": name, "labels": {"fleet": service} if labels is None else labels},
        "spec": {"image": image or f"{service}:v1", "env": env or {}, "restartPolicy": policy},
        "status": {"state": state, "address": address},
    }
