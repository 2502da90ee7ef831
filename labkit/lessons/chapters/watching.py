"""10 · Watching it: a percentile out of buckets, room for a CPU, a counter's increase, an alert.

The answers are numbers and a Series, one Deployment apart; the hour that the alert is for is played
in virtual time, so it is known when something is wrong in it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd

from labkit.kube.quantity import milli_value
from labkit.lessons import evidence
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World

Got = Callable[[World], str | None]


def _missing(world: World) -> str | None:
    return "nothing" if world.answer is None else None


def _no_number(world: World) -> str | None:
    answer = world.answer
    number = isinstance(answer, int | float | np.number) and not isinstance(answer, bool)
    return None if number and np.isfinite(answer) else repr(answer)


def _near(wanted: float, share: float = 0.01) -> Got:
    """The answer is about `wanted`, which is wrong."""
    return lambda world: (
        f"{world.answer:g}" if abs(world.answer - wanted) <= share * abs(wanted) else None
    )


def _not_near(wanted: float, share: float) -> Got:
    return lambda world: (
        None if abs(world.answer - wanted) <= share * wanted else f"{world.answer:g}"
    )


def _answered(name: str, hint: str) -> Wrong:
    return Wrong("no-answer", _missing, expected=f"a value in `{name}`", hint=hint, look=name)


# -- a percentile out of buckets -------------------------------------------------------------

_BUCKETS = {0.1: 50, 0.25: 80, 0.5: 96, 1.0: 100}
_P90 = 0.25 + 0.25 * 10 / 16
_UNITS = "the 90th percentile, in seconds"


def _percentile(name: str, got: Got, hint: str) -> Wrong:
    return Wrong(name, got, expected=_UNITS, hint=hint, look="p90")


PERCENTILE = Exercise(
    "percentile",
    "The 90th percentile of 100 requests, out of four buckets",
    wrong=(
        _answered("p90", "Write `p90 = ` and your number, and check again."),
        _percentile("no-number", _no_number, "One number is asked for, such as 0.3."),
        _percentile(
            "milliseconds",
            _near(_P90 * 1000),
            "The bounds of the buckets are seconds, and so is what comes out of them.",
        ),
        _percentile(
            "not-cumulative",
            _near(0.5 + 0.5 * 67.4 / 100),
            "A bucket holds all that took at most so long, those of the buckets before it too. "
            "There are 100 requests and not 326.",
        ),
        _percentile(
            "lower-bound",
            _near(0.25),
            "80 of 100 were within 0.25 s. The 90th was slower than that.",
        ),
        _percentile(
            "upper-bound",
            _near(0.5),
            "It lies in this bucket, but 96 of 100 were within 0.5 s. How far into the bucket is "
            "the 90th, if its 16 requests are spread evenly?",
        ),
        _percentile(
            "other",
            _not_near(_P90, 0.01),
            "Which bucket has the 90th request? How many of the bucket's own come before it, and "
            "what share of its width is that?",
        ),
    ),
    right="0.25 s + 10/16 of the 0.25 s to the next bound: an estimate, good to one bucket.",
)

# -- room for the CPU ------------------------------------------------------------------------

_SHOP, _LIMIT, _REQUEST = "deployment/shop", 500, 100


def _no_shop(world: World) -> str | None:
    return None if world.get(_SHOP) else f"the Deployments {world.names('deployments')}"


def _asked(world: World, part: str) -> str:
    resources = evidence.containers(world.get(_SHOP))[0].get("resources") or {}
    return (resources.get(part) or {}).get("cpu", "")


def _no_limit(world: World) -> str | None:
    return None if _asked(world, "limits") else "no CPU limit"


def _low_limit(world: World) -> str | None:
    limit = _asked(world, "limits")
    return f"limits: cpu: {limit}" if milli_value(limit) < _LIMIT else None


def _other_request(world: World) -> str | None:
    request = _asked(world, "requests")
    same = request and milli_value(request) == _REQUEST
    return None if same else f"requests: cpu: {request or 'none'}"


def _other_replicas(world: World) -> str | None:
    count = world.get(_SHOP)["spec"].get("replicas", 1)
    return None if count == 2 else f"replicas: {count}"


def _not_rolled(world: World) -> str | None:
    status = world.get(_SHOP).get("status") or {}
    found = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    seen = status.get("observedGeneration") == world.get(_SHOP)["metadata"].get("generation")
    same = seen and found == (2, 2) and status.get("replicas") == 2
    return None if same else f"{found[0]} Pods of the new kind, {found[1]} Pods ready"


HEADROOM = Exercise(
    "headroom",
    "Two Pods of the shop may use half a CPU each, and no more",
    wrong=(
        Wrong(
            "no-shop",
            _no_shop,
            expected="a Deployment named shop",
            hint="Apply the manifest of this chapter again.",
            look="kubectl get deployments",
        ),
        Wrong(
            "no-limit",
            _no_limit,
            expected=f"a CPU limit of {_LIMIT}m",
            hint="Without a limit nothing is throttled, and one Pod may take all that a node has "
            "left. Here a limit is asked for, a higher one.",
            look="kubectl describe deployment shop",
        ),
        Wrong(
            "low-limit",
            _low_limit,
            expected=f"limits: cpu: {_LIMIT}m, or more",
            hint="With 200m a tenth of a second holds 20 ms of CPU. Two requests that come at the "
            "same time need 40 ms.",
            look="kubectl describe deployment shop",
        ),
        Wrong(
            "other-request",
            _other_request,
            expected=f"requests: cpu: {_REQUEST}m",
            hint="The request is for the scheduler, which keeps that much free on a node. What a "
            "container may use at most is its limit.",
            look="kubectl describe deployment shop",
        ),
        Wrong(
            "other-replicas",
            _other_replicas,
            expected="replicas: 2",
            hint="More Pods would help as well, and be paid for. Leave the number as it is.",
            look="kubectl get deployment shop",
        ),
        Wrong(
            "not-rolled-out",
            _not_rolled,
            expected="2 new Pods, ready, and no old ones",
            hint="A new limit is a new template, so there are new Pods. The rolling update takes a "
            "moment.",
            look="kubectl rollout status deployment shop",
            settles=True,
        ),
    ),
    right="The request has not changed, so the nodes are no fuller than before.",
)

# -- a counter that begins again -------------------------------------------------------------

_SCRAPES = (120, 150, 190, 10, 40, 70)
_STEPS = np.diff(_SCRAPES)
_LOOK = f"pd.Series({[*_SCRAPES]}).diff()"
_INCREASE = int(sum(b - a if b >= a else b for a, b in pairwise(_SCRAPES)))


def _increase(name: str, wanted: float, hint: str) -> Wrong:
    expected = "how many requests there were between the first and the last scrape, at least"
    return Wrong(name, _near(wanted, 0.001), expected=expected, hint=hint, look=_LOOK)


INCREASE = Exercise(
    "increase",
    "How many requests a counter tells of that began again",
    wrong=(
        _answered("requests", "Write `requests = ` and your number, and check again."),
        Wrong(
            "no-number",
            _no_number,
            expected="a number",
            hint="`.sum()` of a Series is a number.",
            look="type(requests)",
        ),
        _increase(
            "first-to-last",
            _SCRAPES[-1] - _SCRAPES[0],
            "Nobody takes requests back. Between 190 and 10 the process was started anew.",
        ),
        _increase(
            "without-sign",
            int(abs(_STEPS).sum()),
            "From 190 to 10 there were not 180 requests. What does a new process begin with?",
        ),
        _increase(
            "lost-step",
            int(_STEPS[_STEPS > 0].sum()),
            "The step down is no step to leave out: a new counter began at 0, and 10 requests "
            "have come since.",
        ),
        _increase(
            "before-first",
            _SCRAPES[0] + _INCREASE,
            "120 requests had come before the first scrape. Its difference to the one before is "
            "not known.",
        ),
        _increase(
            "all-added",
            sum(_SCRAPES),
            "Each number counts from the process's start on; it already has all before it.",
        ),
        Wrong(
            "other",
            _not_near(_INCREASE, 0.001),
            expected="how many requests there were between the first and the last scrape, at least",
            hint="Go from scrape to scrape and add what came. Where the number falls, all of the "
            "new one came since the restart.",
            look=_LOOK,
        ),
    ),
    right="30 + 40 + 10 + 30 + 30. What came just before the restart is lost: rates are estimates.",
)

# -- an alert --------------------------------------------------------------------------------

# Seconds of the hour: what is wrong, and when users feel nothing that lasts.
_BUSY, _LOST, _BACK, _END = 1200, 2400, 2761, 3600
_SOON = 180


def _no_series(world: World) -> str | None:
    answer = world.answer
    if not isinstance(answer, pd.Series):
        return f"a {type(answer).__name__}"
    return None if answer.dtype == bool else f"a Series of {answer.dtype}"


def _other_length(world: World) -> str | None:
    return None if abs(len(world.answer) - _END) <= 1 else f"{len(world.answer)} rows"


def _firing(world: World) -> np.ndarray:
    return np.flatnonzero(world.answer.to_numpy())


def _clock(second: int) -> str:
    return f"{second // 60}:{second % 60:02d}"


def _between(first: int, last: int) -> Got:
    def got(world: World) -> str | None:
        firing = _firing(world)
        found = firing[(first <= firing) & (firing < last)]
        return f"it calls at {_clock(found[0])}" if len(found) else None

    return got


def _silent(world: World) -> str | None:
    return None if len(_firing(world)) else "it never calls"


def _late(world: World) -> str | None:
    firing = _firing(world)
    after = firing[firing >= _LOST]
    if not len(after) or after[0] >= _BACK:
        return "it does not call between 40:00 and 46:00"
    return f"it calls at {_clock(after[0])}" if after[0] > _LOST + _SOON else None


def _often(world: World) -> str | None:
    calling = world.answer.to_numpy().astype(int)
    count = int((np.diff(calling, prepend=0) > 0).sum())
    return f"{count} calls" if count > 1 else None


def _endless(world: World) -> str | None:
    last = _firing(world)[-1]
    return f"it calls until {_clock(last)}" if last > _BACK + _SOON else None


def _alert(name: str, got: Got, expected: str, hint: str) -> Wrong:
    return Wrong(name, got, expected=expected, hint=hint, look="hour.t[alert]")


ALERT = Exercise(
    "alert",
    "One call, within three minutes of what hurts, and none for noise",
    wrong=(
        _answered("alert", "Write a condition on `hour`, and call it `alert`."),
        _alert(
            "no-condition",
            _no_series,
            "a Series of true and false",
            "A comparison of a column is one: `hour.p99 > 500`. `calls` makes another of it.",
        ),
        _alert(
            "other-length",
            _other_length,
            "a value for each second of `hour`",
            "Calculate with whole columns; `rolling` keeps their length.",
        ),
        _alert(
            "silent",
            _silent,
            "a call after 40:00",
            "While the node is away some single seconds are good all the same, and each begins the "
            "wait anew. Smooth the column first: `hour.p99.rolling(60).median()`.",
        ),
        _alert(
            "burst",
            _between(0, _BUSY),
            "silence in the first twenty minutes",
            "A burst of ten seconds is over before anybody has opened a laptop. How long must it "
            "hold, or over how long do you take the median?",
        ),
        _alert(
            "busy",
            _between(_BUSY, _LOST),
            "silence from 20:00 to 40:00",
            "The CPU works hard there, and of 600 seconds fewer than 80 were slow. Ask what most "
            "of a minute was like.",
        ),
        _alert(
            "late",
            _late,
            "a call between 40:00 and 43:00",
            "From 40:00 on users wait. A window and a duration both cost time: count them "
            "together.",
        ),
        _alert(
            "often",
            _often,
            "one call",
            "It calls, stops and calls again for the same trouble. More smoothing holds it steady.",
        ),
        _alert(
            "endless",
            _endless,
            "silence again by 49:00",
            "At 46:00 a new Pod serves. A window that is too long does not notice.",
        ),
    ),
    right="It speaks of what users notice, has waited until it was sure, and calls once.",
)

CHAPTER = Chapter("10-watching", "Watching it", (PERCENTILE, HEADROOM, INCREASE, ALERT))
