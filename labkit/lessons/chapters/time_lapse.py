"""09 · Time-lapse: answers that are numbers, recordings of simulations, and tables of scores.

No cluster is looked at.  A recording knows its scenario, so a check sees whether it was played on
the trace that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from labkit import simulate
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World
from labkit.observe import scores

#: What 99 of 100 requests shall take at most, in this chapter (ms).
OBJECTIVE_MS = 250

Got = Callable[[World], str | None]


def _missing(world: World) -> str | None:
    return "nothing" if world.answer is None else None


def _no_recording(world: World) -> str | None:
    return (
        None if isinstance(world.answer, simulate.Recording) else f"a {type(world.answer).__name__}"
    )


def _answered(name: str, hint: str) -> Wrong:
    return Wrong("no-answer", _missing, expected=f"a value in `{name}`", hint=hint, look=name)


def _played(name: str) -> Wrong:
    return Wrong(
        "not-played",
        _no_recording,
        expected="the recording of a simulation",
        hint="A scenario is only a plan: `Simulation(vary(...)).run()` plays it and gives the "
        "recording.",
        look=f"type({name})",
    )


def _requests(recording: simulate.Recording) -> int:
    return round(recording.frame["offered"].sum())


def _other_trace(requests: int, minutes: float) -> Got:
    def got(world: World) -> str | None:
        found = _requests(world.answer), world.answer.scenario.seconds / 60
        if found == (requests, minutes):
            return None
        return f"{found[0]} requests in {found[1]:g} minutes"

    return got


def _trace(name: str, trace: str, requests: int, minutes: float) -> Wrong:
    return Wrong(
        "other-trace",
        _other_trace(requests, minutes),
        expected=f"the trace `{trace}`: {requests} requests in {minutes:g} minutes",
        hint=f"Policies can be compared on the same load alone. Vary `{trace}` and leave its load.",
        look=f"{name}.frame.offered.sum()",
    )


def _other_app(world: World) -> str | None:
    app, start = world.answer.scenario.application, world.answer.scenario.start.median
    pod = _manifest(world.answer, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    cpu = pod["resources"]["requests"]["cpu"]
    if (app.cpu_ms, start, cpu) == (20, 10, "200m"):
        return None
    return f"{app.cpu_ms:g} ms of CPU a request, Pods ready after {start:g} s, requests of {cpu}"


def _manifest(recording: simulate.Recording, kind: str) -> Any:
    return next(one for one in recording.scenario.manifests if one["kind"] == kind)


def _app(name: str) -> Wrong:
    return Wrong(
        "other-app",
        _other_app,
        expected="20 ms of CPU a request, Pods ready after 10 s, requests of 200m",
        hint="A quicker app would help, but it is not what is asked here: change the autoscaler "
        "alone.",
        look=f"{name}.scenario",
    )


def _score(world: World, name: str) -> float:
    return float(scores(world.answer, OBJECTIVE_MS)[name])


def _late(most: float) -> Got:
    def got(world: World) -> str | None:
        over = _score(world, "seconds_over")
        return f"{over:g} s" if over > most else None

    return got


# -- one decision by hand --------------------------------------------------------------------

_PODS, _SEEN, _TARGET, _MOST = 4, 83, 60, 10
_WANTED = math.ceil(_PODS * _SEEN / _TARGET)


def _no_number(world: World) -> str | None:
    answer = world.answer
    whole = isinstance(answer, int | float) and not isinstance(answer, bool) and answer % 1 == 0
    return None if whole else repr(answer)


def _is(number: int) -> Got:
    return lambda world: f"{number}" if world.answer == number else None


def _decision(name: str, got: Got, hint: str) -> Wrong:
    return Wrong(name, got, expected="⌈current × utilization / target⌉", hint=hint, look="decision")


DECISION = Exercise(
    "decision",
    f"How many Pods the autoscaler wants when {_PODS} of them are at {_SEEN} %",
    wrong=(
        _answered("decision", "Write `decision = ` and your number, and check again."),
        _decision(
            "no-number",
            _no_number,
            "There is no half of a Pod. The brackets say what becomes of a fraction.",
        ),
        _decision(
            "tolerated",
            _is(_PODS),
            f"It would stay at {_PODS} if {_SEEN} % were within a tenth of {_TARGET} %.",
        ),
        _decision(
            "rounded-down",
            _is(_PODS * _SEEN // _TARGET),
            "The brackets round up: rather a Pod too many than one too few.",
        ),
        _decision(
            "without-current",
            _is(math.ceil(_SEEN / _TARGET)),
            f"{_SEEN} % is an average over all Pods, so the work is {_PODS} times that.",
        ),
        _decision(
            "limit",
            _is(_MOST),
            "The maximum is a limit to what the arithmetic asks for, and no goal.",
        ),
        _decision(
            "other",
            lambda world: None if world.answer == _WANTED else f"{world.answer:g}",
            f"The work is {_PODS} × {_SEEN} %. How many Pods of {_TARGET} % hold it?",
        ),
    ),
    right=f"⌈{_PODS} × {_SEEN} / {_TARGET}⌉ = {_WANTED}, and the limits allow it.",
)

# -- flapping stopped ------------------------------------------------------------------------


def _fixed(world: World) -> str | None:
    return "no change at all" if _score(world, "churn") == 0 else None


def _flaps(world: World) -> str | None:
    reversals = _score(world, "reversals")
    return f"{reversals:g} reversals" if reversals > 2 else None


CALM = Exercise(
    "calm",
    "The autoscaler rides out the waves",
    wrong=(
        _answered("calm", "Play `waves` with another scaleDown, and call the recording `calm`."),
        _played("calm"),
        _trace("calm", "waves", 16_500, 20),
        _app("calm"),
        Wrong(
            "fixed",
            _fixed,
            expected="an autoscaler that may still change the number of Pods",
            hint="With equal limits nothing flaps, and nothing scales. It should wait before it "
            "scales in, not stop working.",
            look="calm.frame.replicas_spec.unique()",
        ),
        Wrong(
            "flaps",
            _flaps,
            expected="at most 2 reversals",
            hint="The lull between two waves lasts two and a half minutes. The window has to reach "
            "from one wave to the next.",
            look="scores(calm, 250).reversals",
        ),
        Wrong(
            "late",
            _late(40),
            expected="at most 40 s over 250 ms",
            hint="It is calm, but too few Pods are there when a wave comes. Look at the highest "
            "number that it may have, and at what holds it back on the way up.",
            look="scores(calm, 250).seconds_over",
        ),
    ),
    right="From the second wave on the Pods are there before the load is.",
)

# -- a policy for a trace --------------------------------------------------------------------

_BUDGET, _LATE = 0.018, 10


def _dear(world: World) -> str | None:
    cost = _score(world, "cost")
    return f"${cost:.4f}" if cost > _BUDGET else None


POLICY = Exercise(
    "policy",
    "At most 10 s over 250 ms, for half of what it costs today",
    wrong=(
        _answered("policy", "Play `sale` with other settings, and call the recording `policy`."),
        _played("policy"),
        _trace("policy", "sale", 39_000, 30),
        _app("policy"),
        Wrong(
            "late",
            _late(_LATE),
            expected=f"at most {_LATE} s over 250 ms",
            hint="Users wait while Pods start. More Pods before the wave, or a lower target, buy "
            "them time; what takes Pods away in a lull costs it.",
            look="scores(policy, 250).seconds_over",
        ),
        Wrong(
            "dear",
            _dear,
            expected=f"at most ${_BUDGET:.4f}",
            hint="Pods that nobody needs are paid for as well. How long do they stay after a wave, "
            "and how much air does the target leave in each?",
            look="scores(policy, 250).cost",
        ),
    ),
    right="By default Pods stay for five minutes after a wave. This trace did not ask for that.",
)

# -- a leaderboard ---------------------------------------------------------------------------


def _no_table(world: World) -> str | None:
    answer = world.answer
    if not isinstance(answer, pd.DataFrame):
        return f"a {type(answer).__name__}"
    missing = {"cost", "p99_ms"} - {*answer.columns}
    return f"no column {' and '.join(sorted(missing))}" if missing else None


def _empty(world: World) -> str | None:
    return "no row" if world.answer.empty else None


def _slow(world: World) -> str | None:
    slow = int((~(world.answer["p99_ms"] <= OBJECTIVE_MS)).sum())
    return f"{slow} with a p99 above that" if slow else None


def _unsorted(world: World) -> str | None:
    costs = world.answer["cost"]
    return None if costs.is_monotonic_increasing else f"${costs.iloc[0]:.4f} first"


RANKING = Exercise(
    "ranking",
    "Every setting that keeps the objective, the cheapest first",
    wrong=(
        _answered("ranking", "Choose rows of `board`, and call the new table `ranking`."),
        Wrong(
            "no-table",
            _no_table,
            expected="a table with the columns of `board`",
            hint="`board[condition]` with a condition for each row is a table of the rows in which "
            "it holds. A single column is not.",
            look="type(ranking)",
        ),
        Wrong(
            "empty",
            _empty,
            expected="at least one row",
            hint="Some settings do keep it. p99_ms is in milliseconds.",
            look="board.p99_ms",
        ),
        Wrong(
            "too-slow",
            _slow,
            expected="a p99 of at most 250 ms in each row",
            hint="Cheap and late is not kept. Leave out the rows that are above the objective.",
            look="ranking.p99_ms",
        ),
        Wrong(
            "unsorted",
            _unsorted,
            expected="the cheapest first",
            hint="A table has a method `sort_values`; it takes the name of a column.",
            look="ranking.cost",
        ),
    ),
    right="The objective decides who may take part, the cost who wins.",
)

# -- a forecast ------------------------------------------------------------------------------

_MEASURED = 1500  # requests of the recorded run, give or take the seconds at its ends


def _not_fitted(world: World) -> str | None:
    cpu = world.answer.scenario.application.cpu_ms
    return f"{cpu:g} ms of CPU a request" if cpu == round(cpu) else None


def _other_load(world: World) -> str | None:
    found = _requests(world.answer)
    return None if abs(found - _MEASURED) <= 30 else f"{found} requests"


def _other_target(world: World) -> str | None:
    (metric,) = _manifest(world.answer, "HorizontalPodAutoscaler")["spec"]["metrics"]
    target = metric["resource"]["target"].get("averageUtilization")
    return None if target == 60 else f"{target} %"


FORECAST = Exercise(
    "forecast",
    "The measured run once more, with a target of 60 %",
    wrong=(
        _answered("forecast", "Vary `model`, play it, and call the recording `forecast`."),
        _played("forecast"),
        Wrong(
            "not-fitted",
            _not_fitted,
            expected="what a request was measured to cost",
            hint="A forecast begins with what is known: vary `model`, which has what was fitted.",
            look="forecast.scenario.application",
        ),
        Wrong(
            "other-load",
            _other_load,
            expected=f"the load of the recording, about {_MEASURED} requests",
            hint="Leave the load of `model` as it was recorded.",
            look="forecast.frame.offered.sum()",
        ),
        Wrong(
            "other-target",
            _other_target,
            expected="a target of 60 %",
            hint="Only the autoscaler is to be another one. The path of its target is in `TARGET`.",
            look="forecast.scenario.manifests",
        ),
    ),
    right="That is what you would see live, but for chance: and nobody waited for it.",
)

CHAPTER = Chapter("09-time-lapse", "Time-lapse", (DECISION, CALM, POLICY, RANKING, FORECAST))
