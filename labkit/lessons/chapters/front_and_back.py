"""06 · Front and back: names in the place of addresses, and ways in."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from labkit.kube.resources import ENDPOINT_SLICES
from labkit.lessons import evidence
from labkit.lessons.exercise import Chapter, Exercise, Wrong
from labkit.lessons.world import World

_WEB = "deployment/web"
_SERVICES = "kubectl get services"


def _lacks(name: str, kind: str) -> Callable[[World], str | None]:
    """Whether there is no such object; `kind` in the plural, for what is there instead."""
    return lambda world: None if world.get(name) else f"the {kind} {world.names(kind.lower())}"


def _ready_endpoints(world: World, service: str) -> int:
    slices = world.list(ENDPOINT_SLICES, {"kubernetes.io/service-name": service})
    endpoints = [entry for one in slices for entry in one.get("endpoints") or ()]
    return sum(bool((entry.get("conditions") or {}).get("ready")) for entry in endpoints)


def _without_endpoints(service: str) -> Callable[[World], str | None]:
    def got(world: World) -> str | None:
        if _ready_endpoints(world, service):
            return None
        selector = world.get(f"service/{service}")["spec"].get("selector")
        return f"the selector {evidence.labels(selector)}, and no endpoint that is ready"

    return got


# -- user by its name ------------------------------------------------------------------------


def _user_url(world: World) -> str:
    for container in evidence.containers(world.get(_WEB)):
        for entry in container.get("env") or ():
            if entry["name"] == "USER_URL":
                return entry.get("value", "")
    return ""


def _address(world: World) -> str | None:
    url = _user_url(world)
    return url if re.search(r"\d+\.\d+\.\d+\.\d+", url) else None


def _other_name(world: World) -> str | None:
    host = urlsplit(_user_url(world)).hostname or ""
    right = ("user", "user.default", "user.default.svc", "user.default.svc.cluster.local")
    return None if host in right else _user_url(world) or "no USER_URL"


def _other_port(world: World) -> str | None:
    wanted = urlsplit(_user_url(world)).port or 80
    ports = [entry["port"] for entry in world.get("service/user")["spec"]["ports"]]
    if wanted in ports:
        return None
    return f"{_user_url(world)}, where the Service has {', '.join(map(str, ports))}"


def _web_unready(world: World) -> str | None:
    status = world.get(_WEB).get("status") or {}
    new, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    if new == total == status.get("availableReplicas", 0) and total:
        return None
    return f"{new} of {total} Pods are new"


USER = Exercise(
    "user-by-name",
    "The front finds user by its name",
    wrong=(
        Wrong(
            "no-web",
            _lacks(_WEB, "Deployments"),
            expected="a Deployment named web",
            hint="Run the cells above first: they apply it.",
            look="kubectl get deployments",
        ),
        Wrong(
            "no-service",
            _lacks("service/user", "Services"),
            expected="a Service named user",
            hint="That of rule is a model: what is different is the name, the label and the port.",
            look=_SERVICES,
        ),
        Wrong(
            "no-endpoints",
            _without_endpoints("user"),
            expected="an endpoint that is ready",
            hint="There is a Service, and no Pod that it selects. Which label do the Pods of user "
            "have?",
            look="kubectl get pods --show-labels",
            settles=True,
        ),
        Wrong(
            "still-address",
            _address,
            expected="USER_URL=http://user:3002",
            hint="The Service is there, and web does not use it yet: it still holds an address.",
            look="kubectl set env deployment/web --list",
        ),
        Wrong(
            "other-name",
            _other_name,
            expected="USER_URL=http://user:3002",
            hint="A URL begins with `http://`, and its host is the name of the Service.",
            look="kubectl set env deployment/web --list",
        ),
        Wrong(
            "other-port",
            _other_port,
            expected="a port that the Service has",
            hint="The port in the URL is the Service's `port`, which stands behind the colon.",
            look="kubectl get service user",
        ),
        Wrong(
            "not-rolled-out",
            _web_unready,
            expected="a Pod of web with the new variable",
            hint="A change of the environment is a new Pod. It takes a moment; if it does not "
            "come, its description says why.",
            look="kubectl rollout status deployment/web",
            settles=True,
        ),
    ),
    right="Pods of user may come and go now, and web need not know.",
)


# -- a headless Service ----------------------------------------------------------------------


def _has_address(world: World) -> str | None:
    address = world.get("service/rule-all")["spec"].get("clusterIP")
    return None if address == "None" else f"clusterIP: {address}"


def _other_pods(world: World) -> str | None:
    selector = world.get("service/rule-all")["spec"].get("selector")
    found = world.list("pods", selector) if selector else []
    if any(pod["metadata"].get("labels", {}).get("app") == "rule" for pod in found):
        return None
    return f"the selector {evidence.labels(selector)}"


HEADLESS = Exercise(
    "headless",
    "The name rule-all stands for every Pod of rule",
    wrong=(
        Wrong(
            "no-service",
            _lacks("service/rule-all", "Services"),
            expected="a Service named rule-all",
            hint="It is a Service like the others, with one line more in its `spec`.",
            look=_SERVICES,
        ),
        Wrong(
            "has-address",
            _has_address,
            expected="clusterIP: None",
            hint="None is a word here, and has to be there from the beginning: delete the Service "
            "and make it anew.",
            look=_SERVICES,
        ),
        Wrong(
            "other-pods",
            _other_pods,
            expected="a selector that the Pods of rule match",
            hint="It stands for nobody, or for the Pods of another app. Compare with the Service "
            "`rule`.",
            look="kubectl get service rule rule-all -o wide",
        ),
        Wrong(
            "none-ready",
            _without_endpoints("rule-all"),
            expected="at least one Pod that is ready",
            hint="DNS only tells of Pods that are ready. Are they?",
            look="kubectl get pods -l app=rule",
            settles=True,
        ),
    ),
    right="Whoever asks for the name gets all addresses, and has to choose.",
)


# -- session affinity ------------------------------------------------------------------------


def _no_affinity(world: World) -> str | None:
    affinity = world.get("service/web")["spec"].get("sessionAffinity", "None")
    return None if affinity == "ClientIP" else f"sessionAffinity: {affinity}"


AFFINITY = Exercise(
    "affinity",
    "Each visitor keeps one Pod of web",
    wrong=(
        Wrong(
            "no-service",
            _lacks("service/web", "Services"),
            expected="a Service named web",
            hint="Run the cells above first: they apply it.",
            look=_SERVICES,
        ),
        Wrong(
            "no-affinity",
            _no_affinity,
            expected="sessionAffinity: ClientIP",
            hint="`kubectl explain service.spec.sessionAffinity` names the values that it takes.",
            look="kubectl get service web -o yaml",
        ),
        Wrong(
            "no-endpoints",
            _without_endpoints("web"),
            expected="an endpoint that is ready",
            hint="The affinity is right, and there is no Pod to keep. Has the selector been lost?",
            look="kubectl get service web -o wide",
            settles=True,
        ),
    ),
    right="Connections from one address go to one Pod, for three hours after the last of them.",
)


# -- an Ingress of one's own -----------------------------------------------------------------


def _rules(world: World) -> list[dict]:
    return world.get("ingress/api")["spec"].get("rules") or []


def _other_host(world: World) -> str | None:
    hosts = [rule.get("host", "any host") for rule in _rules(world)]
    return None if "api.localhost" in hosts else ", ".join(hosts) or "no rule"


def _paths(world: World) -> list[dict]:
    rules = [rule for rule in _rules(world) if rule.get("host") == "api.localhost"]
    return [path for rule in rules for path in (rule.get("http") or {}).get("paths") or ()]


def _other_path(world: World) -> str | None:
    paths = [path.get("path", "/") for path in _paths(world)]
    return None if "/api/rule" in paths else ", ".join(paths) or "no path"


def _backend(world: World) -> dict:
    chosen = (path for path in _paths(world) if path.get("path") == "/api/rule")
    return next(chosen)["backend"].get("service") or {}


def _other_service(world: World) -> str | None:
    name = _backend(world).get("name", "none")
    return None if name == "rule" else f"the Service {name}"


def _other_service_port(world: World) -> str | None:
    port = _backend(world).get("port") or {}
    known = world.get("service/rule").get("spec", {}).get("ports") or [{"port": 3001}]
    if any(port.get("number") == one["port"] for one in known):
        return None
    if any(port.get("name") and port["name"] == one.get("name") for one in known):
        return None
    return f"the port {port.get('number') or port.get('name') or 'none'}"


INGRESS = Exercise(
    "ingress-api",
    "Requests to api.localhost/api/rule go straight to rule",
    wrong=(
        Wrong(
            "no-ingress",
            _lacks("ingress/api", "Ingress"),
            expected="an Ingress named api",
            hint="That of todo is a model. Its name, host, path, Service and port are different.",
            look="kubectl get ingress",
        ),
        Wrong(
            "other-host",
            _other_host,
            expected="the host api.localhost",
            hint="A list for another host does not fit this letter, and the visitor gets a 404.",
            look="kubectl get ingress",
        ),
        Wrong(
            "other-path",
            _other_path,
            expected="the path /api/rule",
            hint="The path begins with a slash, and is the one that rule itself answers.",
            look="kubectl describe ingress api",
        ),
        Wrong(
            "other-service",
            _other_service,
            expected="the Service rule",
            hint="This takes the long way again, or none: what is behind the path is not rule.",
            look="kubectl describe ingress api",
        ),
        Wrong(
            "other-port",
            _other_service_port,
            expected="the port 3001",
            hint="The port is the Service's, and the visitor would get a 503 for another one.",
            look="kubectl get service rule",
        ),
    ),
    right="One hop less. Whoever measured or checked something in web does not see these requests.",
)

CHAPTER = Chapter("06-front-and-back", "Front and back", (USER, HEADLESS, AFFINITY, INGRESS))
