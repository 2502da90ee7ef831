from tests.lessons.objects import APP, deployment, done, meta

CHAPTER = "07-change"
HTTP = {"httpGet": {"path": "/readyz", "port": 3001}}
WAIT = {"preStop": {"sleep": {"seconds": 2}}}


def app(status: dict | None = None, template: dict | None = None, **container: object) -> dict:
    made = deployment(replicas=4, status=status or done(4))
    made["spec"]["template"]["spec"] |= template or {}
    made["spec"]["template"]["spec"]["containers"][0] |= container
    return made


def probed(path: str = "/readyz", port: int = 3001, **options: object) -> dict:
    return app(readinessProbe={"httpGet": {"path": path, "port": port}}, **options)


def strategy(replicas: int = 4, kind: str = "RollingUpdate", **rolling: object) -> list[dict]:
    return [deployment(replicas=replicas, strategy={"type": kind, "rollingUpdate": rolling})]


def paused() -> dict:
    made = probed()
    made["spec"]["paused"] = True
    return made


def hook(seconds: int, grace: int = 30) -> dict:
    template = {"terminationGracePeriodSeconds": grace}
    return app(template=template, lifecycle={"preStop": {"sleep": {"seconds": seconds}}})


def budget(labels: dict[str, str] = APP, allowed: int = 1, **spec: object) -> list[dict]:
    made = {
        "kind": "PodDisruptionBudget",
        "metadata": meta("myapp"),
        "spec": {"selector": {"matchLabels": labels}, **spec},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 3 + allowed},
    }
    return [app(), made]


LATE = {"replicas": 5, "updatedReplicas": 2, "availableReplicas": 3}

CASES = {
    "probe": {
        "right": [probed()],
        "no-deployment": [],
        "liveness-only": [app(livenessProbe=HTTP)],
        "no-probe": [app()],
        "other-path": [probed("/ready")],
        "other-port": [probed(port=8080)],
        "not-rolled-out": [probed(status=LATE)],
    },
    "surge": {
        "right": strategy(maxUnavailable=0, maxSurge="50%"),
        "no-deployment": [],
        "recreate": strategy(kind="Recreate"),
        "other-number": strategy(replicas=5, maxUnavailable=0),
        "some-missing": strategy(maxSurge=1),
        "too-many": strategy(maxUnavailable="20%", maxSurge="60%"),
    },
    "stuck": {
        "right": [probed()],
        "no-deployment": [],
        "paused": [paused()],
        "without-probe": [app()],
        "other-path": [probed("/helthz")],
        "other-port": [probed(port=80)],
        "not-rolled-out": [probed(status=LATE)],
    },
    "pre-stop": {
        "right": [app(lifecycle=WAIT)],
        "no-deployment": [],
        "other-hook": [app(lifecycle={"postStart": WAIT["preStop"]})],
        "no-hook": [app()],
        "too-short": [hook(0)],
        "no-grace": [hook(5, grace=5)],
        "not-rolled-out": [app(LATE, lifecycle=WAIT)],
    },
    "budget": {
        "right": budget(minAvailable="75%"),
        "no-deployment": [],
        "no-budget": [app()],
        "other-pods": budget({"app": "other"}, maxUnavailable=1),
        "allows-nothing": budget(minAvailable=4, allowed=0),
        "allows-more": budget(maxUnavailable="50%", allowed=2),
        "some-are-missing": budget(maxUnavailable=1, allowed=0),
    },
}
