"""08 · Load and autoscaling: an autoscaler that can work, a load that makes it, and its limits."""

from __future__ import annotations

from labkit.kube import conditions
from labkit.kube.resources import EVENTS
from labkit.lessons import evidence
from labkit.lessons.chapters.deploy import NO_DEPLOYMENT
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World

APP = "deployment/myapp"
_SHOW = "kubectl get hpa"
_WHY = "kubectl describe hpa myapp"


def _scaler(world: World) -> dict:
    """The autoscaler of myapp, whatever its name; {} for none."""
    for one in world.list("hpa"):
        target = one["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == ("Deployment", "myapp"):
            return one
    return {}


def _none(world: World) -> str | None:
    if _scaler(world):
        return None
    targets = [
        "an autoscaler of {kind}/{name}".format(**one["spec"]["scaleTargetRef"]).lower()
        for one in world.list("hpa")
    ]
    return ", ".join(targets) or "none"


def _cpu(scaler: dict) -> int | None:
    """The target for CPU, in percent of the request."""
    for metric in scaler["spec"].get("metrics") or ():
        resource = metric.get("resource") or {}
        if resource.get("name") == "cpu":
            return resource["target"].get("averageUtilization")
    return None


def _no_target(world: World) -> str | None:
    kinds = [metric["type"] for metric in _scaler(world)["spec"].get("metrics") or ()]
    return None if _cpu(_scaler(world)) else f"metrics: {', '.join(kinds) or 'none'}"


def _other_target(world: World) -> str | None:
    target = _cpu(_scaler(world))
    return None if target == 30 else f"{target} %"


def _other_limits(world: World) -> str | None:
    spec = _scaler(world)["spec"]
    limits = spec.get("minReplicas", 1), spec["maxReplicas"]
    return None if limits == (1, 3) else f"from {limits[0]} to {limits[1]}"


def _no_request(world: World) -> str | None:
    for container in evidence.containers(world.get(APP)):
        resources = container.get("resources") or {}
        if not any("cpu" in (resources.get(key) or {}) for key in ("requests", "limits")):
            return f"the container {container['name']} requests none"
    return None


def _inactive(world: World) -> str | None:
    active = conditions.get(_scaler(world), "ScalingActive") or {}
    if active.get("status") == "True":
        return None
    return active.get("message") or "it has not looked yet"


NO_SCALER = Wrong(
    "no-autoscaler",
    _none,
    expected="an autoscaler of deployment/myapp",
    hint="`kubectl autoscale` makes one; what it shall scale comes after it.",
    look=_SHOW,
)

AUTOSCALER = Exercise(
    "autoscaler",
    "An autoscaler keeps myapp at 30 % CPU with one to three Pods",
    wrong=(
        NO_DEPLOYMENT,
        NO_SCALER,
        Wrong(
            "no-cpu-target",
            _no_target,
            expected="a target for the utilization of CPU",
            hint="The target is a percentage of what the Pods request, not an amount of CPU.",
            look=_SHOW,
        ),
        Wrong(
            "other-target",
            _other_target,
            expected="30 %",
            hint="Only one autoscaler may hold a Deployment: change the one that is there, or "
            "delete it and make it anew.",
            look=_SHOW,
        ),
        Wrong(
            "other-limits",
            _other_limits,
            expected="from 1 to 3",
            hint="`--min` and `--max` bound what the arithmetic may ask for.",
            look=_SHOW,
        ),
        Wrong(
            "no-request",
            _no_request,
            expected="a request for CPU in every container",
            hint="Thirty percent of what? Utilization is measured against the request.",
            look="kubectl get deployment myapp -o yaml",
        ),
        Wrong(
            "no-metrics",
            _inactive,
            expected="the condition ScalingActive",
            hint="A rate needs two samples: wait a moment. If it stays so, the message says what "
            "is missing.",
            look=_WHY,
            settles=True,
        ),
    ),
    right="It has a number, a target and limits; now it needs something to do.",
)


def _rescaled(world: World) -> bool:
    """Whether this autoscaler has made it more Pods: the API keeps Events for an hour, those of an
    earlier one of the same name too."""
    me = _scaler(world)["metadata"]
    return any(
        event.get("reason") == "SuccessfulRescale"
        and event["involvedObject"].get("name") == me["name"]
        and event["involvedObject"].get("uid") == me.get("uid")
        and "above target" in event.get("message", "")
        for event in world.list(EVENTS)
    )


def _seen(world: World) -> int | None:
    for metric in (_scaler(world).get("status") or {}).get("currentMetrics") or ():
        resource = metric.get("resource") or {}
        if resource.get("name") == "cpu":
            return resource["current"].get("averageUtilization")
    return None


def _blind(world: World) -> str | None:
    return "unknown" if _seen(world) is None and not _rescaled(world) else None


def _at_the_limit(world: World) -> str | None:
    spec = _scaler(world)["spec"]
    fixed = spec["maxReplicas"] <= spec.get("minReplicas", 1)
    return f"from {spec.get('minReplicas', 1)} to {spec['maxReplicas']}" if fixed else None


def _by_address(world: World) -> str | None:
    """A Pod that sends its requests to the address of one Pod of the app."""
    addresses = [(pod.get("status") or {}).get("podIP") for pod in world.pods_of(APP)]
    for pod in world.list("pods"):
        for container in pod["spec"]["containers"]:
            command = " ".join([*container.get("command", ()), *container.get("args", ())])
            if any(address and f"{address}:" in command for address in addresses):
                return f"{pod['metadata']['name']}: {command}"
    return None


def _too_little(world: World) -> str | None:
    if _rescaled(world):
        return None
    return f"{_seen(world)} % of a target of {_cpu(_scaler(world))} %"


LOAD = Exercise(
    "load",
    "The load was enough: the autoscaler has added Pods",
    wrong=(
        NO_SCALER,
        Wrong(
            "no-room",
            _at_the_limit,
            expected="a maximum above the minimum",
            hint="Whatever it measures, the limits leave it no choice.",
            look=_SHOW,
        ),
        Wrong(
            "unknown",
            _blind,
            expected="a measured utilization",
            hint="`<unknown>` is not zero. Do the Pods request CPU, and do they run for some "
            "seconds already?",
            look=_WHY,
            settles=True,
        ),
        Wrong(
            "by-address",
            _by_address,
            expected="load on the Service, by its name",
            hint="This is the address of one Pod: no other will ever see a request of it.",
            look="kubectl get pods -o wide",
        ),
        Wrong(
            "too-little",
            _too_little,
            expected="CPU more than a tenth above its target, for as long as one look takes",
            hint="Count: requests a second × CPU for each = millicores; divide by the request. "
            "If that is enough, give it a few seconds and check again.",
            look="kubectl top pods; kubectl get hpa",
        ),
    ),
    right="Events tell what it measured and what it did: `kubectl describe hpa myapp`.",
)

# -- a target that can be held ---------------------------------------------------------------

_NEEDED, _MOST = 5, 10  # 25 requests a second × 20 m = 500 m; 60 % of 200 m = 120 m for each Pod


def _not_sixty(world: World) -> str | None:
    target = _cpu(_scaler(world))
    return None if target == 60 else f"{target} %"


def _too_few(world: World) -> str | None:
    most = _scaler(world)["spec"]["maxReplicas"]
    return f"at most {most}" if most < _NEEDED else None


def _too_many(world: World) -> str | None:
    most = _scaler(world)["spec"]["maxReplicas"]
    return f"at most {most}" if most > _MOST else None


ROOM = Exercise(
    "room",
    "The autoscaler may have as many Pods as 60 % CPU takes",
    wrong=(
        NO_SCALER,
        Wrong(
            "no-cpu-target",
            _no_target,
            expected="a target for the utilization of CPU",
            hint="Sixty percent of the request: an average over all Pods, as before.",
            look=_SHOW,
        ),
        Wrong(
            "other-target",
            _not_sixty,
            expected="60 %",
            hint="An autoscaler that is there is not made again: delete it first, or edit it.",
            look=_SHOW,
        ),
        Wrong(
            "too-few",
            _too_few,
            expected="the number of Pods that the arithmetic asks for, at least",
            hint="All millicores of the load, divided by those that one Pod may use at the "
            "target; then round up.",
            look=_SHOW,
        ),
        Wrong(
            "too-many",
            _too_many,
            expected=f"at most {_MOST}",
            hint="That is room enough for this load, and for a bill, too: a maximum is what "
            "stands between a mistake and all of your nodes.",
            look=_SHOW,
        ),
    ),
    right="At 25 requests a second, five Pods settle at 50 %: below the target, and none too many.",
)

# -- asleep ----------------------------------------------------------------------------------


def _awake(world: World) -> str | None:
    replicas = world.get(APP)["spec"].get("replicas", 1)
    return f"replicas: {replicas}" if replicas else None


def _still_there(world: World) -> str | None:
    left = len(world.pods_of(APP))
    return f"{left} left" if left else None


def _unnoticed(world: World) -> str | None:
    active = conditions.get(_scaler(world), "ScalingActive") or {}
    if active.get("reason") == "ScalingDisabled":
        return None
    return active.get("reason") or "it has not looked yet"


ASLEEP = Exercise(
    "asleep",
    "No Pod of myapp runs, and its autoscaler lets it rest",
    wrong=(
        NO_DEPLOYMENT,
        Wrong(
            "no-autoscaler",
            _none,
            expected="an autoscaler of deployment/myapp, as before",
            hint="It need not go for this: there is one number of Pods that it never changes.",
            look=_SHOW,
        ),
        Wrong(
            "awake",
            _awake,
            expected="replicas: 0",
            hint="The minimum of an autoscaler is one; but the Deployment's own number may be "
            "less. `kubectl scale` sets it.",
            look="kubectl get deployment myapp",
        ),
        Wrong(
            "pods-left",
            _still_there,
            expected="no Pods",
            hint="They are told to end, and may take a moment for it.",
            look="kubectl get pods",
            settles=True,
        ),
        Wrong(
            "unnoticed",
            _unnoticed,
            expected="ScalingDisabled, the reason of the condition ScalingActive",
            hint="The autoscaler sees it at its next look.",
            look=_WHY,
            settles=True,
        ),
    ),
    right="It costs nothing now, and answers nobody: no autoscaler here will wake it.",
)

CHAPTER = Chapter("08-autoscale", "Load and autoscaling", (AUTOSCALER, LOAD, ROOM, ASLEEP))
