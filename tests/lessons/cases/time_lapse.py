from types import SimpleNamespace

import pandas as pd

from labkit.lessons import World
from labkit.simulate import Recording, Scenario

CHAPTER = "09-time-lapse"


def given(answer):
    return World.of([], answer)


def scenario(*, cpu_ms=20, start=10, target=60, minutes=20):
    """Of what a check reads of it."""
    container = {"resources": {"requests": {"cpu": "200m", "memory": "256Mi"}}}
    metric = {"resource": {"name": "cpu", "target": {"averageUtilization": target}}}
    deployment = {"spec": {"template": {"spec": {"containers": [container]}}}}
    return SimpleNamespace(
        application=SimpleNamespace(cpu_ms=cpu_ms),
        start=SimpleNamespace(median=start),
        seconds=minutes * 60,
        manifests=[
            {"kind": "Deployment", **deployment},
            {"kind": "HorizontalPodAutoscaler", "spec": {"metrics": [metric]}},
        ],
    )


def recording(requests, *, replicas=(1, 5, 5, 5), over=0, pods=5, **of):
    """So many requests, `over` seconds too late; `pods` Pods all of the time."""
    played = scenario(**of)
    seconds = played.seconds
    moved = [replicas[len(replicas) * t // seconds] for t in range(seconds)]
    frame = pd.DataFrame({"t": range(1, seconds + 1), "replicas_spec": moved})
    frame = frame.assign(
        offered=requests / seconds, completed=1.0, errors=0.0, pods_running=pods, pods_pending=0.0,
        p99=[900.0] * over + [50.0] * (seconds - over), cpu_request_milli=200.0 * pods,
        memory_request_mib=256.0 * pods,
    )  # fmt: skip
    nothing = pd.DataFrame(columns=["cost"])
    return given(Recording(played, frame, nothing, nothing, nothing, nothing))


def waves(**of):
    return recording(16_500, **of)


def sale(**of):
    return recording(39_000, **{"minutes": 30, "pods": 3, **of})


def measured(**of):
    return recording(1504, **{"minutes": 4, "cpu_ms": 20.51, **of})


def board(*rows):
    return given(pd.DataFrame(rows, columns=["cost", "p99_ms"]))


PLAN = given(object.__new__(Scenario))
NOTHING = given(None)
CASES = {
    "decision": {
        "right": given(6),
        "no-answer": NOTHING,
        "no-number": given(5.5),
        "tolerated": given(4),
        "rounded-down": given(5),
        "without-current": given(2),
        "limit": given(10),
        "other": given(7),
    },
    "calm": {
        "right": waves(),
        "no-answer": NOTHING,
        "not-played": PLAN,
        "other-trace": recording(16_500, minutes=40),
        "other-app": waves(cpu_ms=10),
        "fixed": waves(replicas=(5, 5)),
        "flaps": waves(replicas=(1, 5, 1, 5, 1)),
        "late": waves(over=41),
    },
    "policy": {
        "right": sale(over=9),
        "no-answer": NOTHING,
        "not-played": PLAN,
        "other-trace": sale(minutes=20),
        "other-app": sale(start=1),
        "late": sale(over=11),
        "dear": sale(pods=5),
    },
    "ranking": {
        "right": board((0.01, 240), (0.02, 90)),
        "no-answer": NOTHING,
        "no-table": given(pd.Series([0.01, 0.02], name="cost")),
        "empty": board(),
        "too-slow": board((0.005, 900), (0.01, 240)),
        "unsorted": board((0.02, 90), (0.01, 240)),
    },
    "forecast": {
        "right": measured(),
        "no-answer": NOTHING,
        "not-played": PLAN,
        "not-fitted": measured(cpu_ms=20),
        "other-load": recording(4000, minutes=4, cpu_ms=20.51),
        "other-target": measured(target=30),
    },
}
