"""00 · Start here: a first Pod."""

from __future__ import annotations

from labkit.kube import pods
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World

_SHOW = "kubectl describe pod mine"


def _missing(world: World) -> str | None:
    return None if world.get("pod/mine") else f"the Pods {world.names('pods')}"


def _other_image(world: World) -> str | None:
    image = world.get("pod/mine")["spec"]["containers"][0].get("image", "")
    return None if image.rpartition("/")[2].partition(":")[0] == "todolist" else image


def _ended(world: World) -> str | None:
    phase = pods.phase(world.get("pod/mine"))
    return phase if phase in pods.TERMINAL_PHASES else None


def _unready(world: World) -> str | None:
    pod = world.get("pod/mine")
    return None if pods.is_ready(pod) else f"it is {pods.phase(pod)} and not ready"


FIRST_POD = Exercise(
    "first-pod",
    "The Pod mine runs the to-do app",
    wrong=(
        Wrong(
            "no-pod",
            _missing,
            expected="a Pod named mine",
            hint="`kubectl run NAME --image=IMAGE` starts a Pod. Mind the name, and the namespace "
            "that you are in.",
            look="kubectl get pods",
        ),
        Wrong(
            "other-image",
            _other_image,
            expected="the image todolist",
            hint="A Pod's image is set when it is made. Delete the Pod and make it anew.",
            look=_SHOW,
        ),
        Wrong(
            "ended",
            _ended,
            expected="a Pod that goes on running",
            hint="Its container has ended. The app needs no command of its own: leave out all that "
            "stands after the image.",
            look="kubectl logs mine",
        ),
        Wrong(
            "not-ready",
            _unready,
            expected="a Pod that is Ready",
            hint="The last lines of its description say what the kubelet is doing.",
            look=_SHOW,
            settles=True,
        ),
    ),
    right="The scheduler chose a node, its kubelet started the container, and it serves.",
)

CHAPTER = Chapter("00-start-here", "Start here", (FIRST_POD,))
