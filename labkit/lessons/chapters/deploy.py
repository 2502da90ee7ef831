"""04 · Deploy: a Deployment, a Service, and an image to mend.  `gallery` has what follows."""

from __future__ import annotations

from labkit.kube.resources import ENDPOINT_SLICES
from labkit.lessons import evidence
from labkit.lessons.chapters import gallery
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World

APP = "deployment/myapp"
_PODS = "kubectl get pods -l app=myapp"


# -- what may be wrong with the Deployment ---------------------------------------------------


def no_deployment(world: World) -> str | None:
    return None if world.get(APP) else f"the Deployments {world.names('deployments')}"


def _other_number(world: World) -> str | None:
    wanted = world.get(APP)["spec"].get("replicas", 1)
    return None if wanted == 3 else f"replicas: {wanted}"


def cannot_pull(world: World) -> str | None:
    return evidence.waiting(world.pods_of(APP), evidence.PULL)


def _no_node(world: World) -> str | None:
    return evidence.unschedulable(world.pods_of(APP))


def _fewer_ready(world: World) -> str | None:
    ready = evidence.ready(world.pods_of(APP))
    return None if ready == 3 else f"{ready} ready"


NO_DEPLOYMENT = Wrong(
    "no-deployment",
    no_deployment,
    expected="a Deployment named myapp",
    hint="Apply the manifest of this chapter first. If you did, look in which namespace it went.",
    look="kubectl get deployments --all-namespaces",
)

REPLICAS = Exercise(
    "replicas",
    "Three Pods of myapp are ready",
    wrong=(
        NO_DEPLOYMENT,
        Wrong(
            "other-number",
            _other_number,
            expected="replicas: 3",
            hint="The number stands in the Deployment. `kubectl scale` changes it, and so does the "
            "manifest, applied again; if it changed back, somebody else writes it, too: an "
            "autoscaler?",
            look="kubectl get deployment,hpa",
        ),
        Wrong(
            "cannot-pull",
            cannot_pull,
            expected="an image that every node can pull",
            hint="The number is right; the new Pods cannot start, for nobody has that image. Is "
            "its name spelt right?",
            look=_PODS,
        ),
        Wrong(
            "no-node",
            _no_node,
            expected="a node with room for each Pod",
            hint="What a Pod requests must be free on one node. Ask for less, or delete what "
            "you no longer need.",
            look="kubectl describe pods -l app=myapp",
        ),
        Wrong(
            "not-ready",
            _fewer_ready,
            expected="3 ready Pods",
            hint="They run, and their readiness probe does not succeed. Does it ask the port at "
            "which the app listens?",
            look=_PODS,
            settles=True,
        ),
    ),
    right="If one of them fails, two serve on while a third is made.",
)


# -- what may be wrong with the Service ------------------------------------------------------


def _no_service(world: World) -> str | None:
    return None if world.get("service/myapp") else f"the Services {world.names('services')}"


def _selector(world: World) -> dict[str, str]:
    return world.get("service/myapp")["spec"].get("selector") or {}


def _selects_nothing(world: World) -> str | None:
    selector = _selector(world)
    if selector and world.list("pods", selector):
        return None
    return f"the selector {evidence.labels(selector)}"


def _port(world: World) -> str | None:
    listening = {
        port.get("containerPort")
        for pod in world.list("pods", _selector(world))
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
    }
    for entry in world.get("service/myapp")["spec"]["ports"]:
        target = entry.get("targetPort", entry["port"])
        if isinstance(target, int) and listening and target not in listening:
            known = ", ".join(map(str, sorted(listening)))
            return f"targetPort: {target}, where the containers name {known}"
    return None


def _no_endpoints(world: World) -> str | None:
    slices = world.list(ENDPOINT_SLICES, {"kubernetes.io/service-name": "myapp"})
    endpoints = [entry for one in slices for entry in one.get("endpoints") or ()]
    ready = [entry for entry in endpoints if (entry.get("conditions") or {}).get("ready")]
    return None if ready else f"{len(endpoints)} endpoints, none of them ready"


SERVICE = Exercise(
    "service",
    "The Service myapp has endpoints",
    wrong=(
        Wrong(
            "no-service",
            _no_service,
            expected="a Service named myapp",
            hint="The second half of the manifest makes it; it begins after `---`.",
            look="kubectl get services",
        ),
        Wrong(
            "selects-nothing",
            _selects_nothing,
            expected="a selector that the app's Pods match",
            hint="A Service finds Pods by their labels, not by name. Compare the selector with the "
            "labels, letter by letter.",
            look="kubectl get pods --show-labels",
        ),
        Wrong(
            "other-port",
            _port,
            expected="targetPort: the port at which the app listens",
            hint="`port` is the Service's own; `targetPort` is the Pods', and is the same where it "
            "is not given.",
            look="kubectl describe service myapp",
        ),
        Wrong(
            "none-ready",
            _no_endpoints,
            expected="at least one endpoint that is ready",
            hint="The selector finds Pods, but none of them is ready, and only ready Pods get "
            "requests.",
            look="kubectl get endpointslices -l kubernetes.io/service-name=myapp",
            settles=True,
        ),
    ),
    right="Whoever asks for myapp reaches a Pod that is ready.",
)


# -- what may be wrong with the image --------------------------------------------------------


def _broken_image(world: World) -> str | None:
    wrong = [image for image in evidence.images(world.get(APP)) if "registry.example.com" in image]
    return f"image: {wrong[0]}" if wrong else None


def _paused(world: World) -> str | None:
    return "paused: true" if world.get(APP)["spec"].get("paused") else None


def _left_over(world: World) -> str | None:
    return evidence.waiting(world.pods_of(APP), evidence.PULL)


def _unavailable(world: World) -> str | None:
    app = world.get(APP)
    wanted, status = app["spec"].get("replicas", 1), app.get("status") or {}
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if wanted and updated == available == wanted == status.get("replicas", 0):
        return None
    return f"{updated} of the new version, {available} available of {wanted} wanted"


IMAGE = Exercise(
    "image",
    "The broken image is mended, and every Pod is available",
    wrong=(
        NO_DEPLOYMENT,
        Wrong(
            "broken-image",
            _broken_image,
            expected="an image that exists",
            hint="The template still names the broken image. Either go back one version "
            "(`kubectl rollout`), or set the image anew (`kubectl set image`).",
            look="kubectl rollout history deployment/myapp",
        ),
        Wrong(
            "paused",
            _paused,
            expected="a roll-out that goes on",
            hint="The template is right, but the roll-out is paused: nothing follows a change "
            "until it is resumed.",
            look="kubectl rollout status deployment/myapp",
        ),
        Wrong(
            "cannot-pull",
            _left_over,
            expected="Pods of the mended version only",
            hint="The image was changed to another one that nobody can pull. Its name is in the "
            "description of the Pod.",
            look=_PODS,
            settles=True,
        ),
        Wrong(
            "not-available",
            _unavailable,
            expected="all replicas new and available",
            hint="The roll-out has not come to its end. What does the newest Pod wait for?",
            look="kubectl rollout status deployment/myapp",
            settles=True,
        ),
    ),
    right="The old ReplicaSet was kept for this: going back is a roll-out like any other.",
)

CHAPTER = Chapter("04-deploy", "Deploy", (REPLICAS, SERVICE, IMAGE, *gallery.EXERCISES))
