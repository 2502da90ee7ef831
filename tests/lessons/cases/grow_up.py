from types import SimpleNamespace

import pandas as pd

from labkit.lessons import World
from labkit.simulate import Recording
from tests.lessons.objects import deployment, hpa, meta, pod

CHAPTER = "11-grow-up"

APP = {"app": "grown"}
SMALL = {"requests": {"cpu": "100m"}}


def grown(image="todolist:grown", *, policy="IfNotPresent", **of):
    made = deployment("grown", image=image, **{"resources": {}, **of})
    made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = policy
    return made


def runs(number=1, **of):
    return [pod(f"grown-{n}", labels=APP, image="todolist:grown", **of) for n in range(number)]


def quota(cpu="500m"):
    return {
        "kind": "ResourceQuota",
        "metadata": meta("team"),
        "spec": {"hard": {"requests.cpu": cpu}},
    }


def three(resources=SMALL, *, ready=True, replicas=3, cpu="500m"):
    return [
        grown(resources=resources, replicas=replicas),
        quota(cpu),
        *runs(3, ready=ready),
    ]


def played(*, requests=1500, settings=None, left=1, behavior=None):
    """A recording of `wave`, as far as the check looks at it."""
    autoscaler = {"kind": "HorizontalPodAutoscaler", "spec": behavior or {}}
    scenario = SimpleNamespace(settings=settings or {}, manifests=[autoscaler], seconds=480)
    frame = pd.DataFrame({"offered": [requests, 0], "replicas_ready": [3, left]})
    nothing = pd.DataFrame()
    return World.of([], Recording(scenario, frame, nothing, nothing, nothing, nothing))


def autoscaler(**behavior):
    made = hpa("grown", of="grown", target=60)
    made["spec"]["behavior"] = {
        way: {"stabilizationWindowSeconds": seconds} for way, seconds in behavior.items()
    }
    return [grown(), made]


CASES = {
    "image": {
        "right": [grown(), *runs()],
        "no-deployment": [deployment("myapp")],
        "other-image": [grown("todolist"), *runs()],
        "other-policy": [grown(policy="Always"), *runs(waiting="ErrImagePull")],
        "wrong-machine": [grown(), *runs(waiting="CrashLoopBackOff")],
        "not-there": [grown(), *runs(waiting="ImagePullBackOff")],
        "not-ready": [grown(), *runs(ready=False)],
    },
    "quota": {
        "right": three(),
        "no-deployment": [quota()],
        "no-quota": three(cpu="2"),
        "replicas": three(replicas=1),
        "no-request": three({"limits": {"memory": "128Mi"}}),
        "too-much": three({"limits": {"cpu": "150m"}}),
        "not-ready": three(ready=False),
    },
    "slow": {
        "right": played(),
        "no-answer": World.of([]),
        "not-played": World.of([], "a scenario"),
        "other-load": played(requests=3000),
        "still-quick": played(settings={"horizontal_pod_autoscaler_sync_period": 1}),
        "own-window": played(behavior={"behavior": {"scaleDown": {}}}),
        "too-short": played(left=3),
    },
    "window": {
        "right": autoscaler(scaleDown=60),
        "no-hpa": [grown(), hpa("myapp")],
        "other-limits": [grown(), hpa("grown", of="grown", limits=(1, 10))],
        "up-not-down": autoscaler(scaleUp=60),
        "default": [grown(), hpa("grown", of="grown")],
        "other-window": autoscaler(scaleDown=0),
    },
}
