"""00 · Start here: a Pod that serves, one that ends, where one runs, and a name to mend."""

from __future__ import annotations

from labkit.kube import pods
from labkit.lessons import evidence
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

# -- where does it run? ----------------------------------------------------------------------


def _no_hello(world: World) -> str | None:
    return None if world.get("pod/hello") else f"the Pods {world.names('pods')}"


def _written(world: World) -> str | None:
    return (world.get("pod/hello")["metadata"].get("labels") or {}).get("node")


def _nothing_written(world: World) -> str | None:
    if _written(world):
        return None
    return f"the labels {evidence.labels(world.get('pod/hello')['metadata'].get('labels'))}"


def _address(world: World) -> str | None:
    found = _written(world)
    return f"node={found}" if found.replace(".", "").isdigit() else None


def _other_node(world: World) -> str | None:
    found = _written(world)
    return None if found == world.get("pod/hello")["spec"].get("nodeName") else f"node={found}"


WHERE = Exercise(
    "where",
    "The Pod hello says on which node it runs",
    wrong=(
        Wrong(
            "no-pod",
            _no_hello,
            expected="a Pod named hello",
            hint="The cell above makes it. Run that one again.",
            look="kubectl get pods",
        ),
        Wrong(
            "no-label",
            _nothing_written,
            expected="a label with the key node",
            hint="`kubectl label pod NAME KEY=VALUE` writes one; the key is `node`.",
            look="kubectl get pod hello --show-labels",
        ),
        Wrong(
            "address",
            _address,
            expected="the name of a node",
            hint="That is an address. A Pod has its own, and its node has another; asked for is "
            "the node's name, in the column beside it.",
            look="kubectl get pod hello -o wide",
        ),
        Wrong(
            "other-node",
            _other_node,
            expected="the node on which the Pod runs",
            hint="There may be such a node, but hello is not on it. If you have written it down "
            "before, `--overwrite` replaces it.",
            look="kubectl get pod hello -o wide",
        ),
    ),
    right="The scheduler wrote the same name into the Pod, and that is how the kubelet knew.",
)


# -- a name to mend --------------------------------------------------------------------------


def _no_typo(world: World) -> str | None:
    return None if world.get("pod/typo") else f"the Pods {world.names('pods')}"


def _misspelt(world: World) -> str | None:
    image = world.get("pod/typo")["spec"]["containers"][0].get("image", "")
    return None if image.rpartition("/")[2].partition(":")[0] == "todolist" else f"image: {image}"


def _cannot_pull(world: World) -> str | None:
    return evidence.waiting([world.get("pod/typo")], evidence.PULL)


def _typo_unready(world: World) -> str | None:
    pod = world.get("pod/typo")
    return None if pods.is_ready(pod) else f"it is {pods.phase(pod)} and not ready"


MENDED = Exercise(
    "mended",
    "The Pod typo has its image, and runs",
    wrong=(
        Wrong(
            "no-pod",
            _no_typo,
            expected="a Pod named typo",
            hint="To delete it is one way; then make it anew under the same name.",
            look="kubectl get pods",
        ),
        Wrong(
            "misspelt",
            _misspelt,
            expected="image: todolist",
            hint="The image is one of the few fields of a Pod that may be changed: "
            "`kubectl set image pod/NAME CONTAINER=IMAGE`. Its container has the Pod's name.",
            look="kubectl describe pod typo",
        ),
        Wrong(
            "cannot-pull",
            _cannot_pull,
            expected="an image that can be pulled",
            hint="The name is right now. Is there a tag behind it, after a colon, that nobody has "
            "published?",
            look="kubectl describe pod typo",
            settles=True,
        ),
        Wrong(
            "not-ready",
            _typo_unready,
            expected="a Pod that is Ready",
            hint="The image is right. The last lines of the description say what the kubelet is "
            "doing with it.",
            look="kubectl describe pod typo",
            settles=True,
        ),
    ),
    right="Nobody started it again: the kubelet saw that the object had changed, and acted.",
)


# -- a Pod that ends -------------------------------------------------------------------------


def _no_once(world: World) -> str | None:
    return None if world.get("pod/once") else f"the Pods {world.names('pods')}"


def _starts_again(world: World) -> str | None:
    policy = world.get("pod/once")["spec"].get("restartPolicy", "Always")
    return f"restartPolicy: {policy}" if policy == "Always" else None


def _failed(world: World) -> str | None:
    return "its phase is Failed" if pods.phase(world.get("pod/once")) == "Failed" else None


def _goes_on(world: World) -> str | None:
    phase = pods.phase(world.get("pod/once"))
    return None if phase == "Succeeded" else f"its phase is {phase}"


ONCE = Exercise(
    "once",
    "The Pod once has done its work and ended well",
    wrong=(
        Wrong(
            "no-pod",
            _no_once,
            expected="a Pod named once",
            hint="The cell that made `hello` is a model; another name, and another command.",
            look="kubectl get pods",
        ),
        Wrong(
            "starts-again",
            _starts_again,
            expected="restartPolicy: Never",
            hint="Left to itself Kubernetes starts what has ended, again and again. "
            "`--restart=Never` stands before the two dashes; delete the Pod and make it anew.",
            look="kubectl get pod once",
        ),
        Wrong(
            "failed",
            _failed,
            expected="a program that ends with exit code 0",
            hint="It ended with an error. Is what follows `--` a command that the image has?",
            look="kubectl logs once",
        ),
        Wrong(
            "goes-on",
            _goes_on,
            expected="the phase Succeeded",
            hint="It has not ended. Does its command come to an end by itself? If it has not "
            "begun, the description says why.",
            look="kubectl describe pod once",
            settles=True,
        ),
    ),
    right="`READY 0/1` again, and all is well: `Completed` means that there is no more to do.",
)

CHAPTER = Chapter("00-start-here", "Start here", (FIRST_POD, WHERE, MENDED, ONCE))
