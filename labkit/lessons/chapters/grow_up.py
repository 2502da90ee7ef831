"""11 · Grow up: an image that has to get there, a quota, an autoscaler's own window, and a forecast
with the periods of a real control plane.

Whatever cluster plays "there", a check reads objects through its API alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labkit import simulate
from labkit.kube.quantity import milli_value
from labkit.kube.resources import RESOURCE_QUOTAS
from labkit.lessons import evidence
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World

_APP, _IMAGE, _WANTED = "deployment/grown", "todolist:grown", 3
_HARD = "500m"  # of CPU, in the quota
_WINDOW = 60  # seconds
_REQUESTS = 25 * 60  # of the load in `wave`

Got = Callable[[World], str | None]


def _no_deployment(world: World) -> str | None:
    return None if world.get(_APP) else f"the Deployments {world.names('deployments')}"


_DEPLOYED = Wrong(
    "no-deployment",
    _no_deployment,
    expected="a Deployment named grown",
    hint="`lab.apply(app)` makes it. If you have run the cell with `labkit.Lab` again, the chapter "
    "began anew, with an empty table.",
    look="kubectl config current-context; kubectl get deployments",
)


def _container(world: World) -> dict:
    return evidence.containers(world.get(_APP))[0]


# -- an image that has to get there ----------------------------------------------------------


def _other_image(world: World) -> str | None:
    image = _container(world)["image"]
    return None if image == _IMAGE else f"image: {image}"


def _other_policy(world: World) -> str | None:
    policy = _container(world).get("imagePullPolicy", "IfNotPresent")
    return None if policy == "IfNotPresent" else f"imagePullPolicy: {policy}"


def _waiting(*reasons: str) -> Got:
    return lambda world: evidence.waiting(world.pods_of(_APP), reasons)


def _fewer_ready(wanted: int) -> Got:
    def got(world: World) -> str | None:
        found = evidence.ready(world.pods_of(_APP))
        return None if found >= wanted else f"{found} of {wanted} Pods are ready"

    return got


IMAGE = Exercise(
    "image",
    "The image todolist:grown is on the nodes there",
    wrong=(
        _DEPLOYED,
        Wrong(
            "other-image",
            _other_image,
            expected=f"image: {_IMAGE}",
            hint="Another image would run, but it is not the one that you built. Leave the "
            "manifest as it is and bring the image.",
            look="kubectl get deployment grown -o wide",
        ),
        Wrong(
            "other-policy",
            _other_policy,
            expected="imagePullPolicy: IfNotPresent",
            hint="The policy does not bring an image. With `Always` a node asks the registry even "
            "for what it has; with `Never` it does not ask at all.",
            look="kubectl get deployment grown -o yaml",
        ),
        Wrong(
            "wrong-machine",
            _waiting("CreateContainerError", "RunContainerError", "CrashLoopBackOff"),
            expected="a container that starts",
            hint="The image is there, and does not run. The lab's image borrows this machine's "
            "Python: for a real cluster build it on your real Docker, for its nodes' architecture.",
            look="kubectl logs deployment/grown",
            settles=True,
        ),
        Wrong(
            "not-there",
            _waiting(*evidence.PULL),
            expected="an image that the node has",
            hint="Was it saved from the engine at home (`-H`) and loaded into the one of the nodes "
            "there, all of them, under the same name and tag? A node looks again after a while: "
            "here within ten seconds, elsewhere within five minutes.",
            look="kubectl get nodes -o jsonpath='{.items[*].status.images[*].names}'",
        ),
        Wrong(
            "not-ready",
            _fewer_ready(1),
            expected="a Pod that is ready",
            hint="The last lines of the Pod's description say what the kubelet is doing.",
            look="kubectl describe pods -l app=grown",
            settles=True,
        ),
    ),
    right="The manifest did not change: it named an image, and now the nodes have it.",
)

# -- a guest with a quota --------------------------------------------------------------------


def _hard(world: World) -> str | None:
    quotas = (
        one["spec"] for one in world.list(RESOURCE_QUOTAS) if one["metadata"]["name"] == "team"
    )
    return next(quotas, {}).get("hard", {}).get("requests.cpu")


def _no_quota(world: World) -> str | None:
    return None if _hard(world) == _HARD else f"requests.cpu: {_hard(world)}"


def _replicas(world: World) -> str | None:
    found = world.get(_APP)["spec"].get("replicas", 1)
    return None if found == _WANTED else f"replicas: {found}"


def _request(world: World) -> str | None:
    """Where there is a limit alone, a Pod requests as much."""
    resources: Mapping = _container(world).get("resources") or {}
    found = (resources.get(kind) or {} for kind in ("requests", "limits"))
    return next((amounts["cpu"] for amounts in found if "cpu" in amounts), None)


def _no_request(world: World) -> str | None:
    return "no request for cpu" if _request(world) is None else None


def _too_much(world: World) -> str | None:
    if milli_value(_request(world)) * (_WANTED + 1) <= milli_value(_HARD):
        return None
    return f"{_WANTED} × {_request(world)}, and one more while it rolls"


QUOTA = Exercise(
    "quota",
    "Three Pods of grown are ready, within the quota",
    wrong=(
        _DEPLOYED,
        Wrong(
            "no-quota",
            _no_quota,
            expected="requests.cpu: 500m in the quota team",
            hint="That would help, but the quota is not a guest's to change: apply it again, and "
            "change the Deployment.",
            look="kubectl describe quota team",
        ),
        Wrong(
            "replicas",
            _replicas,
            expected=f"replicas: {_WANTED}",
            hint="Fewer Pods need less, and more need more; wanted are three.",
            look="kubectl get deployment grown",
        ),
        Wrong(
            "no-request",
            _no_request,
            expected="a request for cpu in the container",
            hint="The quota adds up requests, so each Pod must say one. `kubectl set resources` "
            "writes it into the template; a limit for cpu alone would do, too.",
            look="kubectl describe replicaset -l app=grown",
        ),
        Wrong(
            "too-much",
            _too_much,
            expected="four times the request is at most 500m",
            hint="A rolling update starts a new Pod before it ends an old one. Divide the quota by "
            "one Pod more than you want.",
            look="kubectl describe quota team",
        ),
        Wrong(
            "not-ready",
            _fewer_ready(_WANTED),
            expected="three Pods that are ready",
            hint="The requests fit. A ReplicaSet that was refused tries again after a while; its "
            "Events say what it waits for.",
            look="kubectl describe replicaset -l app=grown",
            settles=True,
        ),
    ),
    right="A quota makes all say what they need, and then the scheduler can count.",
)

# -- a forecast with the defaults ------------------------------------------------------------


def _nothing(world: World) -> str | None:
    return "nothing" if world.answer is None else None


def _no_recording(world: World) -> str | None:
    return (
        None if isinstance(world.answer, simulate.Recording) else f"a {type(world.answer).__name__}"
    )


def _other_load(world: World) -> str | None:
    found = round(world.answer.frame["offered"].sum())
    return None if found == _REQUESTS else f"{found} requests"


def _flags(world: World) -> str | None:
    # Not at the top: checks of other chapters should not wait for the simulator's parts.
    from labkit.simulate.scenario import Settings

    given, defaults = world.answer.scenario.settings, Settings()
    changed = [
        f"{name}: {value}" for name, value in given.items() if value != getattr(defaults, name)
    ]
    return ", ".join(changed) or None


def _own_window(world: World) -> str | None:
    hpa = next(
        one for one in world.answer.scenario.manifests if one["kind"] == "HorizontalPodAutoscaler"
    )
    return f"behavior: {hpa['spec']['behavior']}" if "behavior" in hpa["spec"] else None


def _unfinished(world: World) -> str | None:
    left = int(world.answer.frame["replicas_ready"].iloc[-1])
    minutes = world.answer.scenario.seconds / 60
    return None if left == 1 else f"{left} Pods after {minutes:g} minutes"


SLOW = Exercise(
    "slow",
    "Chapter 08 as it runs on a control plane with the defaults, to its end",
    wrong=(
        Wrong(
            "no-answer",
            _nothing,
            expected="a value in `slow`",
            hint="Take the comment sign away, and look at what comes out.",
            look="slow",
        ),
        Wrong(
            "not-played",
            _no_recording,
            expected="the recording of a simulation",
            hint="A scenario is only a plan: `Simulation(vary(...)).run()` plays it.",
            look="type(slow)",
        ),
        Wrong(
            "other-load",
            _other_load,
            expected=f"the load of `wave`: {_REQUESTS} requests",
            hint="Leave the load as it is: one minute of 25 requests a second.",
            look="slow.frame.offered.sum()",
        ),
        Wrong(
            "still-quick",
            _flags,
            expected="the defaults of Kubernetes",
            hint='These are flags of the lab. `{"settings": {}}` takes all of them away.',
            look="slow.scenario.settings",
        ),
        Wrong(
            "own-window",
            _own_window,
            expected="an autoscaler without a `behavior`",
            hint="That is a good idea, and the next step. First see what comes without it.",
            look="slow.scenario.manifests",
        ),
        Wrong(
            "too-short",
            _unfinished,
            expected="one Pod at the end",
            hint="The simulation ends before the autoscaler lets go: five minutes after the load. "
            "Vary `minutes`, too.",
            look="slow.frame.replicas_ready",
        ),
    ),
    right="Seven minutes in less than a second, and no cluster was asked.",
)

# -- an autoscaler's own window --------------------------------------------------------------


def _no_hpa(world: World) -> str | None:
    found = world.get("hpa/grown")
    if found and found["spec"]["scaleTargetRef"]["name"] == "grown":
        return None
    return f"the autoscalers {world.names('hpa')}"


def _other_limits(world: World) -> str | None:
    spec = world.get("hpa/grown")["spec"]
    limits = spec.get("minReplicas", 1), spec["maxReplicas"]
    return None if limits == (1, _WANTED) else f"{limits[0]} to {limits[1]}"


def _window(world: World, way: str) -> int | None:
    behavior: Mapping = world.get("hpa/grown")["spec"].get("behavior") or {}
    return (behavior.get(way) or {}).get("stabilizationWindowSeconds")


def _up_not_down(world: World) -> str | None:
    if _window(world, "scaleUp") and _window(world, "scaleDown") in (None, 300):
        return f"scaleUp: {_window(world, 'scaleUp')} s"
    return None


def _default_window(world: World) -> str | None:
    return "no window of its own" if _window(world, "scaleDown") is None else None


def _other_window(world: World) -> str | None:
    found = _window(world, "scaleDown")
    return None if found == _WINDOW else f"{found} s"


WINDOW = Exercise(
    "window",
    "The autoscaler of grown lets go after 60 seconds",
    wrong=(
        Wrong(
            "no-hpa",
            _no_hpa,
            expected="an autoscaler grown of the Deployment grown",
            hint="`kubectl autoscale deployment NAME` makes one.",
            look="kubectl get hpa",
        ),
        Wrong(
            "other-limits",
            _other_limits,
            expected="1 to 3 Pods",
            hint="`--min` and `--max` say it. An autoscaler that exists is deleted first, or "
            "patched.",
            look="kubectl get hpa grown",
        ),
        Wrong(
            "up-not-down",
            _up_not_down,
            expected="the window in `scaleDown`",
            hint="That one makes help come later. Pods go by the other one.",
            look="kubectl get hpa grown -o jsonpath='{.spec.behavior}'",
        ),
        Wrong(
            "default",
            _default_window,
            expected="spec.behavior.scaleDown.stabilizationWindowSeconds",
            hint="Without it the flag of the control plane holds: 300 s. `kubectl autoscale` has "
            "no option for it; `kubectl patch` writes any field.",
            look="kubectl explain hpa.spec.behavior.scaleDown",
        ),
        Wrong(
            "other-window",
            _other_window,
            expected=f"{_WINDOW} s",
            hint="The field counts seconds. With 0 every short lull costs Pods: that was flapping.",
            look="kubectl get hpa grown -o jsonpath='{.spec.behavior}'",
        ),
    ),
    right="No flag was changed, and nobody else's autoscaler: the field is yours.",
)

CHAPTER = Chapter("11-grow-up", "Grow up", (IMAGE, QUOTA, SLOW, WINDOW))
