"""05 · Nodes: what web requests and may use, and what all exercises of the chapter ask of it."""

from __future__ import annotations

from collections.abc import Callable

from labkit.kube.quantity import canonical, milli_value
from labkit.lessons import evidence
from labkit.lessons.exercise import Exercise, Wrong
from labkit.lessons.world import World

WEB = "deployment/web"
PODS = "kubectl get pods -l app=web -o wide"


def _no_web(world: World) -> str | None:
    return None if world.get(WEB) else f"the Deployments {world.names('deployments')}"


def template(world: World, name: str = WEB) -> dict:
    """The `spec` of the Pods that a Deployment makes."""
    return world.get(name)["spec"]["template"]["spec"]


def _cpu(world: World, kind: str) -> str | None:
    """The CPU that web requests, or that it is limited to; None if it names none."""
    resources = template(world)["containers"][0].get("resources") or {}
    found = (resources.get(kind) or {}).get("cpu")
    return None if found is None else canonical(found)


def _requested(world: World) -> str | None:
    """A request that is not given is as large as the limit."""
    return _cpu(world, "requests") or _cpu(world, "limits")


def unready(wanted: int) -> Callable[[World], str | None]:
    """Whether fewer of web's Pods are ready."""

    def got(world: World) -> str | None:
        ready = evidence.ready(world.pods_of(WEB))
        return None if ready >= wanted else f"{ready} ready"

    return got


def web_waits(world: World) -> str | None:
    """Which of web's Pods no node takes."""
    return evidence.unschedulable(world.pods_of(WEB))


NO_WEB = Wrong(
    "no-deployment",
    _no_web,
    expected="a Deployment named web",
    hint="Run the cell with its manifest first.",
    look="kubectl get deployments",
)


# -- what web requests -----------------------------------------------------------------------


def _no_request(world: World) -> str | None:
    return None if _requested(world) else "no request for CPU, and no limit"


def _too_large(world: World) -> str | None:
    found = _requested(world)
    return f"cpu: {found}" if milli_value(found) > 100 else None


def _too_small(world: World) -> str | None:
    found = _requested(world)
    return f"cpu: {found}" if milli_value(found) < 100 else None


REQUEST = Exercise(
    "request",
    "Three Pods of web run, each with a tenth of a CPU reserved",
    wrong=(
        NO_WEB,
        Wrong(
            "no-request",
            _no_request,
            expected="a request of 100m",
            hint="Without a request the Pods start, but the scheduler counts them as nothing and "
            "may put far too many on one node.",
            look="kubectl describe deployment web",
        ),
        Wrong(
            "too-large",
            _too_large,
            expected="cpu: 100m",
            hint="A plain number counts whole CPUs. With an `m` it counts thousandths.",
            look="kubectl describe deployment web",
        ),
        Wrong(
            "too-small",
            _too_small,
            expected="cpu: 100m",
            hint="That is less than the tenth that web needs. A thousandth is `1m`: how many of "
            "them make a tenth?",
            look="kubectl describe deployment web",
        ),
        Wrong(
            "no-node",
            web_waits,
            expected="a node for each Pod",
            hint="The request is right now. Is there a node that takes new Pods, and has a tenth "
            "of a CPU free?",
            look="kubectl get nodes",
            settles=True,
        ),
        Wrong(
            "not-ready",
            unready(3),
            expected="3 ready Pods",
            hint="They have their nodes; what are they still waiting for?",
            look=PODS,
            settles=True,
        ),
    ),
    right="A tenth of a CPU is reserved for each, on whichever node it is.",
)


# -- what web may use ------------------------------------------------------------------------


def _request_changed(world: World) -> str | None:
    found = _requested(world)
    return None if found and milli_value(found) == 100 else f"requests cpu: {found or 'nothing'}"


def _no_limit(world: World) -> str | None:
    return None if _cpu(world, "limits") else "no limit for CPU"


def _low_limit(world: World) -> str | None:
    found = _cpu(world, "limits")
    return f"a limit of {found}" if milli_value(found) < 1000 else None


def _old_limit(world: World) -> str | None:
    wanted = _cpu(world, "limits")
    for pod in world.pods_of(WEB):
        resources = pod["spec"]["containers"][0].get("resources") or {}
        found = (resources.get("limits") or {}).get("cpu")
        if found is None or canonical(found) != wanted:
            return f"{pod['metadata']['name']} with a limit of {found}"
    return None


LIMIT = Exercise(
    "limit",
    "The app may use a whole CPU, and has a tenth reserved",
    wrong=(
        NO_WEB,
        Wrong(
            "request-changed",
            _request_changed,
            expected="a request of 100m, as before",
            hint="A larger request reserves more, and lets nobody run faster. What slows the app "
            "is the other number. Where only a limit is given, it is the request, too.",
            look="kubectl describe deployment web",
        ),
        Wrong(
            "no-limit",
            _no_limit,
            expected="a limit of 1",
            hint="Without a limit it is quick, too, but one endless loop in it could take the "
            "whole node from its neighbours.",
            look="kubectl describe deployment web",
        ),
        Wrong(
            "low-limit",
            _low_limit,
            expected="a limit of 1",
            hint="It still has to stand still in each tenth of a second. One whole CPU is `1`, or "
            "`1000m`.",
            look="kubectl describe deployment web",
        ),
        Wrong(
            "old-pods",
            _old_limit,
            expected="that limit in every Pod",
            hint="Pods of the template before are still there. Wait for the end of the rollout.",
            look="kubectl rollout status deployment/web",
            settles=True,
        ),
        Wrong(
            "not-ready",
            unready(3),
            expected="3 ready Pods",
            hint="The number is right, and the new Pods are not ready yet.",
            look=PODS,
            settles=True,
        ),
    ),
    right="It has what is free for its short bursts, and takes nobody's reserved part.",
)
