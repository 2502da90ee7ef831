from labkit.lessons.chapters.nodes_places import NODE
from tests.lessons.objects import deployment, meta, pod

CHAPTER = "05-nodes"
WORKERS = ("nodes-worker", NODE, "nodes-worker3")
TYPE, TAINT = "karpenter.sh/capacity-type", "virtual-kubelet.io/provider"


def cpu(request: str | None, limit: str | None = None) -> dict:
    given = {"requests": request, "limits": limit}
    return {kind: {"cpu": amount} for kind, amount in given.items() if amount}


def web(request: str | None = "100m", limit: str | None = "100m", **options) -> dict:
    return deployment("web", resources=cpu(request, limit), **options)


def on(node: str, name: str = "web", limit: str = "1", **options) -> dict:
    made = pod(f"{name}-on-{node}", labels={"app": name}, **options)
    made["spec"]["containers"][0]["resources"] = cpu("100m", limit)
    return made | {"spec": made["spec"] | ({"nodeName": node} if node else {})}


def node(name: str, **more) -> dict:
    kind = {"nodes-spot": "spot", "nodes-virtual": "on-demand"}.get(name)
    return {"kind": "Node", "metadata": meta(name, {TYPE: kind} if kind else {}), "spec": more}


THREE = [on(name) for name in WORKERS]
SIX = THREE * 2


# -- spread ----------------------------------------------------------------------------------

EVEN = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "DoNotSchedule",
    "nodeTaintsPolicy": "Honor",
    "labelSelector": {"matchLabels": {"app": "web"}},
}


def spread(replicas: int = 6, **change) -> dict:
    made = web(replicas=replicas)
    made["spec"]["template"]["spec"]["topologySpreadConstraints"] = [EVEN | change]
    return made


# -- drain -----------------------------------------------------------------------------------


def budget(**spec) -> dict:
    return {"kind": "PodDisruptionBudget", "metadata": meta("web"), "spec": spec}


CORDONED = node(NODE, unschedulable=True)
MOVED = [on("nodes-worker"), on("nodes-worker3")] * 3
SIX_WANTED = web(replicas=6)


# -- spot ------------------------------------------------------------------------------------

NODES = [node(name) for name in (*WORKERS, "nodes-virtual", "nodes-spot")]
TOLERATION = {"key": TAINT, "operator": "Exists"}


def batch(kind: str | None = "spot", toleration: dict | None = TOLERATION) -> dict:
    made = deployment("batch")
    spec = made["spec"]["template"]["spec"]
    spec |= {"nodeSelector": {TYPE: kind}} if kind else {}
    spec |= {"tolerations": [toleration]} if toleration else {}
    return made


AT_SPOT = on("nodes-spot", "batch")

CASES = {
    "request": {
        "right": [web(), *THREE],
        "no-deployment": [],
        "no-request": [web(None, None), *THREE],
        "too-large": [web("100", "100"), on("", unschedulable="3 Insufficient cpu")],
        "too-small": [web("10m"), *THREE],
        "no-node": [web(), *THREE[:2], on("", unschedulable="0/5 nodes are available")],
        "not-ready": [web(), *THREE[:2], on(NODE, ready=False)],
    },
    "limit": {
        "right": [web(limit="1"), *THREE],
        "no-deployment": [],
        "request-changed": [web(None, "1"), *THREE],
        "no-limit": [web(limit=None), *THREE],
        "low-limit": [web(limit="200m"), *THREE],
        "old-pods": [web(limit="1000m"), *THREE[:2], on(NODE, limit="100m")],
        "not-ready": [web(limit="1"), *THREE[:2], on(NODE, ready=False)],
    },
    "spread": {
        "right": [spread(), *SIX],
        "no-deployment": [],
        "other-number": [spread(3), *THREE],
        "no-constraint": [web(replicas=6), *SIX],
        "other-key": [spread(topologyKey="topology.kubernetes.io/zone"), *SIX],
        "only-a-wish": [spread(whenUnsatisfiable="ScheduleAnyway"), *SIX],
        "counts-others": [spread(labelSelector={"matchLabels": {"app": "myapp"}}), *SIX],
        "empty-places": [
            spread(nodeTaintsPolicy="Ignore"),
            *THREE,
            on("", unschedulable="0/5 nodes are available: 3 node(s) didn't match"),
        ],
        "uneven": [spread(), *SIX[:5], on("nodes-worker")],
    },
    "drain": {
        "right": [SIX_WANTED, budget(minAvailable="60%"), CORDONED, *MOVED],
        "no-deployment": [],
        "no-budget": [SIX_WANTED, CORDONED, *MOVED],
        "too-strict": [SIX_WANTED, budget(maxUnavailable=0), CORDONED, *SIX],
        "too-loose": [SIX_WANTED, budget(minAvailable=1), CORDONED, *MOVED],
        "not-cordoned": [SIX_WANTED, budget(minAvailable=4), node(NODE), *MOVED],
        "pods-left": [SIX_WANTED, budget(maxUnavailable=2), CORDONED, *SIX],
        "not-ready": [SIX_WANTED, budget(minAvailable=5), CORDONED, *MOVED[:5]],
    },
    "spot": {
        "right": [batch(), *NODES, AT_SPOT],
        "no-deployment": [*NODES],
        "no-toleration": [batch(toleration={"key": "spot", "operator": "Exists"}), *NODES],
        "no-such-node": [batch("cheap"), *NODES],
        "anywhere": [batch(None), *NODES, on("nodes-worker", "batch")],
        "not-spot": [batch("on-demand"), *NODES, on("nodes-virtual", "batch")],
        "elsewhere": [batch(), *NODES, AT_SPOT, on("nodes-virtual", "batch")],
    },
}
