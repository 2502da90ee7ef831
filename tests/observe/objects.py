"""Objects as an API server would answer them."""

from __future__ import annotations

from typing import Any


def deployment(replicas: int = 3, ready: int | None = 2) -> dict[str, Any]:
    status = {} if ready is None else {"readyReplicas": ready}
    selector = {"matchLabels": {"app": "web"}}
    return {
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": selector},
        "status": status,
    }


def autoscaler(target: str = "web", utilization: int | None = 120) -> dict[str, Any]:
    current = {"averageUtilization": utilization, "averageValue": "240m"}
    metric = {"type": "Resource", "resource": {"name": "cpu", "current": current}}
    goal = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    return {
        "metadata": {"name": "web-hpa"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": target, "apiVersion": "apps/v1"},
            "metrics": [{"type": "Resource", "resource": goal}],
        },
        "status": {
            "currentReplicas": 2,
            "desiredReplicas": 4,
            "currentMetrics": None if utilization is None else [metric],
        },
    }


def decided(current: int, desired: int, because: str) -> dict[str, Any]:
    """The lab's autoscaler after a look."""
    told = {"name": "web-hpa", "annotations": {"autoscaling.labkit/decision": because}}
    status = {"currentReplicas": current, "desiredReplicas": desired}
    return {**autoscaler(), "metadata": told, "status": status}


def pod(
    phase: str, cpu: str | None = "200m", memory: str | None = "64Mi", **metadata: str
) -> dict[str, Any]:
    wanted = {"cpu": cpu, "memory": memory}
    resources = {"requests": {name: amount for name, amount in wanted.items() if amount}}
    container = {"name": "web", "resources": resources}
    return {
        "metadata": {"name": "web-1", **metadata},
        "spec": {"containers": [container, {"name": "sidecar"}]},
        "status": {"phase": phase},
    }


def pod_metrics(*usages: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-1"},
        "containers": [{"name": "web", "usage": {"cpu": cpu, "memory": "1Mi"}} for cpu in usages],
    }


def event(reason: str, at: str, kind: str = "Deployment", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": f"web.{reason}", "creationTimestamp": at},
        "involvedObject": {"kind": kind, "name": "web"},
        "reason": reason,
        "message": f"{reason} happened",
        "lastTimestamp": at,
        **more,
    }
