"""A definition of CronTabs, in a group of its own for each test, and the way to its instances."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.api.conftest import Wire, until

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SCHEMA = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "description": "What the job shall do.",
            "type": "object",
            "required": ["cron"],
            "properties": {
                "cron": {"type": "string", "pattern": r"^\S+( \S+){4}$"},
                "image": {"type": "string", "minLength": 1, "maxLength": 10},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
                "policy": {"type": "string", "enum": ["Allow", "Forbid"]},
                "port": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "tags": {
                    "type": "array",
                    "maxItems": 3,
                    "items": {"type": "string"},
                    "x-kubernetes-list-type": "set",
                },
                "steps": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": {"type": "string"},
                            "tries": {"type": "integer", "default": 3},
                        },
                    },
                },
                "template": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "x-kubernetes-preserve-unknown-fields": True,
                },
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer"},
                "selector": {"type": "string"},
                "last": {"type": "string", "format": "date-time"},
            },
        },
    },
}
VERSION = {
    "name": "v1",
    "served": True,
    "storage": True,
    "schema": {"openAPIV3Schema": SCHEMA},
    "subresources": {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    },
    "additionalPrinterColumns": [
        {"name": "Cron", "type": "string", "jsonPath": ".spec.cron"},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
        {"name": "Step", "type": "string", "jsonPath": ".spec.steps[0].name", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ],
    "selectableFields": [{"jsonPath": ".spec.image"}],
}
EVERY_MINUTE = "* * * * *"


@dataclass
class Defined:
    """One definition and the way to its instances."""

    wire: Wire
    group: str
    namespace: str
    name: str

    @property
    def definition(self) -> str:
        return f"{DEFINITIONS}/{self.name}"

    def path(self, name: str = "", version: str = "v1", sub: str = "") -> str:
        parts = [f"/apis/{self.group}/{version}/namespaces/{self.namespace}/crontabs", name, sub]
        return "/".join(part for part in parts if part)

    def body(self, name: str = "tab", version: str = "v1", **spec: object) -> dict:
        spec = {"cron": EVERY_MINUTE, **spec}
        return {
            "apiVersion": f"{self.group}/{version}",
            "kind": "CronTab",
            "metadata": {"name": name},
            "spec": spec,
        }

    def create(self, name: str = "tab", **spec: object) -> dict:
        return self.wire.ok("POST", self.path(), self.body(name, **spec))

    def get(self, name: str = "tab", version: str = "v1") -> dict:
        return self.wire.ok("GET", self.path(name, version))


def manifest(group: str, **version: object) -> dict:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"crontabs.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "plural": "crontabs",
                "kind": "CronTab",
                "shortNames": ["ct"],
                "categories": ["all"],
            },
            "versions": [copy.deepcopy({**VERSION, **version})],
        },
    }


def new_group() -> str:
    return f"t{uuid.uuid4().hex[:8]}.example.com"


def condition(obj: dict, kind: str) -> dict:
    found = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})


def establish(wire: Wire, body: dict) -> str:
    """The name of a new definition once it is served everywhere."""
    name = wire.ok("POST", DEFINITIONS, body)["metadata"]["name"]
    path = f"{DEFINITIONS}/{name}"
    until(lambda: condition(wire.ok("GET", path), "Established").get("status") == "True")
    for version in body["spec"]["versions"]:
        if version["served"]:
            where = f"/apis/{body['spec']['group']}/{version['name']}"
            until(lambda where=where: wire.get(f"{where}/crontabs").status_code == 200)
            until(lambda where=where: wire.get(where).status_code == 200)
    return name


@contextmanager
def definer(wire: Wire, ns: str) -> Iterator[Callable[..., Defined]]:
    """Makes definitions, whose manifest its argument changes, and removes them in the end."""
    made = []

    def make(change: Callable[[dict], object] = lambda body: None) -> Defined:
        body = manifest(new_group())
        change(body)
        made.append(establish(wire, body))
        return Defined(wire, body["spec"]["group"], ns.rpartition("/")[2], made[-1])

    yield make
    for name in made:
        wire.delete(f"{DEFINITIONS}/{name}")
