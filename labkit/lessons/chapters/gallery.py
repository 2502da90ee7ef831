"""04 · Deploy, its gallery of broken Pods: a memory limit and a readiness probe to mend."""

from __future__ import annotations

from labkit.kube.quantity import parse_quantity
from labkit.lessons import evidence
from labkit.lessons.exercise import Exercise, Wrong
from labkit.lessons.world import World

PHOTO, CART = "deployment/photo", "deployment/cart"
FIRST_LIMIT, MOST = parse_quantity("32Mi"), parse_quantity("512Mi")


# -- what may be wrong with the photo: its memory ----------------------------------


def _no_photo(world: World) -> str | None:
    return None if world.get(PHOTO) else f"the Deployments {world.names('deployments')}"


def _limit(world: World) -> str | None:
    resources = evidence.containers(world.get(PHOTO))[0].get("resources") or {}
    return (resources.get("limits") or {}).get("memory")


def _no_limit(world: World) -> str | None:
    return None if _limit(world) else "no limit"


def _too_small(world: World) -> str | None:
    limit = _limit(world)
    return f"limits: memory: {limit}" if parse_quantity(limit) <= FIRST_LIMIT else None


def _too_large(world: World) -> str | None:
    limit = _limit(world)
    return f"limits: memory: {limit}" if parse_quantity(limit) > MOST else None


def _killed_again(world: World) -> str | None:
    return evidence.ended(world.pods_of(PHOTO), "OOMKilled")


def _photo_unready(world: World) -> str | None:
    ready = evidence.ready(world.pods_of(PHOTO))
    return None if ready else "no Pod of photo is ready"


MEMORY = Exercise(
    "memory",
    "The photo app lives within its memory limit",
    wrong=(
        Wrong(
            "no-deployment",
            _no_photo,
            expected="a Deployment named photo",
            hint="It is one of the gallery. Run the cell that deploys the five.",
            look="kubectl get deployments",
        ),
        Wrong(
            "no-limit",
            _no_limit,
            expected="a memory limit",
            hint="Without a limit it runs, and so would a program with a leak, until the node has "
            "no memory left and others die of it. Give it a limit that is large enough.",
            look="kubectl describe deployment photo",
        ),
        Wrong(
            "too-small",
            _too_small,
            expected="a limit above what the app uses",
            hint="That is no more than the limit by which it died. How much does its command "
            "keep in memory at once?",
            look="kubectl describe deployment photo",
        ),
        Wrong(
            "too-large",
            _too_large,
            expected="a limit of the size of what the app uses, twice or five times",
            hint="It will run, but a limit ten times too large stops no leak. Mind the "
            "letters, too: `M` and `Mi` are millions of bytes, `G` and `Gi` thousands of those.",
            look="kubectl top pods",
        ),
        Wrong(
            "killed-again",
            _killed_again,
            expected="a container that is not killed for its memory",
            hint="The limit is larger than before, and still too small: Python itself needs some "
            "ten MiB beside the picture.",
            look="kubectl describe pods -l app=photo",
            settles=True,
        ),
        Wrong(
            "not-ready",
            _photo_unready,
            expected="a Pod that is ready",
            hint="The limit would do. What does the newest Pod wait for?",
            look="kubectl get pods -l app=photo",
            settles=True,
        ),
    ),
    right="It has room to work, and a leak would cost nobody but itself.",
)


# -- what may be wrong with the cart: its probe ------------------------------------


def _no_cart(world: World) -> str | None:
    return None if world.get(CART) else f"the Deployments {world.names('deployments')}"


def _probe(world: World) -> dict:
    return evidence.containers(world.get(CART))[0].get("readinessProbe") or {}


def _no_probe(world: World) -> str | None:
    return None if _probe(world) else "no readinessProbe"


def _asks_other_port(world: World) -> str | None:
    request = _probe(world).get("httpGet") or _probe(world).get("tcpSocket") or {"port": 3001}
    return None if request.get("port") == 3001 else f"port: {request.get('port')}"


def _cart_unready(world: World) -> str | None:
    found = world.pods_of(CART)
    ready = evidence.ready(found)
    return None if found and ready == len(found) else f"{ready} of {len(found)} Pods are ready"


PROBE = Exercise(
    "probe",
    "The cart is asked at the port where it listens",
    wrong=(
        Wrong(
            "no-deployment",
            _no_cart,
            expected="a Deployment named cart",
            hint="It is one of the gallery. Run the cell that deploys the five.",
            look="kubectl get deployments",
        ),
        Wrong(
            "no-probe",
            _no_probe,
            expected="a readiness probe",
            hint="Without one the Pod is ready as soon as its process starts. That switches the "
            "alarm off and mends nothing: ask the right question instead.",
            look="kubectl get deployment cart -o yaml",
        ),
        Wrong(
            "other-port",
            _asks_other_port,
            expected="the port at which the app listens",
            hint="The program itself says in the first line of its log where it listens.",
            look="kubectl logs deployment/cart",
        ),
        Wrong(
            "not-ready",
            _cart_unready,
            expected="every Pod ready",
            hint="The port is right. Does the probe ask for a path that the app has? The newest "
            "Event of the Pod has the answer that it got.",
            look="kubectl describe pods -l app=cart",
            settles=True,
        ),
    ),
    right="Now `Ready` says of the app what is true.",
)

EXERCISES = (MEMORY, PROBE)
