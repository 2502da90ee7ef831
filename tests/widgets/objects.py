"""API objects for the views' tests: nodes, Pods in each state, a Service with its endpoints."""

from __future__ import annotations

from labkit.widgets.map_state import Objects

NOW = 1_800_000_000.0


def node(name: str, *, ready: bool = True, cordoned: bool = False) -> dict:
    return {
        "metadata": {"name": name},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {
            "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
        },
    }


def pod(
    name: str, on: str = "", state: str = "Ready", *, address: str = "", namespace: str = "default"
) -> dict:
    """A Pod that requests 100m and 64Mi, `state` as the map calls it or a reason of waiting."""
    meta = {
        "name": name,
        "namespace": namespace,
        "uid": name,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if state == "Terminating":
        meta["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    requests = {"cpu": "100m", "memory": "64Mi"}
    spec = {"containers": [{"name": "c", "resources": {"requests": requests}}]}
    if on:
        spec["nodeName"] = on
    return {"metadata": meta, "spec": spec, "status": _status(state, on, address)}


def _status(state: str, on: str, address: str) -> dict:
    phase = {"Pending": "Pending", "Completed": "Succeeded", "Failed": "Failed"}
    ready = state in ("Ready", "Terminating")
    waiting = {"reason": state if state not in ("Ready", "Not ready", "Terminating") else ""}
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    if state in ("CrashLoopBackOff", "Ready", "Not ready", "Terminating"):
        phase[state] = "Running"
    found = {
        "phase": phase.get(state, "Pending"),
        "podIP": address,
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }
    if on and state not in ("Pending", "Completed", "Failed"):
        now = {"waiting": waiting} if waiting["reason"] else running
        one = {"name": "c", "ready": ready, "restartCount": 0, "state": now}
        found["containerStatuses"] = [one]
    return found


def service(name: str, node_port: int | None = None) -> dict:
    port = {"port": 3001, "protocol": "TCP"}
    if node_port:
        port["nodePort"] = node_port
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "NodePort" if node_port else "ClusterIP",
            "clusterIP": "127.96.0.20",
            "ports": [port],
        },
    }


def slice_(name: str, ready: list[str], waiting: list[str] | None = None) -> dict:
    meta = {
        "name": f"{name}-x",
        "namespace": "default",
        "labels": {"kubernetes.io/service-name": name},
    }
    endpoints = [{"addresses": [one], "conditions": {"ready": True}} for one in ready]
    endpoints += [{"addresses": [one], "conditions": {"ready": False}} for one in waiting or ()]
    return {"metadata": meta, "endpoints": endpoints, "ports": [{"port": 3001}]}


def cluster(pods: int = 30) -> Objects:
    """Three nodes with so many Pods, most of them Ready, of two Services."""
    nodes = [node("lab-worker"), node("lab-worker2"), node("lab-worker3", cordoned=True)]
    states = {3: "Not ready", 8: "CrashLoopBackOff", 11: "Terminating", 14: "ContainerCreating",
              17: "Completed"}  # fmt: skip
    made = []
    for number in range(pods):
        on = nodes[number % 3]["metadata"]["name"]
        address = f"127.244.{number % 3 + 1}.{number + 2}"
        app = "web" if number < 12 else "rule"
        name = f"{app}-5d8f7c9b4d-x{number:04d}"
        made.append(pod(name, on, states.get(number, "Ready"), address=address))
    made.append(pod("web-5d8f7c9b4d-wait1", "", "Pending"))
    ready = [one["status"]["podIP"] for one in made if one["status"]["phase"] == "Running"]
    return Objects(
        tuple(nodes),
        tuple(made),
        (service("web", 30080), service("rule")),
        (slice_("web", ready[:8], ready[8:10]), slice_("rule", ready[10:])),
    )
