import numpy as np
import pandas as pd

from labkit.lessons import World
from tests.lessons.objects import deployment, done

CHAPTER = "10-watching"


def given(answer):
    return World.of([], answer)


def shop(limit="500m", request="100m", replicas=2, status=None):
    limits = {"limits": {"cpu": limit}} if limit else {}
    resources = {"requests": {"cpu": request}, **limits}
    status = done(2) if status is None else status
    return deployment("shop", replicas=replicas, resources=resources, status=status)


def calling(*spans):
    """True from second to second, of the hour."""
    firing = np.zeros(3600, bool)
    for first, last in spans:
        firing[first:last] = True
    return given(pd.Series(firing))


NOTHING = given(None)
CASES = {
    "percentile": {
        "right": given(0.406),
        "no-answer": NOTHING,
        "no-number": given("0.4 s"),
        "milliseconds": given(406.25),
        "not-cumulative": given(0.837),
        "lower-bound": given(0.25),
        "upper-bound": given(0.5),
        "other": given(0.45),
    },
    "headroom": {
        "right": [shop()],
        "no-shop": [deployment()],
        "no-limit": [shop(limit="")],
        "low-limit": [shop(limit="300m")],
        "other-request": [shop(request="500m")],
        "other-replicas": [shop(replicas=5)],
        "not-rolled-out": [shop(status={**done(2), "updatedReplicas": 1, "replicas": 3})],
    },
    "increase": {
        "right": given(np.int64(140)),
        "no-answer": NOTHING,
        "no-number": given([30, 40, 10, 30, 30]),
        "first-to-last": given(-50),
        "without-sign": given(310),
        "lost-step": given(130),
        "before-first": given(260),
        "all-added": given(580),
        "other": given(70),
    },
    "alert": {
        "right": calling((2490, 2790)),
        "no-answer": NOTHING,
        "no-condition": given(pd.Series(np.ones(3600))),
        "other-length": given(pd.Series([True] * 10)),
        "silent": calling(),
        "burst": calling((901, 918), (2490, 2790)),
        "busy": calling((1205, 1206), (2490, 2790)),
        "late": calling((2700, 2790)),
        "often": calling((2490, 2500), (2520, 2790)),
        "endless": calling((2490, 3500)),
    },
}
