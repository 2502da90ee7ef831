"""07 · Change without downtime: probes, room for an update, a budget, a good end."""

from __future__ import annotations

import math
from collections.abc import Mapping

from labkit.kube import selectors
from labkit.lessons import evidence
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World

_APP, _PODS, _PORT = "deployment/myapp", 4, 3001
_PATHS = ("/readyz", "/healthz", "/api/version")
_DESCRIBE = "kubectl describe deployment myapp"
_STATUS = "kubectl rollout status deployment/myapp"


def _container(world: World) -> Mapping:
    return evidence.containers(world.get(_APP))[0]


def _readiness(world: World) -> Mapping:
    return _container(world).get("readinessProbe") or {}


def _no_deployment(world: World) -> str | None:
    return None if world.get(_APP) else f"the Deployments {world.names('deployments')}"


def _not_rolled_out(world: World) -> str | None:
    app = world.get(_APP)
    wanted, status = app["spec"].get("replicas", 1), app.get("status") or {}
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if wanted and updated == available == wanted == status.get("replicas", 0):
        return None
    return f"{updated} of the new version, {available} available of {wanted} wanted"


_NO_DEPLOYMENT = Wrong(
    "no-deployment",
    _no_deployment,
    expected="a Deployment named myapp",
    hint="Run the cells above first: they apply it.",
    look="kubectl get deployments",
)
_NOT_ROLLED_OUT = Wrong(
    "not-rolled-out",
    _not_rolled_out,
    expected="every Pod of the new version, and available",
    hint="The template is right, and not every Pod is of it yet. Wait for the end of the rollout; "
    "if it does not come, describe the newest Pod.",
    look=_STATUS,
    settles=True,
)


# -- a readiness probe -----------------------------------------------------------------------


def _liveness_only(world: World) -> str | None:
    alone = _container(world).get("livenessProbe") and not _readiness(world)
    return "a livenessProbe, and no readinessProbe" if alone else None


def _no_probe(world: World) -> str | None:
    return None if _readiness(world) else "no readinessProbe"


def _path(world: World) -> str | None:
    asked = _readiness(world).get("httpGet")
    if asked is None or asked.get("path", "/") in (*_PATHS, "/"):
        return None
    return f"path: {asked.get('path')}"


def _port(world: World) -> str | None:
    probe = _readiness(world)
    port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port", _PORT)
    named = {entry.get("name") for entry in _container(world).get("ports") or ()}
    return None if port == _PORT or port in named else f"port: {port}"


_WRONG_PATH = Wrong(
    "other-path",
    _path,
    expected="path: /readyz",
    hint="A probe succeeds if the answer is a success. What does the app answer at this path?",
    look="kubectl describe pods -l app=myapp",
)
_WRONG_PORT = Wrong(
    "other-port",
    _port,
    expected=f"port: {_PORT}",
    hint="The probe asks the container directly, so its port is the one at which the app listens.",
    look="kubectl get deployment myapp -o yaml",
)

PROBE = Exercise(
    "probe",
    "Each Pod says when it is ready",
    wrong=(
        _NO_DEPLOYMENT,
        Wrong(
            "liveness-only",
            _liveness_only,
            expected="a readinessProbe",
            hint="A liveness probe decides about a restart. The one that decides about requests "
            "has another name.",
            look="kubectl explain deployment.spec.template.spec.containers",
        ),
        Wrong(
            "no-probe",
            _no_probe,
            expected="a readinessProbe",
            hint="It stands beside `image` in the container of the template. Indent it as far.",
            look="kubectl explain deployment.spec.template.spec.containers.readinessProbe",
        ),
        _WRONG_PATH,
        _WRONG_PORT,
        _NOT_ROLLED_OUT,
    ),
    right="A Pod gets requests when it has said that it can answer, and no sooner.",
)


# -- room for an update ----------------------------------------------------------------------


def _rolling(world: World) -> Mapping:
    return (world.get(_APP)["spec"].get("strategy") or {}).get("rollingUpdate") or {}


def _recreate(world: World) -> str | None:
    kind = (world.get(_APP)["spec"].get("strategy") or {}).get("type", "RollingUpdate")
    return f"type: {kind}" if kind != "RollingUpdate" else None


def _other_number(world: World) -> str | None:
    wanted = world.get(_APP)["spec"].get("replicas", 1)
    return None if wanted == _PODS else f"replicas: {wanted}"


def _share(given: int | str) -> float:
    """How many Pods `1` or `25%` is, not yet rounded."""
    return _PODS * int(given[:-1]) / 100 if isinstance(given, str) else given


def _some_missing(world: World) -> str | None:
    given = _rolling(world).get("maxUnavailable", "25%")
    return f"maxUnavailable: {given}" if math.floor(_share(given)) else None


def _too_many(world: World) -> str | None:
    given = _rolling(world).get("maxSurge", "25%")
    return f"maxSurge: {given}" if math.ceil(_share(given)) > 2 else None


SURGE = Exercise(
    "surge",
    "An update keeps four Pods ready, and has six at the most",
    wrong=(
        _NO_DEPLOYMENT,
        Wrong(
            "recreate",
            _recreate,
            expected="type: RollingUpdate",
            hint="The strategy still ends all old Pods at once. Nothing else counts until that "
            "is another one.",
            look=_DESCRIBE,
        ),
        Wrong(
            "other-number",
            _other_number,
            expected=f"replicas: {_PODS}",
            hint="The number of Pods is right as it was. What may be missing from it, or come on "
            "top of it, stands in the strategy.",
            look="kubectl get deployment myapp",
        ),
        Wrong(
            "some-missing",
            _some_missing,
            expected="maxUnavailable: 0",
            hint="Four of four must be ready, so how many may be unavailable? A quarter is the "
            "default.",
            look=_DESCRIBE,
        ),
        Wrong(
            "too-many",
            _too_many,
            expected="maxSurge: 1 or 2",
            hint="Six at the most, four of them wanted: how many come on top? A percentage counts "
            "from four, and is rounded up.",
            look=_DESCRIBE,
        ),
    ),
    right="The room for an update is on top of what serves: no capacity is lost, some is paid for.",
)


# -- a rollout that stands still -------------------------------------------------------------


def _paused(world: World) -> str | None:
    return "paused: true" if world.get(_APP)["spec"].get("paused") else None


STUCK = Exercise(
    "stuck",
    "The rollout stands still no more",
    wrong=(
        _NO_DEPLOYMENT,
        Wrong(
            "paused",
            _paused,
            expected="a rollout that goes on",
            hint="Paused, it does nothing at all, not even back. `kubectl rollout` has a word for "
            "the opposite.",
            look=_STATUS,
        ),
        Wrong(
            "without-probe",
            _no_probe,
            expected="a readinessProbe that succeeds",
            hint="Without a probe every Pod counts as ready, and the next slow start is an outage "
            "again. Mend it rather than remove it.",
            look="kubectl rollout history deployment/myapp",
        ),
        _WRONG_PATH,
        _WRONG_PORT,
        _NOT_ROLLED_OUT,
    ),
    right="A bad version cost a Pod or two that nobody asked, and no user saw it.",
)


# -- a budget --------------------------------------------------------------------------------


def _budgets(world: World) -> list[dict]:
    return world.list("poddisruptionbudgets")


def _budget(world: World) -> Mapping:
    """The first budget that selects Pods of myapp."""
    labels = world.get(_APP)["spec"]["template"]["metadata"]["labels"]
    for one in _budgets(world):
        if selectors.matches(selectors.from_label_selector(one["spec"].get("selector")), labels):
            return one
    return {}


def _no_budget(world: World) -> str | None:
    return None if _budgets(world) else "no PodDisruptionBudget"


def _other_pods(world: World) -> str | None:
    return None if _budget(world) else f"{world.names('poddisruptionbudgets')}, for other Pods"


def _allowed(spec: Mapping) -> int:
    """How many of four Pods may be missing.  A percentage is rounded up in both fields."""
    if "minAvailable" in spec:
        return _PODS - math.ceil(_share(spec["minAvailable"]))
    return math.ceil(_share(spec.get("maxUnavailable", 0)))


def _words(spec: Mapping) -> str:
    found = [f"{key}: {spec[key]}" for key in ("minAvailable", "maxUnavailable") if key in spec]
    return ", ".join(found) or "neither minAvailable nor maxUnavailable"


def _allows_nothing(world: World) -> str | None:
    spec = _budget(world)["spec"]
    return _words(spec) if _allowed(spec) <= 0 else None


def _allows_more(world: World) -> str | None:
    spec = _budget(world)["spec"]
    return _words(spec) if _allowed(spec) > 1 else None


def _some_are_missing(world: World) -> str | None:
    status = _budget(world).get("status") or {}
    if status.get("disruptionsAllowed"):
        return None
    return f"{status.get('currentHealthy', 0)} healthy Pods, so none may be missing"


BUDGET = Exercise(
    "budget",
    "One Pod of myapp may be evicted at a time",
    wrong=(
        _NO_DEPLOYMENT,
        Wrong(
            "no-budget",
            _no_budget,
            expected="a PodDisruptionBudget",
            hint="Without a budget a node is emptied at once, whoever is on it. Change it rather "
            "than delete it.",
            look="kubectl get pdb",
        ),
        Wrong(
            "other-pods",
            _other_pods,
            expected="a selector that the Pods of myapp match",
            hint="A budget finds Pods by their labels, as a Service does.",
            look="kubectl describe pdb",
        ),
        Wrong(
            "allows-nothing",
            _allows_nothing,
            expected="three of four available",
            hint="If all four must stay, none may go: who empties a node then waits for ever. "
            "How many may be missing?",
            look="kubectl get pdb",
        ),
        Wrong(
            "allows-more",
            _allows_more,
            expected="one at a time",
            hint="More than one Pod may be missing at a time. A percentage counts from four.",
            look="kubectl get pdb",
        ),
        Wrong(
            "some-are-missing",
            _some_are_missing,
            expected="ALLOWED DISRUPTIONS: 1",
            hint="The budget is right, and it is used up: a Pod is not ready. Look which one.",
            look="kubectl get pods -l app=myapp",
            settles=True,
        ),
    ),
    right="Whoever services a node waits for your Pods, one after the other.",
)


# -- a good end ------------------------------------------------------------------------------


def _lifecycle(world: World) -> Mapping:
    return _container(world).get("lifecycle") or {}


def _other_hook(world: World) -> str | None:
    found = _lifecycle(world)
    return "postStart" if "postStart" in found and "preStop" not in found else None


def _no_hook(world: World) -> str | None:
    return None if _lifecycle(world).get("preStop") else "no preStop"


def _seconds(world: World) -> float:
    """How long the hook waits; a command is believed."""
    hook = _lifecycle(world)["preStop"]
    return hook["sleep"].get("seconds", 0) if "sleep" in hook else 2


def _too_short(world: World) -> str | None:
    found = _seconds(world)
    return f"sleep: {found} s" if found < 1 else None


def _no_grace(world: World) -> str | None:
    template = world.get(_APP)["spec"]["template"]["spec"]
    grace = template.get("terminationGracePeriodSeconds", 30)
    if grace > _seconds(world):
        return None
    return f"terminationGracePeriodSeconds: {grace}, and a hook of {_seconds(world)} s"


PRE_STOP = Exercise(
    "pre-stop",
    "Each Pod waits a moment before it ends",
    wrong=(
        _NO_DEPLOYMENT,
        Wrong(
            "other-hook",
            _other_hook,
            expected="a preStop hook",
            hint="That hook runs when a container has started. There is one for the end, too.",
            look="kubectl explain pod.spec.containers.lifecycle",
        ),
        Wrong(
            "no-hook",
            _no_hook,
            expected="a preStop hook",
            hint="It belongs to the container of the template, under `lifecycle`.",
            look="kubectl explain pod.spec.containers.lifecycle.preStop",
        ),
        Wrong(
            "too-short",
            _too_short,
            expected="a sleep of a second",
            hint="A request that is under way takes most of a second. The hook must last longer.",
            look="kubectl get deployment myapp -o yaml",
        ),
        Wrong(
            "no-grace",
            _no_grace,
            expected="a grace period longer than the hook",
            hint="The grace period counts from the beginning of the hook. When it is over, the "
            "container is killed, hook or not.",
            look="kubectl explain pod.spec.terminationGracePeriodSeconds",
        ),
        _NOT_ROLLED_OUT,
    ),
    right="First nobody asks it any more, then it finishes, and only then it is told to end.",
)

CHAPTER = Chapter("07-change", "Change without downtime", (PROBE, SURGE, STUCK, BUDGET, PRE_STOP))
