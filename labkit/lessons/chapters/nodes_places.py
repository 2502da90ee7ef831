"""05 · Nodes: which nodes Pods run on, which one is empty, and which are cheap."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from labkit.kube import nodeselectors, selectors, taints
from labkit.lessons import evidence
from labkit.lessons.chapters.nodes_web import NO_WEB, PODS, WEB, template, unready, web_waits
from labkit.lessons.exercise import Exercise, Wrong
from labkit.lessons.world import World

BATCH, NODE = "deployment/batch", "nodes-worker2"
_TAINT = {
    "key": "virtual-kubelet.io/provider",
    "value": "labkit",
    "effect": taints.NO_SCHEDULE,
}
_CAPACITY_TYPE = "karpenter.sh/capacity-type"

# -- where web runs --------------------------------------------------------------------------


def _not_six(world: World) -> str | None:
    wanted = world.get(WEB)["spec"].get("replicas", 1)
    return None if wanted == 6 else f"replicas: {wanted}"


def _constraint(world: World) -> dict:
    return next(iter(template(world).get("topologySpreadConstraints") or ()), {})


def _no_constraint(world: World) -> str | None:
    return None if _constraint(world) else "no topologySpreadConstraints"


def _other_key(world: World) -> str | None:
    key = _constraint(world)["topologyKey"]
    return None if key == "kubernetes.io/hostname" else f"topologyKey: {key}"


def _only_a_wish(world: World) -> str | None:
    found = _constraint(world)["whenUnsatisfiable"]
    return None if found == "DoNotSchedule" else f"whenUnsatisfiable: {found}"


def _counts_others(world: World) -> str | None:
    given = _constraint(world).get("labelSelector")
    labels = world.get(WEB)["spec"]["template"]["metadata"].get("labels") or {}
    if given and selectors.matches(selectors.from_label_selector(given), labels):
        return None
    return f"labelSelector: {evidence.labels((given or {}).get('matchLabels'))}"


def _uneven(world: World) -> str | None:
    places = Counter(pod["spec"].get("nodeName", "no node") for pod in world.pods_of(WEB))
    if sorted(places.values()) == [2, 2, 2]:
        return None
    return ", ".join(f"{count} on {node}" for node, count in sorted(places.items())) or "no Pods"


SPREAD = Exercise(
    "spread",
    "Six Pods of web, two on each worker, because web says so",
    wrong=(
        NO_WEB,
        Wrong(
            "other-number",
            _not_six,
            expected="replicas: 6",
            hint="The number of Pods stands beside the template.",
            look="kubectl get deployment web",
        ),
        Wrong(
            "no-constraint",
            _no_constraint,
            expected="a topology spread constraint in the template",
            hint="The scheduler prefers to spread them anyway, but by a score: nothing holds it "
            "to that. A demand stands in the Pods' own `spec`.",
            look="kubectl explain pod.spec.topologySpreadConstraints",
        ),
        Wrong(
            "other-key",
            _other_key,
            expected="topologyKey: kubernetes.io/hostname",
            hint="The key is a label of nodes, and nodes with the same value count as one place. "
            "Which label is different on every node?",
            look="kubectl get nodes --show-labels",
        ),
        Wrong(
            "only-a-wish",
            _only_a_wish,
            expected="whenUnsatisfiable: DoNotSchedule",
            hint="With ScheduleAnyway it is a score among others, and may lose.",
            look="kubectl explain pod.spec.topologySpreadConstraints.whenUnsatisfiable",
        ),
        Wrong(
            "counts-others",
            _counts_others,
            expected="labelSelector: app=web",
            hint="The constraint counts the Pods that this selector finds. It does not find those "
            "of web, so every node looks equally empty.",
            look="kubectl get pods --show-labels",
        ),
        Wrong(
            "empty-places",
            web_waits,
            expected="a node for each Pod",
            hint="Nodes that web may not use count as places, too: the virtual ones have none of "
            "its Pods, so no other may have two. `nodeTaintsPolicy: Honor` leaves them out.",
            look="kubectl describe pods -l app=web",
            settles=True,
        ),
        Wrong(
            "uneven",
            _uneven,
            expected="2 on each of three workers",
            hint="A constraint is asked when a Pod is placed, and counts what is there: during "
            "a rolling update the old Pods, too. `matchLabelKeys: [pod-template-hash]` counts each "
            "version by itself.",
            look=PODS,
            settles=True,
        ),
    ),
    right="Whichever worker dies, four of six go on.",
)


# -- an empty node ---------------------------------------------------------------------------


def _budget(world: World) -> dict:
    return world.get("poddisruptionbudget/web")


def _no_budget(world: World) -> str | None:
    return None if _budget(world) else f"the budgets {world.names('poddisruptionbudgets')}"


def _must_stay(world: World) -> int:
    """How many of web's Pods the budget protects."""
    spec, replicas = _budget(world)["spec"], world.get(WEB)["spec"].get("replicas", 1)
    if "minAvailable" in spec:
        return _number(spec["minAvailable"], replicas)
    return replicas - _number(spec.get("maxUnavailable", 0), replicas)


def _number(given: int | str, of: int) -> int:
    """A number, or a percentage, which Kubernetes rounds up."""
    text = str(given)
    return math.ceil(of * int(text[:-1]) / 100) if text.endswith("%") else int(text)


def _strict(world: World) -> str | None:
    replicas, stay = world.get(WEB)["spec"].get("replicas", 1), _must_stay(world)
    return f"{stay} of {replicas} must stay" if stay >= replicas else None


def _loose(world: World) -> str | None:
    stay = _must_stay(world)
    return f"only {stay} must stay" if stay < 4 else None


def _open(world: World) -> str | None:
    node = world.get(f"node/{NODE}")
    return None if (node.get("spec") or {}).get("unschedulable") else f"{NODE} takes new Pods"


def _left_there(world: World) -> str | None:
    count = sum(pod["spec"].get("nodeName") == NODE for pod in world.list("pods", {"app": "web"}))
    return f"{count} on {NODE}" if count else None


DRAIN = Exercise(
    "drain",
    f"The node {NODE} is empty, and at least four Pods of web stayed",
    wrong=(
        NO_WEB,
        Wrong(
            "no-budget",
            _no_budget,
            expected="a PodDisruptionBudget named web",
            hint="Without a budget the drain works, and would have taken all Pods at once, too. "
            "Apply it again, with a number that leaves some room.",
            look="kubectl get pdb",
        ),
        Wrong(
            "too-strict",
            _strict,
            expected="a budget of 4 or 5",
            hint="As many must stay as there are, so none may ever be evicted, and no drain ends.",
            look="kubectl get pdb web",
        ),
        Wrong(
            "too-loose",
            _loose,
            expected="a budget of 4 or 5",
            hint="The drain would end, but users were promised that four Pods stay.",
            look="kubectl get pdb web",
        ),
        Wrong(
            "not-cordoned",
            _open,
            expected=f"{NODE} is cordoned",
            hint="Whoever only deletes the Pods gets new ones, on this node too. `kubectl drain` "
            "closes the node first.",
            look="kubectl get nodes",
        ),
        Wrong(
            "pods-left",
            _left_there,
            expected=f"no Pod of web on {NODE}",
            hint="The node is closed, and what runs there stays: that is all that cordoning does. "
            "Drain it.",
            look=PODS,
            settles=True,
        ),
        Wrong(
            "not-ready",
            unready(6),
            expected="6 ready Pods on the other workers",
            hint="The node is empty, but the Pods' successors are not ready yet.",
            look=PODS,
            settles=True,
        ),
    ),
    right="The machine can be switched off, and no user will know.",
)


# -- cheap machines --------------------------------------------------------------------------


def _no_batch(world: World) -> str | None:
    return None if world.get(BATCH) else f"the Deployments {world.names('deployments')}"


def _no_toleration(world: World) -> str | None:
    given = template(world, BATCH).get("tolerations") or []
    if taints.tolerated(given, _TAINT):
        return None
    keys = ", ".join(one.get("key", "") for one in given)
    return f"tolerations of {keys}" if keys else "no tolerations"


def _allowed(world: World) -> dict[str, Mapping]:
    """The nodes that batch's selector and affinity leave, with their labels."""
    spec = template(world, BATCH)
    labelled = {
        node["metadata"]["name"]: node["metadata"].get("labels") or {}
        for node in world.list("nodes")
    }
    return {
        name: labels
        for name, labels in labelled.items()
        if nodeselectors.allows(spec, labels, name)
    }


def _impossible(world: World) -> str | None:
    chosen = evidence.labels(template(world, BATCH).get("nodeSelector"))
    return None if _allowed(world) else f"no node with {chosen}"


def _anywhere(world: World) -> str | None:
    found = _allowed(world)
    kinds = {labels.get(_CAPACITY_TYPE) for labels in found.values()}
    return None if len(kinds) == 1 else f"allowed on {', '.join(sorted(found))}"


def _not_spot(world: World) -> str | None:
    found = {name for name, one in _allowed(world).items() if one.get(_CAPACITY_TYPE) != "spot"}
    return f"allowed on {', '.join(sorted(found))}" if found else None


def _elsewhere(world: World) -> str | None:
    places = Counter(pod["spec"].get("nodeName", "no node") for pod in world.pods_of(BATCH))
    allowed = set(_allowed(world))
    if places and set(places) <= allowed:
        return None
    return ", ".join(f"{count} on {node}" for node, count in sorted(places.items())) or "no Pods"


SPOT = Exercise(
    "spot",
    "The Pods of batch run on spot instances, and nowhere else",
    wrong=(
        Wrong(
            "no-deployment",
            _no_batch,
            expected="a Deployment named batch",
            hint="Run the cell with its manifest first.",
            look="kubectl get deployments",
        ),
        Wrong(
            "no-toleration",
            _no_toleration,
            expected="a toleration of virtual-kubelet.io/provider",
            hint="The spot node has the same taint as the other virtual node, and who does not "
            "tolerate it stays out. Did your change lose it?",
            look="kubectl describe node nodes-spot",
        ),
        Wrong(
            "no-such-node",
            _impossible,
            expected="a selector that matches the spot node",
            hint="All labels of a selector must be there, letter by letter.",
            look="kubectl get nodes -L karpenter.sh/capacity-type",
        ),
        Wrong(
            "anywhere",
            _anywhere,
            expected="only the spot node allowed",
            hint="A toleration allows a node; it attracts nobody. Say also which node is wanted.",
            look="kubectl get nodes -L karpenter.sh/capacity-type",
        ),
        Wrong(
            "not-spot",
            _not_spot,
            expected="only the spot node allowed",
            hint="There the price is the other one. Which value has the label of the cheap node?",
            look="kubectl get nodes -L karpenter.sh/capacity-type",
        ),
        Wrong(
            "elsewhere",
            _elsewhere,
            expected="every Pod of batch on the spot node",
            hint="The template is right, and older Pods are still where they were. Is the rollout "
            "over?",
            look="kubectl get pods -l app=batch -o wide",
            settles=True,
        ),
    ),
    right="The same work for less than a third of the price, while the capacity lasts.",
)
