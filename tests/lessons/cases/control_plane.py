from typing import Any

from tests.lessons.objects import deployment, event, meta, pod

CHAPTER = "02-control-plane"
KEY = "node-role.kubernetes.io/control-plane"
WEB, SHOP = {"app": "web"}, {"app": "shop"}
NOT_READY = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}


def replicaset(name: str, replicas: int) -> dict:
    return {**deployment(name, replicas=replicas), "kind": "ReplicaSet"}


def made(
    name: str = "web-by-hand", *, labels: dict = WEB, owner: str = "", spec: dict | None = None,
    **state: Any,
) -> dict:  # fmt: skip
    found = pod(name, labels=labels, **state)
    owners = [{"kind": "ReplicaSet", "name": owner}] if owner else []
    found["metadata"] |= {"uid": name, "ownerReferences": owners}
    found["spec"] |= spec or {}
    return found


def on(node: str) -> dict:
    return {"nodeName": node}


def node(*effects: str) -> dict:
    return {
        "kind": "Node",
        "metadata": meta("plane-worker2"),
        "spec": {"taints": [{"key": KEY, "effect": effect} for effect in effects]},
    }


def guest(*tolerations: dict, node: str = "plane-worker2", **state: Any) -> dict:
    spec = on(node) | {"tolerations": [*tolerations, NOT_READY]}
    return made("guest", labels={}, spec=spec, **state)


def shop(number: int, node: str = "plane-worker", **state: Any) -> dict:
    return made(f"shop-{number}", labels=SHOP, spec=on(node), **state)


def unreported(found: dict) -> dict:
    return {**found, "status": {"phase": "Pending", "conditions": []}}


def scheduled(uid: str) -> dict:
    found = event("web-by-hand", "Scheduled", "Successfully assigned default/web-by-hand")
    found["involvedObject"]["uid"] = uid
    return found


TOLERATED = {"key": KEY, "operator": "Exists", "effect": "NoSchedule"}
ADOPTED = made(owner="web")
SECOND = made("web-1", owner="web")
THREE = [shop(1), shop(2, "plane-worker2"), shop(3)]

CASES = {
    "adopt": {
        "right": [replicaset("web", 2), ADOPTED, SECOND],
        "no-replicaset": [replicaset("shop", 3), ADOPTED],
        "no-pod": [replicaset("web", 2), SECOND],
        "other-label": [replicaset("web", 2), made(labels={"run": "web-by-hand"})],
        "not-adopted": [replicaset("web", 2), made()],
        "other-count": [replicaset("web", 2), ADOPTED],
    },
    "bind": {
        "right": [made(spec=on("plane-worker2")), scheduled("an-earlier-one")],
        "no-pod": [SECOND],
        "no-node": [made()],
        "other-node": [made(spec=on("plane-worker"))],
        "by-scheduler": [made(spec=on("plane-worker2")), scheduled("web-by-hand")],
    },
    "guest": {
        "right": [node("NoSchedule"), guest(TOLERATED)],
        "no-taint": [node(), guest(TOLERATED)],
        "no-guest": [node("NoSchedule"), ADOPTED],
        "no-toleration": [node("NoSchedule"), guest(node="plane-worker")],
        "other-toleration": [
            node("NoSchedule"),
            guest({"key": KEY, "operator": "Equal", "value": "true", "effect": "NoSchedule"}),
        ],
        "elsewhere": [node("NoSchedule"), guest(TOLERATED, node="plane-worker")],
        "not-ready": [node("NoSchedule"), guest(TOLERATED, ready=False, phase="Succeeded")],
    },
    "repair": {
        "right": [replicaset("shop", 3), *THREE],
        "no-replicaset": [replicaset("web", 2), ADOPTED, SECOND],
        "other-wish": [replicaset("shop", 0)],
        "nobody-counts": [replicaset("shop", 3), *THREE[:1]],
        "no-place": [
            replicaset("shop", 3),
            *THREE[:2],
            shop(3, "", unschedulable="0/2 nodes are available: 2 Insufficient cpu."),
        ],
        "nobody-chooses": [replicaset("shop", 3), *THREE[:2], unreported(shop(3, ""))],
        "nobody-starts": [replicaset("shop", 3), *THREE[:2], unreported(shop(3))],
        "not-ready": [replicaset("shop", 3), *THREE[:2], shop(3, ready=False)],
    },
}
