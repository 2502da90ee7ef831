"""Workloads to watch, for the tests of what runs Pods."""

from __future__ import annotations

from collections.abc import Mapping

from tests.api.conftest import Wire, until
from tests.api.pods import FOREVER, container


def template(app: str, command: list[str] | str = FOREVER, **spec: object) -> dict:
    """A Pod template that ends quickly when it is told to."""
    main = container("main", command)
    inner = {"terminationGracePeriodSeconds": 1, "containers": [main], **spec}
    return {"metadata": {"labels": {"app": app}}, "spec": inner}


def stateful_set(name: str, replicas: int = 2, **spec: object) -> dict:
    """A StatefulSet; its template may be given."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
            **spec,
        },
    }


def daemon_set(name: str, **spec: object) -> dict:
    """A DaemonSet; its template may be given."""
    selector = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name},
        "spec": {"selector": selector, "template": template(name), **spec},
    }


def job(name: str, command: list[str] | str = "true", **spec: object) -> dict:
    """A Job whose Pods are not restarted."""
    inner = template(name, command, restartPolicy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": inner, **spec},
    }


def condition(obj: Mapping, kind: str) -> dict:
    """The condition of that type, empty where there is none."""
    told = (obj.get("status") or {}).get("conditions") or ()
    return next((each for each in told if each["type"] == kind), {})


def pods_of(wire: Wire, ns: str, app: str) -> list[dict]:
    """The Pods of a workload, by name."""
    found = wire.ok("GET", f"{ns}/pods", labelSelector=f"app={app}")["items"]
    return sorted(found, key=lambda pod: pod["metadata"]["name"])


def names(objects: list[dict]) -> list[str]:
    return [each["metadata"]["name"] for each in objects]


def rolled_out(wire: Wire, path: str, **counts: int) -> dict:
    """The workload once its controller has seen it and its status counts so."""

    def holds():
        found = wire.ok("GET", path)
        status = found.get("status") or {}
        seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        return seen and all(status.get(name, 0) == n for name, n in counts.items()) and found

    return until(holds, 60, f"{path} counts {counts}")


def reasons(wire: Wire, ns: str, name: str) -> set[tuple[str, str]]:
    """(reason, message) of all Events about the object of that name."""
    selector = f"involvedObject.name={name}"
    found = wire.ok("GET", f"{ns}/events", fieldSelector=selector)["items"]
    return {(each["reason"], each["message"]) for each in found}


def told(wire: Wire, ns: str, name: str, *events: tuple[str, str]) -> None:
    """Wait until there are these Events, (reason, message), about the object of that name."""
    wanted = set(events)
    until(lambda: wanted <= reasons(wire, ns, name), 30, f"the Events {events} about {name}")
