"""02 · Build the control plane: do a part's work by hand, and find the part that is missing."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.kube import pods, taints
from labkit.kube.resources import EVENTS
from labkit.lessons import evidence
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World

WEB, SHOP = "replicaset/web", "replicaset/shop"
MINE, GUEST = "pod/web-by-hand", "pod/guest"
NODE = "plane-worker2"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_PODS = "kubectl get pods -o wide"


def _names(found: Iterable[dict]) -> str:
    return ", ".join(sorted(one["metadata"]["name"] for one in found)) or "none"


def _node(pod: dict) -> str:
    return pod["spec"].get("nodeName") or ""


# -- a Pod for a ReplicaSet, made by hand ----------------------------------------------------


def _no_web(world: World) -> str | None:
    return None if world.get(WEB) else f"the ReplicaSets {world.names('replicasets')}"


def _no_pod(world: World) -> str | None:
    return None if world.get(MINE) else f"the Pods {world.names('pods')}"


def _other_label(world: World) -> str | None:
    words = world.get(MINE)["metadata"].get("labels")
    return None if (words or {}).get("app") == "web" else f"the labels {evidence.labels(words)}"


def _nobody_counted(world: World) -> str | None:
    owners = world.get(MINE)["metadata"].get("ownerReferences") or ()
    return None if any(one["name"] == "web" for one in owners) else "a Pod that nobody owns"


def _other_count(world: World) -> str | None:
    found = world.pods_of(WEB)
    return None if len(found) == 2 else f"{len(found)}: {_names(found)}"


NO_POD = Wrong(
    "no-pod",
    _no_pod,
    expected="a Pod named web-by-hand",
    hint="`kubectl run NAME --image=IMAGE` makes a Pod, and needs nobody's help but the API "
    "server's.",
    look="kubectl get pods",
)

ADOPT = Exercise(
    "adopt",
    "The ReplicaSet web counts your Pod as one of its two",
    wrong=(
        Wrong(
            "no-replicaset",
            _no_web,
            expected="a ReplicaSet named web",
            hint="Apply the manifest of this chapter first; that works without any controller.",
            look="kubectl get replicasets",
        ),
        NO_POD,
        Wrong(
            "other-label",
            _other_label,
            expected="the label app=web",
            hint="A ReplicaSet knows its Pods by a label, not by their names. `kubectl label`, or "
            "`kubectl run --labels`, gives one.",
            look="kubectl get pods --show-labels",
        ),
        Wrong(
            "not-adopted",
            _nobody_counted,
            expected="web-by-hand, owned by the ReplicaSet web",
            hint="The Pod is as it should be, and nobody has counted it. Which part counts Pods, "
            "and does it run?",
            look="kubectl get pod web-by-hand -o yaml",
            settles=True,
        ),
        Wrong(
            "other-count",
            _other_count,
            expected="2 Pods",
            hint="The spec says how many there should be; did you change it? Otherwise the "
            "controller is about to make or delete what differs.",
            look="kubectl get replicaset web",
            settles=True,
        ),
    ),
    right="The controller asked how many there are, not who made them, and made one, not two.",
)


# -- a node for a Pod, chosen by hand --------------------------------------------------------


def _unbound(world: World) -> str | None:
    return None if _node(world.get(MINE)) else "no node in its spec"


def _other_node(world: World) -> str | None:
    node = _node(world.get(MINE))
    return None if node == NODE else f"the node {node}"


def _scheduled(world: World) -> str | None:
    uid = world.get(MINE)["metadata"].get(
        "uid"
    )  # events of an earlier Pod of that name may be left
    for one in world.list(EVENTS):
        if one["reason"] == "Scheduled" and one["involvedObject"].get("uid") == uid:
            return f"an event of the scheduler: {one['message']}"
    return None


BIND = Exercise(
    "bind",
    f"You have bound the Pod web-by-hand to the node {NODE}",
    wrong=(
        NO_POD,
        Wrong(
            "no-node",
            _unbound,
            expected=f"nodeName: {NODE}",
            hint="Nobody has chosen yet. An object of the kind Binding names the Pod in its "
            "metadata, and the node in its target.",
            look=_PODS,
        ),
        Wrong(
            "other-node",
            _other_node,
            expected=f"nodeName: {NODE}",
            hint="A Pod stays where it was bound; no Pod ever moves. Delete it, make it again, "
            "and bind it anew.",
            look=_PODS,
        ),
        Wrong(
            "by-scheduler",
            _scheduled,
            expected="a node that you chose",
            hint="The scheduler was faster than you. Stop it, delete the Pod, and make it again.",
            look="kubectl get events",
        ),
    ),
    right="That is all that a scheduler does: it writes one name. To choose it well is the art.",
)


# -- a guest on the node of the control plane ------------------------------------------------


def _taint(world: World) -> dict:
    found = world.get(f"node/{NODE}").get("spec", {}).get("taints") or ()
    return next((one for one in found if one["key"] == CONTROL_PLANE), {})


def _not_tainted(world: World) -> str | None:
    effect = _taint(world).get("effect")
    if effect == taints.NO_SCHEDULE:
        return None
    return f"the effect {effect}" if effect else "no such taint"


def _no_guest(world: World) -> str | None:
    return None if world.get(GUEST) else f"the Pods {world.names('pods')}"


def _tolerations(world: World) -> list[dict]:
    """Those that the author wrote: the API server adds two to every Pod."""
    given = world.get(GUEST)["spec"].get("tolerations") or ()
    added = (taints.NOT_READY, taints.UNREACHABLE)
    return [one for one in given if one.get("key") not in added]


def _no_toleration(world: World) -> str | None:
    return None if _tolerations(world) else "no toleration of its own"


def _other_toleration(world: World) -> str | None:
    given = _tolerations(world)
    if taints.tolerated(given, _taint(world)):
        return None
    return "; ".join(evidence.labels(one) for one in given)


def _elsewhere(world: World) -> str | None:
    node = _node(world.get(GUEST))
    return None if node == NODE else f"the node {node}" if node else "no node"


def _not_ready(world: World) -> str | None:
    guest = world.get(GUEST)
    return None if pods.is_ready(guest) else f"phase: {guest['status'].get('phase')}"


GUEST_POD = Exercise(
    "guest",
    f"The Pod guest runs on the tainted node {NODE}",
    wrong=(
        Wrong(
            "no-taint",
            _not_tainted,
            expected=f"the taint {CONTROL_PLANE}:NoSchedule on {NODE}",
            hint="Without the taint everybody may come in. Put it back with `kubectl taint nodes`.",
            look=f"kubectl describe node {NODE}",
        ),
        Wrong(
            "no-guest",
            _no_guest,
            expected="a Pod named guest",
            hint="Begin with a Pod of the image busybox or todolist, and give it what lets it in.",
            look="kubectl get pods",
        ),
        Wrong(
            "no-toleration",
            _no_toleration,
            expected="a toleration in the Pod's spec",
            hint="A node says whom it keeps away; only the Pod can say that it does not mind.",
            look="kubectl explain pod.spec.tolerations",
        ),
        Wrong(
            "other-toleration",
            _other_toleration,
            expected="a toleration for just this taint",
            hint="Compare the key and the effect letter by letter. Where the taint has no value, "
            "say `operator: Exists`.",
            look=f"kubectl describe node {NODE}",
        ),
        Wrong(
            "elsewhere",
            _elsewhere,
            expected=f"the node {NODE}",
            hint="A toleration allows, and does not attract. `nodeSelector` does: every node has "
            "the label kubernetes.io/hostname. A Pod cannot move, so delete it first.",
            look=_PODS,
            settles=True,
        ),
        Wrong(
            "not-ready",
            _not_ready,
            expected="a Pod that is ready",
            hint="It is in, and does not run. Does its command stay, and does the kubelet of that "
            "node run?",
            look="kubectl describe pod guest",
            settles=True,
        ),
    ),
    right="The taint keeps everybody out, the toleration lets one in, the selector leads it there.",
)


# -- find who is missing ---------------------------------------------------------------------


def _no_shop(world: World) -> str | None:
    return None if world.get(SHOP) else f"the ReplicaSets {world.names('replicasets')}"


def _other_wish(world: World) -> str | None:
    wanted = world.get(SHOP)["spec"].get("replicas", 1)
    return None if wanted == 3 else f"replicas: {wanted}"


def _uncounted(world: World) -> str | None:
    found = world.pods_of(SHOP)
    return None if len(found) == 3 else f"{len(found)} Pods"


def _no_place(world: World) -> str | None:
    return evidence.unschedulable(world.pods_of(SHOP))


def _not_looked_at(world: World) -> str | None:
    found = [pod for pod in world.pods_of(SHOP) if not _node(pod)]
    return f"{len(found)} Pods without a node, and without a reason" if found else None


def _not_started(world: World) -> str | None:
    reported = "containerStatuses"
    found = [pod for pod in world.pods_of(SHOP) if not pod["status"].get(reported)]
    where = ", ".join(sorted({_node(pod) for pod in found}))
    return f"{len(found)} Pods on {where} of which nobody has reported" if found else None


def _some_not_ready(world: World) -> str | None:
    ready = evidence.ready(world.pods_of(SHOP))
    return None if ready == 3 else f"{ready} ready"


REPAIR = Exercise(
    "repair",
    "The three Pods of shop are ready",
    wrong=(
        Wrong(
            "no-replicaset",
            _no_shop,
            expected="a ReplicaSet named shop",
            hint="Run the cell that makes it, a little further up.",
            look="kubectl get replicasets",
        ),
        Wrong(
            "other-wish",
            _other_wish,
            expected="replicas: 3",
            hint="To wish for less is no repair. Set the number back.",
            look="kubectl get replicaset shop",
        ),
        Wrong(
            "nobody-counts",
            _uncounted,
            expected="3 Pods",
            hint="Three are wanted, and the difference stays. Who compares the two numbers?",
            look="kubectl get replicasets,pods",
        ),
        Wrong(
            "no-place",
            _no_place,
            expected="a node for each Pod",
            hint="Somebody has looked, and found no node. The message says what is wrong with "
            "each.",
            look="kubectl describe pods -l app=shop",
        ),
        Wrong(
            "nobody-chooses",
            _not_looked_at,
            expected="a node for each Pod",
            hint="They wait for a node, and no event says why not. Who would write such an event?",
            look=_PODS,
        ),
        Wrong(
            "nobody-starts",
            _not_started,
            expected="a report from each Pod's node",
            hint="They have a node, and nothing happens there. Who starts containers on a node, "
            "and is there one on each?",
            look=_PODS,
        ),
        Wrong(
            "not-ready",
            _some_not_ready,
            expected="3 ready Pods",
            hint="All parts do their work now; give them a moment, then look at the newest events.",
            look="kubectl describe pods -l app=shop",
            settles=True,
        ),
    ),
    right="You read from the record how far the work had come, and who should have gone on.",
)

CHAPTER = Chapter(
    "02-control-plane", "Build the control plane, part by part", (ADOPT, BIND, GUEST_POD, REPAIR)
)
